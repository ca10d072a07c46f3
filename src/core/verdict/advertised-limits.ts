import type { QuotaEntry } from '../outcome.ts';
import { ratelimitFields } from './ratelimit-fields.ts';

type Fields = ReturnType<typeof ratelimitFields>;
const NONE: Fields = [];

/** Header fields for the limits of a call that have a `policy` name and were answered. */
export function advertisedLimits(entries: readonly QuotaEntry[]): Fields {
  if (!advertises(entries)) return NONE;
  return ratelimitFields(
    entries.flatMap(({ outcome: { enforced, prepared }, answer, ask: { perMs } }) => {
      const { policy, algorithm } = prepared.action;
      if (policy === undefined || answer === undefined || !enforced) return [];
      const { limit, remaining, resetMs } = answer;
      return [{ policy, limit, perMs, remaining, resetMs, isConcurrency: algorithm === 'concurrency' }];
    }),
  );
}

/** Without a closure for each call: most policies name no limit. */
function advertises(entries: readonly QuotaEntry[]): boolean {
  for (const { outcome } of entries) if (outcome.prepared.action.policy !== undefined) return true;
  return false;
}
