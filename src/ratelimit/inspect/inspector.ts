/**
 * What is to be said about one descriptor: which limit is meant and why, what its counter is at, what is held here.
 * **In**: a domain and entries. **Out**: an object for people and programs. **Fails**: with a ServiceError where the store cannot be asked.
 */
import { type AlgorithmAsk, algorithmAsk, nameOf } from '../walk/asks.ts';
import { lookAt } from '../charge/algorithm-charging.ts';
import type { AlgorithmStores } from '../charge/algorithm-store.ts';
import type { KeyStyle } from '../walk/cache-key.ts';
import { type Unit, unitName } from '../call.ts';
import type { Domains, Limit } from '../config/tree.ts';
import { allHolders, type Holder, type Holders } from '../charge/holders.ts';
import { type Match, matchOf, type Step } from '../walk/match.ts';
import { matchOfAlso, windowKey } from '../walk/window-key.ts';
import type { CountStore } from '../charge/store.ts';

export interface Explanation {
  readonly domain: string;
  readonly entries: readonly (readonly [key: string, value: string])[];
  /** A line for each level of the walk. */
  readonly why: readonly string[];
  readonly limit:
    | {
        readonly rule: string;
        readonly at: string;
        readonly requestsPerUnit: number;
        readonly unit: string;
        readonly unlimited: boolean;
        readonly name: string;
        readonly shadow: boolean;
        readonly quota: boolean;
        readonly replaces: readonly string[];
        readonly metric: string;
        readonly algorithm: Limit['algorithm'];
        /** Of `gcra`. */
        readonly burst: number | undefined;
      }
    | undefined;
  /** The name of the counter of the window that is now; of an algorithm without windows, what its counter is known by, or where it is, where that has been asked. */
  readonly counter: string | undefined;
  /** Until the window ends; of an algorithm without windows, until all is free again, where it has been asked. */
  readonly resetS: number | undefined;
  /** Further limits of the descriptor; absent where there are none. */
  readonly also?: readonly Explanation[];
}

export interface Inspection extends Explanation {
  /** What the counter is at, and what of it this process has not spent; absent where there is none. What others hold counts as spent. */
  readonly count: number | undefined;
  readonly heldHere: number | undefined;
  /** Each process that has taken units that it has not spent: this one as it is now, others as each told with its last chunk. */
  readonly holders: readonly Holder[] | undefined;
  readonly remaining: number | undefined;
  readonly also?: readonly Inspection[];
}

export interface InspectionOptions {
  readonly domains: () => Domains | undefined;
  readonly storeOf: (unit: Unit | undefined) => CountStore;
  readonly algorithms: AlgorithmStores;
  readonly heldOf: (key: string) => number;
  readonly holdersOf: (unit: Unit | undefined) => Holders | undefined;
  /** What is held and remembered of it here. */
  readonly forget: (key: string) => void;
  readonly nowMs: () => number;
  readonly keyPrefix: string;
  readonly keyStyle: KeyStyle;
  /** As of an answer. */
  readonly withoutDots?: boolean;
}

export type Entries = readonly (readonly [key: string, value: string])[];

export interface LimitInspector {
  explain(domain: string, entries: Entries): Explanation | Promise<Explanation>;
  inspect(domain: string, entries: Entries): Promise<Inspection>;
  /** Takes the counter of the window that is now away; what it was at. */
  reset(domain: string, entries: Entries): Promise<Inspection>;
}

/** Of one thread. */
export interface ThreadLimitInspector extends LimitInspector {
  /** Lets go of what this thread holds and remembers of that counter, which another has taken away. */
  forget(domain: string, entries: Entries): void;
}

/** What is found, and who can be asked about its counter. */
interface Found {
  readonly explanation: Omit<Explanation, 'also'>;
  readonly unit?: Unit | undefined;
  readonly store?: CountStore;
  readonly ask?: AlgorithmAsk;
  readonly also?: readonly Found[];
}

