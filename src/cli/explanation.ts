/**
 * Why a request is answered as it is.
 * **In**: a policy, an engine that has it in force, one request. **Out**: the verdict, what each rule's match came to, and
 * the attributes that were looked at. **Fails**: never; a match that fails is part of the explanation.
 */
import { RecordingBag, RequestBag, type Wire } from '../attributes/bag.ts';
import type { CallKind } from '../attributes/carrier.ts';
import { type LimitVerdict, type NetHeaders, NO_CALLER, type Verdict } from '../core/call.ts';
import type { RunningEngine } from '../core/engine.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Rule } from '../core/rules/rule.ts';
import { bagWithOutputs } from '../core/verdict/denial-bag.ts';
import { FAILED } from '../expression/index.ts';
import { ShownRequest } from '../attributes/shown-request.ts';

export interface MatchedRule {
  readonly rule: string;
  readonly match: 'applies' | 'does not apply' | 'failed';
  readonly why: string | undefined;
  readonly action: string;
  readonly mode: string;
}

/** A text of a rule that could not be made, so that all that the rule sets is taken away. */
export interface FailedText {
  readonly rule: string;
  /** `request x-user`, `response x-id`, `query page`, `metadata tier`. */
  readonly text: string;
  readonly why: string;
}

/** What a call would do beside its answer, and looking did not. */
export interface NotDone {
  readonly rule: string;
  readonly what: 'charge' | 'report';
  readonly handler: string;
}

export interface Explanation {
  readonly call: CallKind;
  /** `undefined` for log entries: they are only written down. */
  readonly verdict: Verdict | LimitVerdict | undefined;
  /** Those that answer this call, in order. */
  readonly rules: readonly MatchedRule[];
  readonly failedTexts: readonly FailedText[];
  /** Empty where it was done for real. */
  readonly notDone: readonly NotDone[];
  /** What matches, inputs, keys and texts of the rules looked at, by name; null where absent, `(secret)` where not to be shown. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** `isForReal`: the engine's handlers charge and write. */
export async function explained(
  policy: Policy,
  engine: RunningEngine,
  call: CallKind,
  wire: Wire,
  isForReal: boolean,
): Promise<Explanation> {
  const verdict = await asked(engine, call, wire);
  const below = (await engine.bagOf(call, wire)) ?? new RequestBag(policy.attributes, wire);
  const bag = new RecordingBag(below);
  const shown = new ShownRequest(below);
  const asking = policy.rules.filter(({ calls }) => calls.has(call));
  const rules = asking.map((rule) => matched(rule, bag));
  const applying = asking.filter((_, at) => rules[at]?.match === 'applies');
  const failedTexts = applying
    .flatMap((rule) => textsOf(rule, bag))
    .map((text) => ({ ...text, why: shown.text(text.why) }));
  const attributes = Object.fromEntries(
    [...bag.looked.keys()]
      .filter((slot) => slot < policy.attributes.size)
      .map((slot) => [policy.attributes.at(slot).name, shown.attribute(slot)]),
  );
  const isTaken = verdict === undefined || verdict.outcome === 'allow';
  return {
    call,
    verdict: verdict === undefined ? undefined : withoutSecrets(verdict, shown),
    rules,
    failedTexts: isTaken ? failedTexts : [],
    notDone: isForReal ? [] : notDone(applying, verdict),
    attributes,
  };
}

async function asked(engine: RunningEngine, call: CallKind, wire: Wire): Promise<Verdict | LimitVerdict | undefined> {
  if (call === 'http' || call === 'tcp') return engine.check(call, wire, NO_CALLER);
  if (call === 'limit') return engine.limit([wire], NO_CALLER);
  await engine.report(call, wire);
  return undefined;
}

function matched(rule: Rule, bag: RecordingBag): MatchedRule {
  const value = rule.match?.evaluate(bag) ?? true;
  const match = value === FAILED ? 'failed' : value === true ? 'applies' : 'does not apply';
  if (match === 'applies') lookAtInputs(rule, bag);
  return {
    rule: rule.name,
    match,
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
  } else action.input?.(bag);
}

/** Looks at all texts; those of `onAllow` that fail are told. What reads `out.*` is known to the call alone, and left to its answer. */
function textsOf(rule: Rule, bag: RecordingBag): readonly FailedText[] {
  const { onAllow, onDeny } = rule;
  const own = bagWithOutputs(rule, bag, undefined);
  for (const text of [onDeny?.body, ...(onDeny?.headers ?? []).map(([, value]) => value)]) text?.render(own);
  if (onAllow === undefined) return [];
  const { request, response, query, metadata } = onAllow;
  const texts = [
    ...[...request.set, ...request.append].map(([name, text]) => ({ name: `request ${name}`, text })),
    ...[...response.set, ...response.append].map(([name, text]) => ({ name: `response ${name}`, text })),
    ...query.set.map(([name, text]) => ({ name: `query ${name}`, text })),
    ...metadata.map(([name, text]) => ({ name: `metadata ${name}`, text })),
  ];
  return texts.flatMap(({ name, text }) => {
    const { failed } = text.render(own);
    return failed === undefined || text.reads.some((read) => read.name.startsWith('out.'))
      ? []
      : [{ rule: rule.name, text: name, why: failed }];
  });
}

/** Quotas are charged where nothing has refused before them; reports are written whatever the answer. */
function notDone(applying: readonly Rule[], verdict: Verdict | LimitVerdict | undefined): readonly NotDone[] {
  const deciding = applying.find(({ name }) => name === verdict?.rule);
  const isRefusedBefore = verdict !== undefined && verdict.outcome !== 'allow' && deciding?.action?.kind !== 'quota';
  return applying.flatMap(({ name, action }): NotDone[] => {
    if (action?.kind === 'report') return [{ rule: name, what: 'report', handler: action.handler }];
    return action?.kind === 'quota' && !isRefusedBefore
      ? [{ rule: name, what: 'charge', handler: action.handler }]
      : [];
  });
}

function withoutSecrets<V extends Verdict | LimitVerdict>(verdict: V, shown: ShownRequest): V {
  const pairs = (list: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] =>
    list.map(([name, value]) => [name, shown.text(value)]);
  const headers = ({ set, append, remove }: NetHeaders): NetHeaders => ({
    set: pairs(set),
    append: pairs(append),
    remove,
  });
  const reasons = verdict.reasons.map((reason) => ({ ...reason, text: shown.text(reason.text) }));
  if (!('changes' in verdict)) return { ...verdict, reasons, response: headers(verdict.response) };
  const { request, response, query, metadata } = verdict.changes;
  return {
    ...verdict,
    reasons,
    body: shown.text(verdict.body),
    headers: pairs(verdict.headers),
    changes: {
      ...verdict.changes,
      request: headers(request),
      response: headers(response),
      query: { ...query, set: pairs(query.set) },
      metadata: pairs(metadata),
    },
  };
}
