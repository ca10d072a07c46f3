/** Headers of an answer: the reference's three, and the IETF draft's. */
import { ratelimitFields } from '../../core/verdict/ratelimit-fields.ts';
import { Code, type DescriptorStatus, type RateLimitReply } from '../call.ts';
import type { ChargeMade } from '../charge/charge-made.ts';
import type { LimitFound } from '../walk/limit-found.ts';
import { UNLIMITED_REMAINING } from './status.ts';

type Headers = RateLimitReply['headers'];

export interface HeaderNames {
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
}

/** Shows the last refusal that is not a quota's; without one, the first descriptor with the least remaining. */
export function referenceHeaders(
  found: readonly LimitFound[],
  statuses: readonly DescriptorStatus[],
  names: HeaderNames,
): Headers {
  let shown: DescriptorStatus | undefined;
  let least = UNLIMITED_REMAINING;
  for (const [at, status] of statuses.entries()) {
    if (status.currentLimit === undefined) continue;
    const refuses = status.code === Code.OVER_LIMIT && found[at]?.isQuota === false;
    if (!refuses && status.remaining >= least) continue;
    shown = status;
    least = refuses ? 0 : status.remaining;
  }
  if (shown?.currentLimit === undefined) return [];
  return [
    [names.limit, String(shown.currentLimit.requestsPerUnit)],
    [names.remaining, String(shown.remaining)],
    [names.reset, String(shown.resetS ?? 0)],
  ];
}

/** Every limit that can refuse the caller, with its remaining hits; Retry-After with a refusal. `answered`: a status for each charge. */
export function ietfHeaders(
  charges: readonly ChargeMade[],
  answered: readonly DescriptorStatus[],
  isRefused: boolean,
): Headers {
  const shown = charges.flatMap(({ found }, at) =>
    found.isShadow ? [] : [{ found, status: answered[at] as DescriptorStatus }],
  );
  const retryS = Math.max(
    0,
    ...shown.map(({ status }) => (status.code === Code.OVER_LIMIT ? (status.resetS ?? 0) : 0)),
  );
  const fields = shown.map(({ found, status: { remaining, resetS = 0 } }) => ({
    policy: found.policy,
    limit: found.currentLimit.requestsPerUnit,
    perMs: (found.endsAtS - found.startS) * 1000,
    remaining,
    resetMs: resetS * 1000,
    isConcurrency: found.ask.bucket.algorithm === 'concurrency',
  }));
  return [...ratelimitFields(fields), ...(isRefused && retryS > 0 ? [['Retry-After', String(retryS)] as const] : [])];
}
