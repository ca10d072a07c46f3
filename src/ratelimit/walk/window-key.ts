/** Names of the counters of windows, including further limits of a descriptor (`sluice: { also: [...] }`). */
import { unitName } from '../call.ts';
import type { Limit } from '../config/tree.ts';
import { cacheKey, type KeyStyle } from './cache-key.ts';
import type { Match } from './match.ts';

/** The reference has one limit per descriptor; further ones use counters that it never touches. */
const ALSO_PREFIX = 'sluice:also:';

/** `hour`, or `900s` for a period that is not a unit. */
const periodName = ({ unit, window: { lengthS } }: Limit): string =>
  unit === undefined ? `${lengthS}s` : unitName(unit).toLowerCase();

/** A further limit as a separate match; its period is part of its name in metrics and headers. */
export function matchOfAlso({ metricKey, sharedValues, limit: { name, fullKey } }: Match, limit: Limit): Match {
  const period = periodName(limit);
  return {
    limit,
    sharedValues,
    metricKey: `${metricKey}.${period}`,
    policy: `${name === '' ? fullKey : name}.${period}`,
  };
}

/** Further limits use `safe` keys, since windows of different lengths may begin at the same second. */
export function windowKey(
  { keyStyle, keyPrefix }: { readonly keyStyle: KeyStyle; readonly keyPrefix: string },
  { limit, sharedValues, policy }: Omit<Match, 'limit' | 'metricKey'> & { readonly limit: Pick<Limit, 'window'> },
  domain: string,
  entries: readonly (readonly [key: string, value: string])[],
  windowStartS: number,
): string {
  const isFirst = policy === undefined;
  return cacheKey(isFirst ? keyStyle : 'safe', {
    prefix: isFirst ? keyPrefix : `${keyPrefix}${ALSO_PREFIX}`,
    domain,
    entries,
    sharedValues,
    windowS: limit.window.lengthS,
    windowStartS,
  });
}
