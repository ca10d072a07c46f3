import type { QuotaEntry } from '../outcome.ts';
import { fit, type Pair } from './head-room.ts';
import { noteLongText } from './long-texts.ts';
import { ratelimitFields } from './ratelimit-fields.ts';

type Fields = readonly Pair[];
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

/** `headers` with the fields, or without them if `others` and both have no room in one answer: what rules say comes first. */
export function withAdvertised(
  headers: readonly Pair[],
  fields: Fields,
  entries: readonly QuotaEntry[],
  ...others: readonly (readonly Pair[])[]
): readonly Pair[] {
  if (fit([...others.flat(), ...headers, ...fields])) return [...headers, ...fields];
  const first = entries.find(({ outcome }) => outcome.prepared.action.policy !== undefined);
  if (first !== undefined) noteLongText(first.outcome.prepared, 'the limits for clients', 'head', 'it is left out');
  return headers;
}

/** Without a closure for each call: most policies name no limit. */
function advertises(entries: readonly QuotaEntry[]): boolean {
  for (const { outcome } of entries) if (outcome.prepared.action.policy !== undefined) return true;
  return false;
}
