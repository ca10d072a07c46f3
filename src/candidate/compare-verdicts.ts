/**
 * Whether two verdicts on one call differ.
 * **In**: the verdict in force, and the candidate's. **Out**: the kind of difference. **Fails**: never.
 */
import type { LimitStatus, LimitVerdict, NetChanges, NetHeaders, Verdict } from '../core/call.ts';

/** `headers`: the same outcome, rule and status, but other headers, texts or metadata for the client or the proxy. */
export type VerdictComparison = 'same' | 'headers' | 'differs';
type AnyVerdict = Verdict | LimitVerdict;

export function compareVerdicts(now: AnyVerdict, then: AnyVerdict): VerdictComparison {
  if (now.outcome !== then.outcome || now.rule !== then.rule) return 'differs';
  if ('status' in now && 'status' in then) {
    if (now.status !== then.status) return 'differs';
    return areSameChanges(now.changes, then.changes) &&
      areSamePairs(now.headers, then.headers) &&
      now.body === then.body
      ? 'same'
      : 'headers';
  }
  if (!('statuses' in now && 'statuses' in then)) return 'differs';
  if (differingDescriptor(now, then) !== undefined) return 'differs';
  return now.statuses.every((status, at) => isSameLimit(status, then.statuses[at])) &&
    areSameHeaders(now.response, then.response)
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

// By hand, since a comparison of any two objects takes longer than to decide the call.

const areSameChanges = (one: NetChanges, other: NetChanges): boolean =>
  one === other ||
  (areSameHeaders(one.request, other.request) &&
    areSameHeaders(one.response, other.response) &&
    areSamePairs(one.query.set, other.query.set) &&
    areSameTexts(one.query.remove, other.query.remove) &&
    areSamePairs(one.metadata, other.metadata));

const areSameHeaders = (one: NetHeaders, other: NetHeaders): boolean =>
  one === other ||
  (areSamePairs(one.set, other.set) &&
    areSamePairs(one.append, other.append) &&
    areSameTexts(one.remove, other.remove));

type Pairs = readonly (readonly [name: string, value: string])[];

const areSamePairs = (one: Pairs, other: Pairs): boolean =>
  one.length === other.length && one.every(([name, value], at) => name === other[at]?.[0] && value === other[at]?.[1]);

const areSameTexts = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((text, at) => text === other[at]);
