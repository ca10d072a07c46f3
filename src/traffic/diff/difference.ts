/**
 * **In**: two verdicts of one call. **Out**: how they differ, as a group of calls that changed alike; `undefined` if they do not.
 * **Fails**: never.
 */
import type { LimitVerdict, NetChanges, NetHeaders, Outcome, Verdict } from '../../core/call.ts';
import type { RecordedVerdict } from '../format.ts';

/** A verdict as it is compared. */
export interface Side {
  readonly outcome: Outcome;
  readonly rule: string | null;
  readonly status: number;
  readonly shadow: readonly string[];
  /** Of a limit call, whether each descriptor is over its limit. */
  readonly over: readonly boolean[];
  /** `undefined` of a recorded verdict, which has neither answer nor changes. */
  readonly verdict: Verdict | LimitVerdict | undefined;
  readonly reasons: readonly { readonly rule: string; readonly text: string }[];
}

export interface Difference {
  /** `allow -> deny by no-second-page`; calls with equal texts are one group. */
  readonly text: string;
  /** Rules that are worth a look, the first of them most. */
  readonly rules: readonly string[];
}

const NO_DESCRIPTORS: readonly boolean[] = [];

export function sideOf(verdict: Verdict | LimitVerdict): Side {
  const { outcome, rule = null, shadow, reasons } = verdict;
  if ('status' in verdict)
    return { outcome, rule, status: verdict.status, shadow, over: NO_DESCRIPTORS, verdict, reasons };
  const over = verdict.statuses.map((status) => status.over);
  return {
    outcome,
    rule,
    status: outcome === 'allow' ? 200 : outcome === 'deny' ? 429 : 503,
    shadow,
    over,
    verdict,
    reasons,
  };
}

export const recordedSide = ({ outcome, rule, status, shadow, statuses, reasons }: RecordedVerdict): Side => ({
  outcome,
  rule,
  status,
  shadow,
  over: statuses?.map(({ over }) => over) ?? NO_DESCRIPTORS,
  verdict: undefined,
  reasons,
});

export function differenceOf(now: Side, then: Side): Difference | undefined {
  if (now.outcome !== then.outcome || now.rule !== then.rule)
    return { text: `${nameOf(now)} -> ${nameOf(then)}`, rules: rulesOf(then.rule, now.rule) };
  if (now.status !== then.status)
    return { text: `${nameOf(now)}: status ${now.status} -> ${then.status}`, rules: rulesOf(then.rule) };
  if (!areEqual(now.over, then.over))
    return { text: `${nameOf(now)}: other descriptors are over their limit`, rules: rulesOf(then.rule) };
  if (!areEqual(now.shadow, then.shadow)) {
    const more = then.shadow.filter((rule) => !now.shadow.includes(rule));
    const fewer = now.shadow.filter((rule) => !then.shadow.includes(rule));
    const parts = [
      ...(more.length > 0 ? [`now refused in shadow mode by ${more.join(', ')}`] : []),
      ...(fewer.length > 0 ? [`no longer refused in shadow mode by ${fewer.join(', ')}`] : []),
    ];
    return parts.length === 0 ? undefined : { text: `${nameOf(now)}: ${parts.join('; ')}`, rules: [...more, ...fewer] };
  }
  return now.verdict === undefined || then.verdict === undefined
    ? undefined
    : answerDifference(now, now.verdict, then.verdict);
}

const nameOf = ({ outcome, rule }: Side): string => (rule === null ? outcome : `${outcome} by ${rule}`);

const rulesOf = (...rules: readonly (string | null)[]): readonly string[] => [
  ...new Set(rules.filter((rule) => rule !== null)),
];

const areEqual = <T>(one: readonly T[], other: readonly T[]): boolean =>
  one.length === other.length && one.every((item, at) => item === other[at]);

/** Of the same outcome by the same rule, what the client or the upstream gets. */
function answerDifference(
  side: Side,
  now: Verdict | LimitVerdict,
  then: Verdict | LimitVerdict,
): Difference | undefined {
  const parts =
    'changes' in now && 'changes' in then
      ? [
          ...(now.body === then.body ? [] : ['body']),
          ...(arePairsEqual(now.headers, then.headers) ? [] : ['headers']),
          ...changedParts(now.changes, then.changes),
        ]
      : 'response' in now && 'response' in then && !areHeadersEqual(now.response, then.response)
        ? ['response headers']
        : [];
  if (parts.length === 0) return undefined;
  return { text: `${nameOf(side)}: other ${parts.join(', ')}`, rules: rulesOf(side.rule) };
}

function changedParts(now: NetChanges, then: NetChanges): readonly string[] {
  if (now === then) return [];
  const parts: string[] = [];
  if (!areHeadersEqual(now.request, then.request)) parts.push('request headers');
  if (!areHeadersEqual(now.response, then.response)) parts.push('response headers');
  if (!arePairsEqual(now.query.set, then.query.set) || !areEqual(now.query.remove, then.query.remove))
    parts.push('query');
  if (!arePairsEqual(now.metadata, then.metadata)) parts.push('metadata');
  return parts;
}

type Pairs = readonly (readonly [name: string, value: string])[];

const arePairsEqual = (one: Pairs, other: Pairs): boolean =>
  one === other ||
  (one.length === other.length &&
    one.every(([name, value], at) => name === other[at]?.[0] && value === other[at]?.[1]));

const areHeadersEqual = (one: NetHeaders, other: NetHeaders): boolean =>
  one === other ||
  (arePairsEqual(one.set, other.set) && arePairsEqual(one.append, other.append) && areEqual(one.remove, other.remove));
