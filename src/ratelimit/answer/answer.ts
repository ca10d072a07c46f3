/**
 * **In**: what the counters of a call are at. **Out**: the answer, and what the metrics count of it. **Fails**: never.
 */
import { ratelimitFields } from '../../core/verdict/ratelimit-fields.ts';
import type { AnswerSettings } from './answer-settings.ts';
import { type Applied, flattened } from '../walk/walk.ts';
import { Code, type DescriptorStatus, type RateLimitCall, type RateLimitReply } from '../call.ts';
import { dynamicMetadataOf } from './dynamic-metadata.ts';
import type { LocalCache } from '../charge/local-cache.ts';
import type { RatelimitMetrics, RuleMetrics } from '../metrics/metrics.ts';
import { tellingStatus } from '../walk/several-limits.ts';

/** Proto's uint32, which means: without a limit. */
const UNLIMITED_REMAINING = 0xffff_ffff;
const OK: DescriptorStatus = { code: Code.OK, currentLimit: undefined, remaining: 0, resetS: undefined };
const UNLIMITED: DescriptorStatus = { ...OK, remaining: UNLIMITED_REMAINING };

/** `cache` remembers what is over; a limit that grows as time goes on (no fixed window) is never over for the rest of it. */
export function statusOf(
  one: Applied,
  nowS: number,
  nearLimitRatio: number,
  cache: LocalCache | undefined,
): DescriptorStatus {
  if (one.kind === 'none') return OK;
  if (one.kind === 'unlimited') return UNLIMITED;
  const {
    metrics: own,
    hits,
    after,
    isCached,
    ask: { key, limit, endsAtS },
    currentLimit,
    resetS = endsAtS - nowS,
  } = one;
  const isOver = isCached || after > limit;
  const before = after >= hits ? after - hits : Infinity; // hits that were not charged, for which the reference's unsigned number wraps
  if (isCached) {
    own.over_limit += hits;
    own.over_limit_with_local_cache += hits;
  } else {
    countNear(own, before, after, hits, limit, nearLimitRatio);
    if (isOver) {
      if (one.before === undefined && one.algorithm === undefined) cache?.markOver(key, endsAtS);
    } else own.within_limit += hits;
  }
  if (isOver && one.isShadow) own.shadow_mode += isCached || before >= limit ? hits : after - limit;
  return {
    code: isOver && !one.isShadow ? Code.OVER_LIMIT : Code.OK,
    currentLimit,
    remaining: isOver ? 0 : limit - after,
    resetS,
  };
}

/** Of the hits, those beyond the limit and those near it. */
function countNear(own: RuleMetrics, before: number, after: number, hits: number, limit: number, ratio: number): void {
  const near = Math.floor(Math.fround(Math.fround(limit) * Math.fround(ratio)));
  if (after > limit) {
    if (before >= limit) own.over_limit += hits;
    else {
      own.over_limit += after - limit;
      own.near_limit += limit - Math.max(near, before);
    }
  } else if (after > near) own.near_limit += before >= near ? hits : after - near;
}

/** `all`: a status for each limit, those of one descriptor beside each other. */
export function replyOf(
  call: RateLimitCall,
  applied: readonly Applied[],
  all: readonly DescriptorStatus[],
  settings: AnswerSettings,
  metrics: RatelimitMetrics,
): RateLimitReply {
  const statuses = statusesOf(applied, all);
  const isOver = (at: number): boolean => statuses[at]?.code === Code.OVER_LIMIT;
  const quotas = applied.flatMap(({ isQuota }, at) => (isQuota ? [at] : []));
  const refuses =
    applied.some(({ isQuota }, at) => !isQuota && isOver(at)) || (quotas.length > 0 && quotas.every(isOver));
  const isShadowed = refuses && settings.shadowMode;
  if (isShadowed) metrics.service.globalShadowMode++;
  return {
    overallCode: refuses && !isShadowed ? Code.OVER_LIMIT : Code.OK,
    statuses,
    headers: [
      ...(settings.headers === undefined ? [] : headersOf(applied, statuses, settings.headers)),
      ...(settings.ietfHeaders ? ietfHeadersOf(flattened(applied), all, refuses && !isShadowed) : []),
    ],
    dynamicMetadata: settings.dynamicMetadata
      ? dynamicMetadataOf(
          call,
          applied.filter((_, at) => !isOver(at)).map(({ metadata }) => metadata),
        )
      : undefined,
  };
}

/** One for each descriptor. */
function statusesOf(applied: readonly Applied[], all: readonly DescriptorStatus[]): readonly DescriptorStatus[] {
  if (applied.length === all.length) return all;
  let at = 0;
  return applied.map(({ also }) => tellingStatus(all.slice(at, (at += 1 + also.length))));
}

/** Of the least remaining, the first; but of those that refuse (and are no quota), the last. */
function headersOf(
  applied: readonly Applied[],
  statuses: readonly DescriptorStatus[],
  headers: NonNullable<AnswerSettings['headers']>,
): RateLimitReply['headers'] {
  let shown: DescriptorStatus | undefined;
  let least = UNLIMITED_REMAINING;
  for (const [at, status] of statuses.entries()) {
    if (status.currentLimit === undefined) continue;
    const refuses = status.code === Code.OVER_LIMIT && applied[at]?.isQuota === false;
    if (!refuses && status.remaining >= least) continue;
    shown = status;
    least = refuses ? 0 : status.remaining;
  }
  if (shown?.currentLimit === undefined) return [];
  return [
    [headers.limit, String(shown.currentLimit.requestsPerUnit)],
    [headers.remaining, String(shown.remaining)],
    [headers.reset, String(shown.resetS ?? 0)],
  ];
}

/** Every limit that counts for the caller: what it is, and what is left of it; and, where it is refused, when to come again. */
function ietfHeadersOf(
  applied: readonly Applied[],
  statuses: readonly DescriptorStatus[],
  isRefused: boolean,
): RateLimitReply['headers'] {
  const shown = applied.flatMap((one, at) =>
    one.kind === 'limited' && !one.isShadow ? [{ one, status: statuses[at] as DescriptorStatus }] : [],
  );
  const retryS = Math.max(
    0,
    ...shown.map(({ status }) => (status.code === Code.OVER_LIMIT ? (status.resetS ?? 0) : 0)),
  );
  const told = shown.map(
    ({ one: { policy, currentLimit, ask, startS, algorithm }, status: { remaining, resetS = 0 } }) => ({
      policy,
      limit: currentLimit.requestsPerUnit,
      perMs: (ask.endsAtS - startS) * 1000,
      remaining,
      resetMs: resetS * 1000,
      isConcurrency: algorithm?.algorithm === 'concurrency',
    }),
  );
  return [...ratelimitFields(told), ...(isRefused && retryS > 0 ? [['Retry-After', String(retryS)] as const] : [])];
}
