/**
 * **In**: limits found and charges made. **Out**: the reply; metrics are counted. **Fails**: never.
 */
import { Code, type DescriptorStatus, type RateLimitCall, type RateLimitReply } from '../call.ts';
import type { ChargeMade } from '../charge/charge-made.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { isCounted, type LimitFound } from '../walk/limit-found.ts';
import { dynamicMetadataOf } from './dynamic-metadata.ts';
import { type HeaderNames, ietfHeaders, referenceHeaders } from './headers.ts';
import { statusOf, tightestOf, UNLIMITED_REMAINING } from './status.ts';

export interface AnswerSettings {
  /** Hits beyond this part of a limit count as near_limit. */
  readonly nearLimitRatio: number;
  /** Refuse nothing, only count. */
  readonly shadowMode: boolean;
  /** RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10), and Retry-After with a refusal. */
  readonly ietfHeaders: boolean;
  readonly headers: HeaderNames | undefined;
  readonly dynamicMetadata: boolean;
}

const OK: DescriptorStatus = { code: Code.OK, currentLimit: undefined, remaining: 0, resetS: undefined };
const UNLIMITED: DescriptorStatus = { ...OK, remaining: UNLIMITED_REMAINING };

/** `charges`: the charges of counted limits, in order; further limits of a descriptor follow its first. */
export function replyOf(
  call: RateLimitCall,
  found: readonly LimitFound[],
  charges: readonly ChargeMade[],
  nowS: number,
  settings: AnswerSettings,
  metrics: RatelimitMetrics,
): RateLimitReply {
  const answered = charges.map((charge) => statusOf(charge, nowS, settings.nearLimitRatio));
  const statuses = statusesOf(found, answered);
  const isOver = refuses(found, statuses);
  const isRefused = isOver && !settings.shadowMode;
  if (isOver && !isRefused) metrics.service.globalShadowMode++;
  return {
    overallCode: isRefused ? Code.OVER_LIMIT : Code.OK,
    statuses,
    headers: [
      ...(settings.headers === undefined ? [] : referenceHeaders(found, statuses, settings.headers)),
      ...(settings.ietfHeaders ? ietfHeaders(charges, answered, isRefused) : []),
    ],
    dynamicMetadata: settings.dynamicMetadata
      ? dynamicMetadataOf(
          call,
          found.flatMap((one, at) =>
            isCounted(one) && statuses[at]?.code === Code.OK && one.metadata !== undefined ? [one.metadata] : [],
          ),
        )
      : undefined,
  };
}

/** One status for each descriptor. */
function statusesOf(found: readonly LimitFound[], answered: readonly DescriptorStatus[]): readonly DescriptorStatus[] {
  if (found.every((one) => isCounted(one) && one.also.length === 0)) return answered;
  let at = 0;
  return found.map((one) => {
    if (!isCounted(one)) return one.kind === 'none' ? OK : UNLIMITED;
    return one.also.length === 0
      ? (answered[at++] as DescriptorStatus)
      : tightestOf(answered.slice(at, (at += 1 + one.also.length)));
  });
}

/** True if a limit is over, or all quotas are. */
function refuses(found: readonly LimitFound[], statuses: readonly DescriptorStatus[]): boolean {
  let quotas = 0;
  let quotasOver = 0;
  for (let at = 0; at < found.length; at++) {
    const isOver = statuses[at]?.code === Code.OVER_LIMIT;
    if (found[at]?.isQuota === true) {
      quotas++;
      if (isOver) quotasOver++;
    } else if (isOver) return true;
  }
  return quotas > 0 && quotasOver === quotas;
}
