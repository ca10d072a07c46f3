import type { QuotaEntry } from '../outcome.ts';
import { ratelimitFields } from './ratelimit-fields.ts';

type Fields = ReturnType<typeof ratelimitFields>;
const NONE: Fields = [];

/** Header fields for the limits of a call that have a `policy` name and were answered. */
export function advertisedLimits(entries: readonly QuotaEntry[]): Fields {
  if (entries.every(({ outcome: { prepared } }) => prepared.action.policy === undefined)) return NONE;
  return ratelimitFields(
    entries.flatMap(({ outcome: { enforced, prepared }, answer, ask: { perMs } }) => {
      const { policy, algorithm } = prepared.action;
      if (policy === undefined || answer === undefined || !enforced) return [];
      const { limit, remaining, resetMs } = answer;
      return [{ policy, limit, perMs, remaining, resetMs, isConcurrency: algorithm === 'concurrency' }];
    }),
  );
}
