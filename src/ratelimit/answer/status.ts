import { Code, type DescriptorStatus } from '../call.ts';
import type { ChargeMade } from '../charge/charge-made.ts';
import type { RuleMetrics } from '../metrics/metrics.ts';

/** The largest uint32, which means "unlimited" on the wire. */
export const UNLIMITED_REMAINING = 0xffff_ffff;

/** The answer to one charge, counted in the metrics of its limit. */
export function statusOf(
  { found, capacity, count, isCachedOver, resetS }: ChargeMade,
  nowS: number,
  nearLimitRatio: number,
): DescriptorStatus {
  const { metrics, hits, isShadow, currentLimit, endsAtS } = found;
  const isOver = isCachedOver || count > capacity;
  const before = count >= hits ? count - hits : Infinity; // hits that were not charged, for which the reference's unsigned number wraps
  if (isCachedOver) {
    metrics.over_limit += hits;
    metrics.over_limit_with_local_cache += hits;
  } else {
    countNear(metrics, before, count, hits, capacity, nearLimitRatio);
    if (!isOver) metrics.within_limit += hits;
  }
  if (isOver && isShadow) metrics.shadow_mode += isCachedOver || before >= capacity ? hits : count - capacity;
  return {
    code: isOver && !isShadow ? Code.OVER_LIMIT : Code.OK,
    currentLimit,
    remaining: isOver ? 0 : capacity - count,
    resetS: resetS ?? endsAtS - nowS,
  };
}

/** Counts the hits beyond the limit and the hits near it. */
function countNear(
  metrics: RuleMetrics,
  before: number,
  after: number,
  hits: number,
  capacity: number,
  ratio: number,
): void {
  const near = Math.floor(Math.fround(Math.fround(capacity) * Math.fround(ratio)));
  if (after > capacity) {
    if (before >= capacity) metrics.over_limit += hits;
    else {
      metrics.over_limit += after - capacity;
      metrics.near_limit += capacity - Math.max(near, before);
    }
  } else if (after > near) metrics.near_limit += before >= near ? hits : after - near;
}

/** The status of a descriptor with several limits: the refusal that lasts longest, else the least remaining. */
export function tightestOf(statuses: readonly DescriptorStatus[]): DescriptorStatus {
  const refusing = statuses.filter(({ code }) => code === Code.OVER_LIMIT);
  return refusing.length > 0
    ? refusing.reduce((one, other) => ((other.resetS ?? 0) > (one.resetS ?? 0) ? other : one))
    : statuses.reduce((one, other) => (other.remaining < one.remaining ? other : one));
}
