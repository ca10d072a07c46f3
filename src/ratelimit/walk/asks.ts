/** Asks of a limit to its counter: of a window, or of an algorithm without windows. */
import { ALGORITHMS, type Algorithm } from '../config/tree.ts';
import { entriesKey, leaseKey } from './cache-key.ts';
import type { Match } from './match.ts';

export interface CountAsk {
  /** Full name of the counter, with its window. */
  readonly key: string;
  readonly hits: number;
  /** The limit that the counter belongs to. A store in this process evicts within a group, so no limit evicts another's counters. */
  readonly group?: string;
  readonly limit: number;
  /** How long the counter is kept, in seconds. */
  readonly keptS: number;
  /** End of the window, in seconds since 1970. */
  readonly endsAtS: number;
  /** Until when the counter is read, in seconds since 1970; a sliding limit reads it for one window more. */
  readonly usedUntilS: number;
}

export interface AlgorithmAsk {
  readonly algorithm: Algorithm;
  readonly perMs: number;
  readonly domain: string;
  /** Name of the counter within its domain. */
  readonly key: string;
  /** 0 looks without charging; a negative number gives back. */
  readonly hits: number;
  readonly limit: number;
  /** `gcra`: how many hits may come at once. */
  readonly burst: number;
  /** `concurrency`: who takes the lease; a holder that has it already keeps it, uncharged. */
  readonly holder: string | undefined;
  /** `concurrency`: ends the holder's lease, and charges nothing. */
  readonly isEnd: boolean;
}

/** Name of an algorithm's counter, unique over all stores. */
export const nameOf = ({ algorithm, domain, key }: AlgorithmAsk): string => `${algorithm} ${domain} ${key}`;

/** `undefined` where the limit counts by windows. */
export function algorithmAsk(
  { limit, sharedValues }: Pick<Match, 'limit' | 'sharedValues'>,
  domain: string,
  entries: readonly (readonly [key: string, value: string])[],
  hits: number,
): AlgorithmAsk | undefined {
  const algorithm = ALGORITHMS.find((one) => one === limit.algorithm);
  if (algorithm === undefined) return undefined;
  const ask = {
    algorithm,
    perMs: limit.window.lengthS * 1000,
    domain,
    hits,
    limit: limit.requestsPerUnit,
    burst: limit.burst,
    holder: undefined,
    isEnd: false,
  };
  if (algorithm !== 'concurrency') return { ...ask, key: entriesKey(entries, sharedValues) };
  const leased = limit.endsLease ? entries.slice(0, -1) : entries;
  const holder = leased.at(-1)?.[1];
  // A lease without a holder cannot be ended; it expires.
  return {
    ...ask,
    key: leaseKey(leased, sharedValues),
    hits: limit.endsLease ? 0 : hits,
    holder: holder === '' ? undefined : holder,
    isEnd: limit.endsLease && holder !== '',
  };
}
