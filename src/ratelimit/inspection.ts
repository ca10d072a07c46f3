/**
 * What is to be said about one descriptor: which limit is meant and why, what its counter is at, what is held here.
 * **In**: a domain and entries. **Out**: an object for people and programs. **Fails**: with a ServiceError where the store cannot be asked.
 */
import { cacheKey, type KeyStyle } from './cache-key.ts';
import { type Unit, unitName } from './call.ts';
import type { Domains } from './config/tree.ts';
import { matchOf, type Step } from './match.ts';
import type { CountStore } from './store.ts';

export interface Explanation {
  readonly domain: string;
  readonly entries: readonly (readonly [key: string, value: string])[];
  /** A line for each level of the walk. */
  readonly why: readonly string[];
  readonly limit: {
    readonly rule: string; readonly at: string; readonly requestsPerUnit: number; readonly unit: string; readonly unlimited: boolean; readonly name: string;
    readonly shadow: boolean; readonly quota: boolean; readonly replaces: readonly string[]; readonly metric: string;
  } | undefined;
  /** The name of the counter of the window that is now. */
  readonly counter: string | undefined;
  readonly resetS: number | undefined;
}

export interface Inspection extends Explanation {
  /** What the counter is at, and what of it this process has not spent; absent where there is none. */
  readonly count: number | undefined;
  readonly heldHere: number | undefined;
  readonly remaining: number | undefined;
}

export interface InspectionOptions {
  readonly domains: () => Domains | undefined;
  readonly storeOf: (unit: Unit | undefined) => CountStore;
  readonly heldOf: (key: string) => number;
  readonly forget: (key: string) => void;
  readonly nowMs: () => number;
  readonly keyPrefix: string;
  readonly keyStyle: KeyStyle;
}

type Entries = readonly (readonly [key: string, value: string])[];

export interface LimitInspector {
  explain(domain: string, entries: Entries): Explanation;
  inspect(domain: string, entries: Entries): Promise<Inspection>;
  /** Takes the counter of the window that is now away; what it was at. */
  reset(domain: string, entries: Entries): Promise<Inspection>;
}

export function limitInspector({ domains, storeOf, heldOf, forget, nowMs, keyPrefix, keyStyle }: InspectionOptions): LimitInspector {
  function found(domain: string, entries: Entries): Explanation & { readonly store: CountStore | undefined } {
    const root = domains()?.get(domain);
    if (root === undefined) {
      const known = [...(domains()?.keys() ?? [])];
      return { domain, entries, why: [`no file is about the domain ${domain}${known.length === 0 ? ': none is loaded' : `; there are ${known.join(', ')}`}`], limit: undefined, counter: undefined, resetS: undefined, store: undefined };
    }
    const steps: Step[] = [];
    const match = matchOf(root, domain, entries, steps);
    const why = steps.map((step, at) => lineOf(step, at === entries.length - 1));
    if (match === undefined) return { domain, entries, why, limit: undefined, counter: undefined, resetS: undefined, store: undefined };
    const { limit: { fullKey, position, requestsPerUnit, unit, window, unlimited, name, shadow, quota, replaces }, metricKey, sharedValues } = match;
    const nowS = Math.floor(nowMs() / 1000);
    const { startS, endsAtS } = window.at(nowS);
    return {
      domain, entries, why,
      limit: { rule: fullKey, at: `${position.file}:${position.line}:${position.column}`, requestsPerUnit, unit: unit === undefined ? `${window.lengthS} s` : unitName(unit), unlimited, name, shadow, quota, replaces, metric: metricKey },
      counter: unlimited ? undefined : cacheKey(keyStyle, { prefix: keyPrefix, domain, entries, sharedValues, windowS: window.lengthS, windowStartS: startS }),
      resetS: unlimited ? undefined : endsAtS - nowS, store: unlimited ? undefined : storeOf(unit),
    };
  }

  async function inspect(domain: string, entries: Entries): Promise<Inspection> {
    const { store, ...explanation } = found(domain, entries);
    const { counter, limit } = explanation;
    if (store === undefined || counter === undefined || limit === undefined) return { ...explanation, count: undefined, heldHere: undefined, remaining: undefined };
    const [count = 0] = await store.look([counter]);
    return { ...explanation, count, heldHere: heldOf(counter), remaining: Math.max(0, limit.requestsPerUnit - count) };
  }

  return {
    explain(domain, entries) {
      const { store: _, ...explanation } = found(domain, entries);
      return explanation;
    },
    inspect,
    async reset(domain, entries) {
      const before = await inspect(domain, entries);
      const { store, counter } = found(domain, entries);
      if (counter === undefined) return before;
      await store?.reset([counter]);
      forget(counter);
      return before;
    },
  };
}

function lineOf({ entry, tried, found, hasLimit, hasMore }: Step, isLast: boolean): string {
  const looked = tried.slice(0, -1).filter((text) => text !== found).map((text) => `"${text}"`).join(', ');
  if (found === undefined) return `${entry}: nothing fits; looked for ${tried.map((text) => `"${text}"`).join(', ')}`;
  const fits = `${entry}: "${found}" fits${looked === '' ? '' : `, after ${looked}`}`;
  if (isLast) return hasLimit ? `${fits}, and has a limit` : `${fits}, but has no limit${hasMore ? ': the request would need another entry' : ''}`;
  return hasMore ? fits : `${fits}, but nothing is below it: the request has an entry too many`;
}
