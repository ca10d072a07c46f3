/**
 * Why a request is answered as it is.
 * **In**: a policy, an engine that has it in force, one request. **Out**: the verdict, what each rule's match came to, and
 * the attributes that were looked at. **Fails**: never; a match that fails is part of the explanation.
 */
import { RecordingBag, RequestBag, type Wire } from '../attributes/bag.ts';
import type { CallKind } from '../attributes/carrier.ts';
import type { LimitVerdict, Verdict } from '../core/call.ts';
import type { RunningEngine } from '../core/engine.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Rule } from '../core/rules/rule.ts';
import { FAILED } from '../expression/index.ts';
import { ShownRequest } from '../attributes/shown-request.ts';

export interface MatchedRule {
  readonly rule: string;
  readonly match: 'applies' | 'does not apply' | 'failed';
  readonly why: string | undefined;
  readonly action: string;
  readonly mode: string;
}

export interface Explanation {
  readonly call: CallKind;
  /** `undefined` for log entries: they are only written down. */
  readonly verdict: Verdict | LimitVerdict | undefined;
  /** Those that answer this call, in order. */
  readonly rules: readonly MatchedRule[];
  /** By name; null where absent, `(secret)` where not to be shown. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

const NOBODY = { remainingMs: undefined, signal: undefined };

export async function explained(policy: Policy, engine: RunningEngine, call: CallKind, wire: Wire): Promise<Explanation> {
  const verdict = await asked(engine, call, wire);
  const below = await engine.bagOf(call, wire) ?? new RequestBag(policy.attributes, wire);
  const bag = new RecordingBag(below);
  const shown = new ShownRequest(below);
  const rules = policy.rules.filter(({ calls }) => calls.has(call)).map((rule) => matched(rule, bag));
  const attributes = Object.fromEntries([...bag.looked.keys()].filter((slot) => slot < policy.attributes.size).map((slot) => [policy.attributes.at(slot).name, shown.attribute(slot)]));
  return { call, verdict, rules, attributes };
}

async function asked(engine: RunningEngine, call: CallKind, wire: Wire): Promise<Verdict | LimitVerdict | undefined> {
  if (call === 'http' || call === 'tcp') return engine.check(call, wire, NOBODY);
  if (call === 'limit') return engine.limit([wire], NOBODY);
  await engine.report(call, wire);
  return undefined;
}

function matched(rule: Rule, bag: RecordingBag): MatchedRule {
  const value = rule.match?.evaluate(bag) ?? true;
  const match = value === FAILED ? 'failed' : value === true ? 'applies' : 'does not apply';
  if (match === 'applies') lookAtInputs(rule, bag);
  return {
    rule: rule.name, match,
    why: value === FAILED ? rule.match?.why(bag) : undefined,
    action: rule.action?.kind ?? 'changes',
    mode: rule.mode.kind === 'percent' ? `${rule.mode.percent} %` : rule.mode.kind,
  };
}

/** What the rule gives its handler is looked at too. */
function lookAtInputs({ action }: Rule, bag: RecordingBag): void {
  if (action === undefined || action.kind === 'deny') return;
  if (action.kind === 'quota') {
    for (const part of [...action.key, action.limit, action.cost, action.burst, action.once]) part?.evaluate(bag);
  } else if (action.kind === 'allow' || action.kind === 'check') action.ask?.input(bag);
  else action.input(bag);
}
