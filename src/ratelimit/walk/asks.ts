/** The asks of a limit to its counter, for windows and for algorithms without windows. */
import type { BucketSpec, CounterAsk } from '../../counting/store.ts';
import type { CurrentLimit } from '../call.ts';
import { ALGORITHMS, type Limit } from '../config/tree.ts';
import { entriesKey, leaseKey } from './cache-key.ts';
import type { Match } from './match.ts';

/** What is the same for all calls of a limit. */
interface CountedAs {
  readonly bucket: BucketSpec;
  readonly currentLimit: CurrentLimit;
}

const known = new WeakMap<Limit, CountedAs>();

/** In memory, no limit evicts another's counters. */
export function countedAs(limit: Limit, domain: string): CountedAs {
  let counted = known.get(limit);
  if (counted === undefined) {
    const { requestsPerUnit, unit, name } = limit;
    counted = { bucket: bucketOf(limit, domain), currentLimit: { requestsPerUnit, unit, name } };
    known.set(limit, counted);
  }
  return counted;
}

function bucketOf({ algorithm, fullKey, window: { lengthS } }: Limit, domain: string): BucketSpec {
  const perMs = lengthS * 1000;
  switch (algorithm) {
    case 'fixed':
      return { counter: fullKey, algorithm: 'window', perMs };
    case 'sliding':
      return { counter: fullKey, algorithm: 'window', perMs: perMs * 2, readForMs: perMs }; // the previous window is read, too
    default:
      return { counter: domain, algorithm, perMs };
  }
}

/** Hits of a window, charged even beyond the limit, as in envoyproxy/ratelimit. Its key contains the window. */
export const windowAsk = (
  bucket: BucketSpec,
  key: string,
  cost: number,
  limit: number,
  endsAtS: number,
): CounterAsk => ({
  kind: 'owe',
  bucket,
  key,
  cost,
  limit,
  burst: limit,
  perMs: bucket.perMs,
  endsAtMs: endsAtS * 1000,
});

/** `undefined` if the limit counts by windows. */
export function algorithmAsk(
  { limit, sharedValues }: Pick<Match, 'limit' | 'sharedValues'>,
  domain: string,
  entries: readonly (readonly [key: string, value: string])[],
  hits: number,
): CounterAsk | undefined {
  const algorithm = ALGORITHMS.find((one) => one === limit.algorithm);
  if (algorithm === undefined) return undefined;
  const { bucket } = countedAs(limit, domain);
  const counter = { bucket, limit: limit.requestsPerUnit, burst: limit.burst, perMs: bucket.perMs };
  if (algorithm !== 'concurrency') return askFor({ ...counter, key: entriesKey(entries, sharedValues) }, hits);
  const leased = limit.endsLease ? entries.slice(0, -1) : entries;
  const holder = leased.at(-1)?.[1] ?? '';
  const key = leaseKey(leased, sharedValues);
  // A lease without a holder cannot be ended; it expires.
  if (holder === '') return askFor({ ...counter, key }, limit.endsLease ? 0 : hits);
  const lease = { ...counter, key, idempotencyKey: holder };
  return limit.endsLease ? { ...lease, kind: 'release' } : askFor(lease, hits);
}

const askFor = (counter: Omit<CounterAsk, 'kind' | 'cost' | 'partial'>, hits: number): CounterAsk =>
  hits === 0 ? { ...counter, kind: 'look' } : { ...counter, kind: 'spend', cost: hits };
