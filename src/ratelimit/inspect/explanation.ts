/**
 * Explains which limit a descriptor matches, and why; asks no store.
 * **In**: a domain and entries. **Out**: an explanation, and the ask for the counter. **Fails**: never.
 */
import { type Entries, type Unit, unitName } from '../call.ts';
import { lookOf } from '../../counting/ask.ts';
import { type CounterAsk, nameOf } from '../charge/store.ts';
import type { Domains, Limit } from '../config/tree.ts';
import { algorithmAsk, countedAs, windowAsk } from '../walk/asks.ts';
import { type Match, matchOf, type Step } from '../walk/match.ts';
import type { WalkSettings } from '../walk/walk.ts';
import { matchOfAlso, windowKey } from '../walk/window-key.ts';

export interface AskedLimit {
  readonly domain: string;
  readonly entries: Entries;
}

export interface Explanation extends AskedLimit {
  /** One line per level of the walk. */
  readonly why: readonly string[];
  readonly limit:
    | (Pick<Limit, 'requestsPerUnit' | 'unlimited' | 'name' | 'shadow' | 'quota' | 'replaces' | 'algorithm'> & {
        readonly rule: string;
        readonly at: string;
        readonly unit: string;
        readonly metric: string;
        /** `gcra` only. */
        readonly burst: number | undefined;
      })
    | undefined;
  /** Name of the current window's counter; for an algorithm without windows its name, or its place in the store after `inspect`. */
  readonly counter: string | undefined;
  /** Until the window ends; for an algorithm without windows until the counter is empty, known after `inspect`. */
  readonly resetS: number | undefined;
  /** Further limits of the descriptor; absent for none. */
  readonly also?: readonly Explanation[];
}

/** An explanation, and the ask that reads the counter. */
export interface Explained {
  readonly explanation: Omit<Explanation, 'also'>;
  readonly unit?: Unit | undefined;
  readonly ask?: CounterAsk;
  readonly also?: readonly Explained[];
}

export interface ExplainOptions {
  readonly domains: () => Domains | undefined;
  readonly nowMs: () => number;
  readonly settings: Pick<WalkSettings, 'keyPrefix' | 'keyStyle' | 'withoutDots'>;
}

export function explained(options: ExplainOptions, { domain, entries }: AskedLimit): Explained {
  const domains = options.domains();
  const root = domains?.get(domain);
  const nothing = { domain, entries, limit: undefined, counter: undefined, resetS: undefined };
  if (root === undefined) {
    const known = [...(domains?.keys() ?? [])];
    const why = `no file has the domain ${domain}${known.length === 0 ? '; no domain is loaded' : `; loaded are ${known.join(', ')}`}`;
    return { explanation: { ...nothing, why: [why] } };
  }
  const steps: Step[] = [];
  const match = matchOf(root, domain, entries, options.settings.withoutDots, steps);
  const why = steps.map((step, at) => lineOf(step, at === entries.length - 1));
  if (match === undefined) return { explanation: { ...nothing, why } };
  const one = explainedLimit(options, match, domain, entries, why);
  const { also } = match.limit;
  return also.length === 0
    ? one
    : {
        ...one,
        also: also.map((further) => explainedLimit(options, matchOfAlso(match, further), domain, entries, [])),
      };
}

function explainedLimit(
  { nowMs, settings }: ExplainOptions,
  match: Match,
  domain: string,
  entries: Entries,
  why: readonly string[],
): Explained {
  const { limit, metricKey } = match;
  const { position, unit, window, algorithm } = limit;
  const explanation = {
    domain,
    entries,
    why,
    limit: {
      rule: limit.fullKey,
      at: `${position.file}:${position.line}:${position.column}`,
      requestsPerUnit: limit.requestsPerUnit,
      unit: unit === undefined ? `${window.lengthS} s` : unitName(unit),
      unlimited: limit.unlimited,
      name: limit.name,
      shadow: limit.shadow,
      quota: limit.quota,
      replaces: limit.replaces,
      metric: metricKey,
      algorithm,
      burst: algorithm === 'gcra' ? limit.burst : undefined,
    },
    counter: undefined,
    resetS: undefined,
  };
  if (limit.unlimited) return { explanation };
  const ask = algorithmAsk(match, domain, entries, 0);
  if (ask !== undefined) return { explanation: { ...explanation, counter: nameOf(ask) }, unit, ask: lookOf(ask) };
  const nowS = Math.floor(nowMs() / 1000);
  const { startS, endsAtS } = window.at(nowS);
  const counter = windowKey(settings, match, domain, entries, startS);
  const { bucket } = countedAs(limit, domain);
  return {
    explanation: { ...explanation, counter, resetS: endsAtS - nowS },
    unit,
    ask: lookOf(windowAsk(bucket, counter, 0, limit.requestsPerUnit, endsAtS)),
  };
}

function lineOf({ entry, tried, found, hasLimit, hasMore }: Step, isLast: boolean): string {
  const others = tried
    .slice(0, -1)
    .filter((text) => text !== found)
    .map((text) => `"${text}"`)
    .join(', ');
  if (found === undefined) return `${entry}: no match; tried ${tried.map((text) => `"${text}"`).join(', ')}`;
  const match = `${entry}: matches "${found}"${others === '' ? '' : `, after ${others}`}`;
  if (isLast)
    return hasLimit
      ? `${match}, which has a limit`
      : `${match}, which has no limit${hasMore ? '; the request needs one more entry' : ''}`;
  return hasMore ? match : `${match}, which has nothing below; the request has one entry too many`;
}