export function limitInspector({
  domains,
  storeOf,
  algorithms,
  heldOf,
  holdersOf,
  forget,
  nowMs,
  keyPrefix,
  keyStyle,
  withoutDots,
}: InspectionOptions): ThreadLimitInspector {
  function found(domain: string, entries: Entries): Found {
    const root = domains()?.get(domain);
    const nothing = { domain, entries, limit: undefined, counter: undefined, resetS: undefined };
    if (root === undefined) {
      const known = [...(domains()?.keys() ?? [])];
      return {
        explanation: {
          ...nothing,
          why: [
            `no file is about the domain ${domain}${known.length === 0 ? ': none is loaded' : `; there are ${known.join(', ')}`}`,
          ],
        },
      };
    }
    const steps: Step[] = [];
    const match = matchOf(root, domain, entries, withoutDots, steps);
    const why = steps.map((step, at) => lineOf(step, at === entries.length - 1));
    if (match === undefined) return { explanation: { ...nothing, why } };
    const also = match.limit.also.map((more) => foundLimit(matchOfAlso(match, more), domain, entries, []));
    const one = foundLimit(match, domain, entries, why);
    return also.length === 0 ? one : { ...one, also };
  }

  function foundLimit(match: Match, domain: string, entries: Entries, why: readonly string[]): Found {
    const nothing = { domain, entries, limit: undefined, counter: undefined, resetS: undefined };
    const {
      limit: {
        fullKey,
        position,
        requestsPerUnit,
        unit,
        window,
        unlimited,
        name,
        shadow,
        quota,
        replaces,
        algorithm,
        burst,
      },
      metricKey,
    } = match;
    const limit = {
      rule: fullKey,
      at: `${position.file}:${position.line}:${position.column}`,
      requestsPerUnit,
      unit: unit === undefined ? `${window.lengthS} s` : unitName(unit),
      unlimited,
      name,
      shadow,
      quota,
      replaces,
      metric: metricKey,
      algorithm,
      burst: algorithm === 'gcra' ? burst : undefined,
    };
    if (unlimited) return { explanation: { ...nothing, why, limit } };
    const ask = algorithmAsk(match, domain, entries, 0);
    if (ask !== undefined)
      return { explanation: { ...nothing, why, limit, counter: nameOf(ask) }, unit, ask: lookAt(ask) };
    const nowS = Math.floor(nowMs() / 1000);
    const { startS, endsAtS } = window.at(nowS);
    const counter = windowKey({ keyStyle, keyPrefix }, match, domain, entries, startS);
    return { explanation: { ...nothing, why, limit, counter, resetS: endsAtS - nowS }, unit, store: storeOf(unit) };
  }

  async function inspect(one: Found): Promise<Inspection> {
    const inspected = await inspectLimit(one);
    return one.also === undefined ? inspected : { ...inspected, also: await Promise.all(one.also.map(inspectLimit)) };
  }

  function explain({ explanation, also }: Found): Explanation {
    return also === undefined ? explanation : { ...explanation, also: also.map((one) => one.explanation) };
  }

  async function inspectLimit({ explanation, unit, store, ask }: Found): Promise<Inspection> {
    const { counter, limit } = explanation;
    if (ask !== undefined) {
      const store = algorithms.storeOf(unit);
      const [{ remaining, resetMs } = NOT_ASKED] = await store.charge([ask]);
      return {
        ...explanation,
        counter: await store.placeOf(ask),
        count: (limit?.burst ?? ask.limit) - remaining,
        heldHere: 0,
        holders: [],
        remaining,
        resetS: Math.ceil(resetMs / 1000),
      };
    }
    if (store === undefined || counter === undefined || limit === undefined)
      return { ...explanation, count: undefined, heldHere: undefined, holders: undefined, remaining: undefined };
    const holders = holdersOf(unit);
    const others = (await holders?.others(counter)) ?? [];
    const [count = 0] = await store.look([counter]); // the last: what is held belongs to the count
    const heldHere = heldOf(counter);
    return {
      ...explanation,
      count,
      heldHere,
      holders: allHolders({ who: holders?.replica ?? '', units: heldHere }, others),
      remaining: Math.max(0, limit.requestsPerUnit - count),
    };
  }

  return {
    explain: (domain, entries) => explain(found(domain, entries)),
    inspect: (domain, entries) => inspect(found(domain, entries)),
    async reset(domain, entries) {
      const one = found(domain, entries);
      const before = await inspect(one);
      for (const {
        explanation: { counter },
        unit,
        store,
        ask,
      } of [one, ...(one.also ?? [])]) {
        if (ask !== undefined) await algorithms.storeOf(unit).reset([ask]);
        if (counter === undefined || store === undefined) continue;
        await store.reset([counter]);
        forget(counter);
      }
      return before;
    },
    forget(domain, entries) {
      const one = found(domain, entries);
      for (const {
        explanation: { counter },
      } of [one, ...(one.also ?? [])])
        if (counter !== undefined) forget(counter);
    },
  };
}

const NOT_ASKED = { remaining: 0, resetMs: 0 };

function lineOf({ entry, tried, found, hasLimit, hasMore }: Step, isLast: boolean): string {
  const looked = tried
    .slice(0, -1)
    .filter((text) => text !== found)
    .map((text) => `"${text}"`)
    .join(', ');
  if (found === undefined) return `${entry}: nothing fits; looked for ${tried.map((text) => `"${text}"`).join(', ')}`;
  const fits = `${entry}: "${found}" fits${looked === '' ? '' : `, after ${looked}`}`;
  if (isLast)
    return hasLimit
      ? `${fits}, and has a limit`
      : `${fits}, but has no limit${hasMore ? ': the request would need another entry' : ''}`;
  return hasMore ? fits : `${fits}, but nothing is below it: the request has an entry too many`;
}
