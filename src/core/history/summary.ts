/**
 * A verdict with its reasons and the attributes that were looked at, for operators and the decision log.
 * **In**: a verdict, and the bag that it was made of. **Out**: values without secrets. **Fails**: never.
 */
import { RecordingBag, type RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { RedactedRequest } from '../../attributes/redacted-request.ts';
import type { Masks } from '../../attributes/secrets.ts';
import type { LimitVerdict, Outcome, Reason, Verdict } from '../call.ts';
import { shownKey } from '../dispatch/quota-inspection.ts';
import type { QuotaEntry, RuleOutcome } from '../outcome.ts';
import type { Policy } from '../rules/policy.ts';
import { MATCH_APPLIES, NOTHING_ALLOWED } from '../verdict/check-verdict.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

export interface Decided {
  readonly snapshot: Snapshot;
  readonly bag: RequestBag;
  readonly call: CallKind;
  readonly verdict: Verdict | LimitVerdict;
  readonly timeMs: number;
}
/** With what its rules and handlers said. */
export interface DecidedByRules extends Decided {
  /** Of the rules that applied, or whose match failed, in rule order. */
  readonly outcomes: readonly RuleOutcome[];
  readonly quotas: readonly QuotaEntry[];
}
export interface KeptVerdict {
  /** Id of the verdict. */
  readonly id: string;
  readonly timeMs: number;
  readonly call: CallKind;
  readonly outcome: Outcome;
  readonly rule: string | undefined;
  readonly reasons: readonly Reason[];
  readonly shadow: readonly string[];
  /** Of the policy that decided. */
  readonly revision: string;
  /** `FILE:LINE` of the deciding rule. */
  readonly at: string | undefined;
  /** Fields of the request: null if absent, `(secret)` if hidden. For `limit` those of the first descriptor. */
  readonly request: Readonly<Record<RequestField, unknown>>;
  /** Keys of the quota rules that refused, failed or hit in shadow mode. */
  readonly quotaKeys: readonly {
    readonly rule: string;
    readonly key: readonly { readonly source: string; readonly value: unknown }[];
  }[];
  /** Attributes that the matches read, by name: null if absent, `(secret)` if hidden. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

const FIELDS = {
  requestId: 'request.id',
  method: 'request.method',
  host: 'request.host',
  path: 'request.path',
  peer: 'source.ip',
  client: 'origin.ip',
  principal: 'source.principal',
  domain: 'ratelimit.domain',
  descriptor: 'ratelimit.entries',
} as const;
export type RequestField = keyof typeof FIELDS;

export const NO_FIELDS = Object.fromEntries(Object.keys(FIELDS).map((field) => [field, null])) as Record<
  RequestField,
  null
>;

export const fieldsOf = (shown: RedactedRequest): KeptVerdict['request'] =>
  Object.fromEntries(Object.entries(FIELDS).map(([field, name]) => [field, shown.named(name)])) as Record<
    RequestField,
    unknown
  >;

/** `masks`: attributes that the policy hides in addition to secrets. */
export function summaryOf({ snapshot, bag, call, verdict, timeMs }: Decided, masks?: Masks): KeptVerdict {
  const { id, outcome, rule, reasons, shadow } = verdict;
  const shown = new RedactedRequest(bag, masks);
  return {
    id,
    timeMs,
    call,
    outcome,
    rule,
    shadow,
    revision: snapshot.policy.revision,
    at: placeOf(snapshot, rule),
    reasons: shownReasons(reasons, shown),
    request: fieldsOf(shown),
    quotaKeys: quotaKeysOf(snapshot, bag, call, new Set([rule, ...shadow, ...reasons.map((reason) => reason.rule)])),
    attributes: attributesRead(snapshot, bag, call, shown),
  };
}

function quotaKeysOf(
  snapshot: Snapshot,
  bag: RequestBag,
  call: CallKind,
  rules: ReadonlySet<string | undefined>,
): KeptVerdict['quotaKeys'] {
  return snapshot.quotas
    .filter(({ rule: { name, calls } }) => calls.has(call) && rules.has(name))
    .map(({ rule, action }) => ({ rule: rule.name, key: shownKey(action.key, bag) }));
}

/** Evaluates the matches again, since live calls record nothing. */
function attributesRead(
  { candidates, attributes }: Snapshot,
  bag: RequestBag,
  call: CallKind,
  shown: RedactedRequest,
): Record<string, unknown> {
  const recording = new RecordingBag(bag);
  for (const { rule } of [...candidates.checks(bag, call), ...candidates.quotas(bag, call)])
    rule.match?.evaluate(recording);
  return Object.fromEntries(
    [...recording.looked.keys()].map((slot) => [attributes.at(slot).name, shown.attribute(slot)]),
  );
}

/** A text of the engine's own has no value of the request. */
const shownReasons = (reasons: readonly Reason[], shown: RedactedRequest): readonly Reason[] =>
  reasons.map((reason) =>
    reason.text === MATCH_APPLIES || reason.text === NOTHING_ALLOWED
      ? reason
      : { ...reason, text: shown.text(reason.text) },
  );

export const reasonsOf = ({ bag, verdict }: Decided, masks: Masks): readonly Reason[] =>
  shownReasons(verdict.reasons, new RedactedRequest(bag, masks));

/** A rate limit call has one status for each descriptor; this is that of the whole call. */
export function statusOf(verdict: Verdict | LimitVerdict): number {
  if ('status' in verdict) return verdict.status;
  const { outcome } = verdict;
  return outcome === 'allow' ? 200 : outcome === 'deny' ? 429 : 503;
}

/** By rule, since a policy may have many thousands. */
const places = new WeakMap<Policy, ReadonlyMap<string, string>>();

export function placeOf({ policy }: Snapshot, name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  let known = places.get(policy);
  if (known === undefined) {
    known = new Map(policy.rules.map(({ name: rule, position: { file, line } }) => [rule, `${file}:${line}`]));
    places.set(policy, known);
  }
  return known.get(name);
}

/** As `/verdicts` shows it; an absent value is null. */
export function recordOf({ timeMs, rule, at, request, ...rest }: KeptVerdict): Readonly<Record<string, unknown>> {
  const { id, call, outcome, revision, quotaKeys, reasons, shadow, attributes } = rest;
  return {
    id,
    time: new Date(timeMs).toISOString(),
    call,
    outcome,
    rule: rule ?? null,
    at: at ?? null,
    revision,
    ...request,
    quotaKeys,
    reasons,
    shadow,
    attributes,
  };
}
