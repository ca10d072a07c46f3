import type { QuotaAnswer } from '../../adapters/contract.ts';

/** What a rule's texts read as `out.*` of its quota. */
export const quotaOutput = (
  { limit, remaining, resetMs }: QuotaAnswer,
  granted: number,
): Readonly<Record<string, unknown>> => ({
  granted: Math.floor(granted),
  limit: Math.floor(limit),
  remaining: Math.floor(remaining),
  reset: resetMs,
});
