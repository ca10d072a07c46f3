import { ratelimitFields } from './ratelimit-fields.ts';
import type { QuotaEntry } from '../outcome.ts';

type Fields = ReturnType<typeof ratelimitFields>;
const NONE: Fields = [];

/** Header fields about those limits of a call that clients are told of: what the rule's `policy` names, and its handler answered. */
export function toldLimits(entries: readonly QuotaEntry[]): Fields {
  if (
    entries.every(
      ({
        outcome: {
          prepared: {
            rule: { action },
          },
        },
      }) => action?.kind !== 'quota' || action.policy === undefined,
    )
  )
    return NONE;
  return ratelimitFields(
    entries.flatMap(
      ({
        outcome: {
          enforced,
          prepared: {
            rule: { action },
          },
        },
        answer,
        ask: { perMs },
      }) => {
        if (action?.kind !== 'quota' || action.policy === undefined || answer === undefined || !enforced) return [];
        const { limit, remaining, resetMs } = answer;
        return [
          {
            policy: action.policy,
            limit,
            perMs,
            remaining,
            resetMs,
            isConcurrency: action.algorithm === 'concurrency',
          },
        ];
      },
    ),
  );
}
