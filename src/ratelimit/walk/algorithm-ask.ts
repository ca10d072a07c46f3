import { ALGORITHMS, type AlgorithmAsk } from '../charge/algorithm-store.ts';
import { entriesKey, leaseKey } from './cache-key.ts';
import type { Match } from './match.ts';

/** What is asked of the counter that a descriptor comes to; `undefined` where that is a window. */
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
  // Of a lease that is nobody's, the end can be told by nobody.
  return {
    ...ask,
    key: leaseKey(leased, sharedValues),
    hits: limit.endsLease ? 0 : hits,
    holder: holder === '' ? undefined : holder,
    isEnd: limit.endsLease && holder !== '',
  };
}
