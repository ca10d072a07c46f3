/** Several limits of one descriptor (`sluice: { also: [...] }`): what each is known by. */
import { cacheKey, type KeyStyle } from './cache-key.ts';
import { type Code, type DescriptorStatus, unitName } from './call.ts';
import type { Limit } from './config/tree.ts';
import type { Match } from './match.ts';

/** The reference has one limit for a descriptor: further ones are counted apart from all that it knows. */
const OWN_PREFIX = 'sluice:also:';

/** `hour`, or `900s` where it has a period of its own. */
const periodOf = ({ unit, window: { lengthS } }: Limit): string => (unit === undefined ? `${lengthS}s` : unitName(unit).toLowerCase());

/** As if it were the only one; in metrics and for clients it is known by its period, too. */
export function matchOfAlso({ metricKey, sharedValues, limit: { name, fullKey } }: Match, limit: Limit): Match {
  const period = periodOf(limit);
  return { limit, sharedValues, metricKey: `${metricKey}.${period}`, policy: `${name === '' ? fullKey : name}.${period}` };
}

/** The counter of a window. Windows of different lengths may begin together. */
export function windowKey({ keyStyle, keyPrefix }: { readonly keyStyle: KeyStyle; readonly keyPrefix: string }, { limit, sharedValues, policy }: Match, domain: string, entries: readonly (readonly [key: string, value: string])[], windowStartS: number): string {
  const parts = { domain, entries, sharedValues, windowS: limit.window.lengthS, windowStartS };
  return policy === undefined ? cacheKey(keyStyle, { prefix: keyPrefix, ...parts }) : cacheKey('safe', { prefix: `${keyPrefix}${OWN_PREFIX}`, ...parts });
}

/** The one that is told of a descriptor: of those that refuse the one that does longest, else that of which least is left. */
export function tellingStatus(statuses: readonly DescriptorStatus[], over: Code): DescriptorStatus {
  const refusing = statuses.filter(({ code }) => code === over);
  return refusing.length > 0
    ? refusing.reduce((one, other) => ((other.resetS ?? 0) > (one.resetS ?? 0) ? other : one))
    : statuses.reduce((one, other) => (other.remaining < one.remaining ? other : one));
}
