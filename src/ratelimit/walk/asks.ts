/** The asks of a limit to its counter, for windows and for algorithms without windows. */
import type { BucketSpec, CounterAsk } from '../../counting/store.ts';
import { ALGORITHMS, type Limit } from '../config/tree.ts';
import { entriesKey, leaseKey } from './cache-key.ts';
import type { Match } from './match.ts';

/** Hits of a window, charged even beyond the limit, as in envoyproxy/ratelimit. Its key contains the window. */
export type WindowAsk = Extract<CounterAsk, { readonly kind: 'owe' }> & { readonly endsAtMs: number };
export type AlgorithmAsk = CounterAsk;

/** The buckets of limits, each made once. */
const buckets = new WeakMap<Limit, BucketSpec>();

/** In memory, no limit evicts another's counters. */
export function windowBucket(limit: Limit): BucketSpec {
  let bucket = buckets.get(limit);
  if (bucket === undefined) {
    const perMs = limit.window.lengthS * 1000;
    const isSliding = limit.algorithm === 'sliding'; // the previous window is read, too
    bucket = {
      counter: limit.fullKey,
      algorithm: 'window',
      perMs: isSliding ? perMs * 2 : perMs,
      ...(isSliding ? { readForMs: perMs } : {}),
    };
    buckets.set(limit, bucket);
  }
  return bucket;
}

function algorithmBucket(limit: Limit, algorithm: BucketSpec['algorithm'], domain: string): BucketSpec {
  let bucket = buckets.get(limit);
  if (bucket === undefined)
    buckets.set(limit, (bucket = { counter: domain, algorithm, perMs: limit.window.lengthS * 1000 }));
  return bucket;
}

/** `undefined` if the limit counts by windows. */
export function algorithmAsk(
  { limit, sharedValues }: Pick<Match, 'limit' | 'sharedValues'>,
  domain: string,
  entries: readonly (readonly [key: string, value: string])[],
  hits: number,
): AlgorithmAsk | undefined {
  const algorithm = ALGORITHMS.find((one) => one === limit.algorithm);
  if (algorithm === undefined) return undefined;
  const bucket = algorithmBucket(limit, algorithm, domain);
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

const askFor = (counter: Omit<AlgorithmAsk, 'kind' | 'cost' | 'partial'>, hits: number): AlgorithmAsk =>
  hits === 0 ? { ...counter, kind: 'look' } : { ...counter, kind: 'spend', cost: hits };
