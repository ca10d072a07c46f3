/** Several limits of one descriptor (`sluice: { also: [...] }`): what each is known by. */
import { cacheKey, type KeyStyle } from './cache-key.ts';
import { Code, type DescriptorStatus, unitName } from '../call.ts';
import type { Limit } from '../config/tree.ts';
import type { Match } from './match.ts';

/** The reference has one limit for a descriptor: further ones are counted apart from all that it knows. */
const OWN_PREFIX = 'sluice:also:';

/** `hour`, or `900s` where it has a period of its own. */
const periodOf = ({ unit, window: { lengthS } }: Limit): string =>
  unit === undefined ? `${lengthS}s` : unitName(unit).toLowerCase();

/** As if it were the only one; in metrics and for clients it is known by its period, too. */
export function matchOfAlso({ metricKey, sharedValues, limit: { name, fullKey } }: Match, limit: Limit): Match {
  const period = periodOf(limit);
  return {
    limit,
    sharedValues,
    metricKey: `${metricKey}.${period}`,
    policy: `${name === '' ? fullKey : name}.${period}`,
  };
}

/** The counter of a window. Windows of different lengths may begin together. */
export function windowKey(
  { keyStyle, keyPrefix }: { readonly keyStyle: KeyStyle; readonly keyPrefix: string },
  { limit, sharedValues, policy }: Match,
  domain: string,
  entries: readonly (readonly [key: string, value: string])[],
  windowStartS: number,
): string {
  const isFirst = policy === undefined;
  return cacheKey(isFirst ? keyStyle : 'safe', {
    prefix: isFirst ? keyPrefix : `${keyPrefix}${OWN_PREFIX}`,
    domain,
    entries,
    sharedValues,
    windowS: limit.window.lengthS,
    windowStartS,
  });
}

/** The one that is told of a descriptor: of those that refuse the one that does longest, else that of which least is left. */
export function tellingStatus(statuses: readonly DescriptorStatus[]): DescriptorStatus {
  const refusing = statuses.filter(({ code }) => code === Code.OVER_LIMIT);
  return refusing.length > 0
    ? refusing.reduce((one, other) => ((other.resetS ?? 0) > (one.resetS ?? 0) ? other : one))
    : statuses.reduce((one, other) => (other.remaining < one.remaining ? other : one));
}
