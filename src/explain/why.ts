/**
 * Why a kept call was decided as it was.
 * **In**: a kept verdict with the outcomes of its rules. **Out**: each rule with the part of its condition that decided and the values that
 * this part read, the answers of handlers, and the state of the counters now. **Fails**: never; nothing is charged or asked but counters.
 */
import type { Wire } from '../attributes/bag.ts';
import type { CallKind } from '../attributes/carrier.ts';
import { RedactedRequest } from '../attributes/redacted-request.ts';
import type { QuotaInspection } from '../core/dispatch/quota-inspection.ts';
import type { FoundVerdict } from '../core/history/kept-verdicts.ts';
import type { DecidedByRules, KeptVerdict } from '../core/history/summary.ts';
import type { QuotaEntry, RuleOutcome } from '../core/outcome.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Rule } from '../core/rules/rule.ts';
import { DecidingParts } from './deciding-part.ts';

export interface WhyRule {
  readonly name: string;
  /** `file:line`. */
  readonly at: string;
  readonly action: string;
  readonly mode: string;
  /** As written; true: it always applies. */
  readonly match: string | true;
  readonly result: 'applies' | 'does not apply' | 'failed';
  /** The part of the match that decided or failed; null: it has no match. */
  readonly why: string | null;
  /** Of the attributes that the match read. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly decided: boolean;
}

export interface WhyAnswer {
  readonly rule: string;
  readonly handler: string;
  readonly says: 'allow' | 'deny' | 'failed' | 'granted' | 'over' | 'values' | 'nothing';
  /** google.rpc.Code of a denial. */
  readonly code: number | null;
  readonly reason: string | null;
  /** null: it answered at once. */
  readonly tookMs: number | null;
}

export interface Why {
  readonly verdict: KeptVerdict;
  /** In order. Empty if the policy of the verdict was replaced, or if it is kept in brief. */
  readonly rules: readonly WhyRule[];
  /** Rules that are left out, since the index excludes them or there are too many. */
  readonly omitted: number;
  readonly answers: readonly WhyAnswer[];
  readonly limits: readonly QuotaInspection[];
}

/** Tracing compiles a match again, which takes up to a millisecond. */
const MAX_TRACED = 200;

type Inspect = (call: CallKind, wires: readonly Wire[]) => Promise<readonly QuotaInspection[] | undefined>;

/** `inspect`: the quota rules of a call, without charging. */
export async function whyOf({ summary, decided }: FoundVerdict, inspect: Inspect): Promise<Why> {
  if (decided === undefined) return { verdict: summary, rules: [], omitted: 0, answers: [], limits: [] };
  const { snapshot, bag, call, outcomes } = decided;
  const shown = new RedactedRequest(bag);
  const asked = snapshot.policy.rules.filter(({ calls }) => calls.has(call));
  const traced = tracedRules(decided, asked);
  const hasQuotas = outcomes.some(({ prepared }) => prepared.action?.kind === 'quota');
  const inspected = hasQuotas ? await inspect(call, [bag.wire]) : undefined;
  return {
    verdict: summary,
    rules: traced.map((rule) => ruleOf(rule, decided, shown)),
    omitted: asked.length - traced.length,
    answers: answersOf(decided, shown),
    limits: inspected?.filter(({ applies }) => applies) ?? [],
  };
}

/** All of a short policy; of a long one those that the index does not exclude. Those with an outcome come first into the bound. */
function tracedRules({ snapshot, bag, call, outcomes }: DecidedByRules, asked: readonly Rule[]): readonly Rule[] {
  if (asked.length <= MAX_TRACED) return asked;
  const { checks, quotas } = snapshot.candidates;
  const rules = [...outcomes, ...withRule(checks(bag, call)), ...withRule(quotas(bag, call))].map(
    ({ prepared }) => prepared.rule,
  );
  return [...new Set(rules)].slice(0, MAX_TRACED).toSorted((a, b) => a.index - b.index);
}

const withRule = (all: readonly RuleOutcome['prepared'][]): readonly { readonly prepared: RuleOutcome['prepared'] }[] =>
  all.map((prepared) => ({ prepared }));

const parts = new WeakMap<Policy, DecidingParts>();

function partsOf(policy: Policy): DecidingParts {
  let known = parts.get(policy);
  if (known === undefined) parts.set(policy, (known = new DecidingParts(policy.attributes)));
  return known;
}

function ruleOf(rule: Rule, { snapshot, bag, verdict }: DecidedByRules, shown: RedactedRequest): WhyRule {
  const { policy } = snapshot;
  const { result, text, failure, read } = partsOf(policy).of(rule, bag);
  const { name, position, action, mode, match } = rule;
  return {
    name,
    at: `${position.file}:${position.line}`,
    action: action?.kind ?? 'changes',
    mode: mode.kind === 'percent' ? `${mode.percent} %` : mode.kind,
    match: match?.source ?? true,
    result,
    why: text === undefined ? null : failure === undefined ? text : `${text}: ${failure}`,
    values: Object.fromEntries(
      read
        .filter((slot) => slot < policy.attributes.size)
        .map((slot) => [policy.attributes.at(slot).name, shown.attribute(slot)]),
    ),
    decided: name === verdict.rule,
  };
}

function answersOf({ snapshot, bag, call, outcomes, quotas }: DecidedByRules, shown: RedactedRequest): WhyAnswer[] {
  const enriching = snapshot.enrich(call).map(({ rule, action, match }): WhyAnswer => {
    const isSaid = action.outputs.some(({ slot }) => bag.get(slot) !== undefined);
    const says = (match === undefined || match(bag) === true) && isSaid ? 'values' : 'nothing';
    return { rule: rule.name, handler: action.handler, says, code: null, reason: null, tookMs: null };
  });
  return [...enriching, ...outcomes.flatMap((outcome) => answerOf(outcome, quotas, shown) ?? [])];
}

function answerOf(outcome: RuleOutcome, quotas: readonly QuotaEntry[], shown: RedactedRequest): WhyAnswer | undefined {
  const { prepared, result, handlerUs } = outcome;
  const { rule, handler } = prepared;
  if (handler === undefined) return undefined;
  const tookMs = handlerUs === 0 ? null : handlerUs / 1000;
  const frame = { rule: rule.name, handler: handler.spec.name, code: null, reason: null, tookMs };
  if (result.kind === 'failed')
    return result.part === 'handler' ? { ...frame, says: 'failed', reason: shown.text(result.why) } : undefined;
  const entry = quotas.find((one) => one.outcome === outcome);
  if (entry !== undefined) return entry.answer && { ...frame, ...quotaSaid(entry.answer) };
  if (result.kind === 'over' || result.answer === undefined) return undefined;
  const { answer } = result;
  return answer.kind === 'allow'
    ? { ...frame, says: 'allow' }
    : { ...frame, says: 'deny', code: answer.code, reason: shown.text(answer.reason) };
}

const quotaSaid = ({
  granted,
  limit,
  remaining,
}: NonNullable<QuotaEntry['answer']>): Pick<WhyAnswer, 'says' | 'reason'> => ({
  says: granted ? 'granted' : 'over',
  reason: `${remaining} of ${limit} left`,
});
