/**
 * Whether two verdicts on one call differ.
 * **In**: the verdict in force, and the candidate's. **Out**: the kind of difference. **Fails**: never.
 */
import { isDeepStrictEqual } from 'node:util';
import type { LimitStatus, LimitVerdict, Verdict } from '../core/call.ts';

/** `headers`: the same outcome, rule and status, but other headers, texts or metadata for the client or the proxy. */
export type VerdictComparison = 'same' | 'headers' | 'differs';
type AnyVerdict = Verdict | LimitVerdict;

export function compareVerdicts(now: AnyVerdict, then: AnyVerdict): VerdictComparison {
  if (now.outcome !== then.outcome || now.rule !== then.rule) return 'differs';
  if ('status' in now && 'status' in then) {
    if (now.status !== then.status) return 'differs';
    return isAlike(now.changes, then.changes) && isAlike(now.headers, then.headers) && now.body === then.body
      ? 'same'
      : 'headers';
  }
  if (!('statuses' in now && 'statuses' in then)) return 'differs';
  if (differingDescriptor(now, then) !== undefined) return 'differs';
  return now.statuses.every((status, at) => isSameLimit(status, then.statuses[at])) &&
    isAlike(now.response, then.response)
    ? 'same'
    : 'headers';
}

/** The first descriptor that is over its limit by one policy alone, or by another rule. */
export function differingDescriptor(
  { statuses: now }: LimitVerdict,
  { statuses: then }: LimitVerdict,
): number | undefined {
  if (now.length !== then.length) return 0;
  const at = now.findIndex(
    ({ over, rule }, index) => over !== then[index]?.over || (over && rule !== then[index]?.rule),
  );
  return at < 0 ? undefined : at;
}

const isSameLimit = ({ limit, perMs }: LimitStatus, other: LimitStatus | undefined): boolean =>
  limit === other?.limit && perMs === other.perMs;

/** Most verdicts share the objects of calls that nothing changes. */
const isAlike = (one: object, other: object): boolean => one === other || isDeepStrictEqual(one, other);
