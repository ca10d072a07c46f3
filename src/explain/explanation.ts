/**
 * Explains the answer to a request.
 * **In**: a policy, an engine that has it in force, one request. **Out**: the verdict, the result of each rule's match, and
 * the attributes that were read. **Fails**: never; a match that fails is part of the explanation.
 */
import { type Bag, RecordingBag, RequestBag, type Wire } from '../attributes/bag.ts';
import type { CallKind } from '../attributes/carrier.ts';
import { type LimitVerdict, type NetHeaders, NO_CALLER, type Verdict } from '../core/call.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Rule } from '../core/rules/rule.ts';
import { MAX_HEADER } from '../core/text-bounds.ts';
import { bagWithOutputs } from '../core/verdict/denial-bag.ts';
import { FAILED } from '../expression/index.ts';
import { RedactedRequest } from '../attributes/redacted-request.ts';
import { type HandlerAnswer, type Validity, validityOf } from './handler-answers.ts';
import type { RunningEngine } from '../core/running-engine.ts';

export interface MatchedRule {
  readonly rule: string;
  readonly match: 'applies' | 'does not apply' | 'failed';
  readonly why: string | undefined;
  readonly action: string;
  readonly mode: string;
}

/** A text that failed to render; all names that its rule sets are then removed, so that a client cannot set them. */
export interface FailedText {
  readonly rule: string;
  /** `request x-user`, `response x-id`, `query page`, `metadata tier`. */
  readonly text: string;
  readonly why: string;
}

/** A side effect of the call that the explanation left out. */
export interface NotDone {
  readonly rule: string;
  readonly what: 'charge' | 'report';
  readonly handler: string;
}

export interface Explanation {
  readonly call: CallKind;
  /** `undefined` for log entries: they are only reported. */
  readonly verdict: Verdict | LimitVerdict | undefined;
  /** The rules for this kind of call, in order. */
  readonly rules: readonly MatchedRule[];
  readonly failedTexts: readonly FailedText[];
  /** Of checks and lookups, in the order in which they came. */
  readonly answers: readonly HandlerAnswer[];
  /** Whether equal calls get the same verdict, and for how long; `undefined` for log entries. */
  readonly validity: Validity | undefined;
  /** Empty with --for-real. */
  readonly notDone: readonly NotDone[];
  /** Attributes that matches, inputs, keys and texts of the rules read: null if absent, `(secret)` if hidden. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** `isForReal`: the engine's handlers charge and write. `answers`: filled by the engine's handlers. */
export async function explained(
  policy: Policy,
  engine: RunningEngine,
  call: CallKind,
  wire: Wire,
  isForReal: boolean,
  answers: readonly HandlerAnswer[],
): Promise<Explanation> {
  const verdict = await asked(engine, call, wire);
  const given = [...answers]; // the attributes that follow ask the lookups again
  const below = (await engine.bagOf(call, wire)) ?? new RequestBag(policy.attributes, wire);
  const idSlot = policy.sendsVerdictId ? policy.attributes.slotOf('verdict.id') : undefined;
  if (idSlot !== undefined) below.fill(idSlot, verdict?.id);
  const bag = new RecordingBag(below);
  const shown = new RedactedRequest(below);
  const asking = policy.rules.filter(({ calls }) => calls.has(call));
  const rules = asking.map((rule) => matched(rule, bag));
  const applying = asking.filter((_, at) => rules[at]?.match === 'applies');
  const failed = rules.filter(({ match }) => match === 'failed').map(({ rule }) => rule);
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
    answers: given,
    validity: verdict === undefined ? undefined : validityOf(applying, failed, given, Object.keys(attributes)),
    notDone: isForReal ? [] : notDone(applying, verdict),
    attributes,
  };
}

async function asked(engine: RunningEngine, call: CallKind, wire: Wire): Promise<Verdict | LimitVerdict | undefined> {
  if (call === 'http' || call === 'tcp' || call === 'authzen') return engine.check(call, wire, NO_CALLER);
  if (call === 'limit') return engine.limit([wire], NO_CALLER);
  await engine.report(call, wire);
  return undefined;
}

function matched(rule: Rule, bag: RecordingBag): MatchedRule {
  const value = rule.match?.evaluate(bag) ?? true;
  const match = value === FAILED ? 'failed' : value === true ? 'applies' : 'does not apply';
  if (match === 'applies') readInputs(rule, bag);
  return {
    rule: rule.name,
    match,
    why: value === FAILED ? rule.match?.why(bag) : undefined,
    action: rule.action?.kind ?? 'changes',
    mode: rule.mode.kind === 'percent' ? `${rule.mode.percent} %` : rule.mode.kind,
  };
}

/** Reads all that the rule reads in a call: its match, and if that applies, the input of its handler and its texts. */
export function readAll(rule: Rule, bag: Bag): void {
  if ((rule.match?.evaluate(bag) ?? true) !== true) return;
  readInputs(rule, bag);
  textsOf(rule, bag);
}

/** Reads the attributes that the input of the rule's handler reads. */
function readInputs({ action }: Rule, bag: Bag): void {
  if (action === undefined || action.kind === 'deny') return;
  if (action.kind === 'quota') {
    for (const part of [...action.key, action.limit, action.cost, action.burst, action.once]) part?.evaluate(bag);
  } else action.input?.(bag);
}

/** Renders all texts, to record the attributes they read. Returns failed texts of `onAllow`; texts with `out.*` need the call itself. */
function textsOf(rule: Rule, bag: Bag): readonly FailedText[] {
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
    const { failed, isCut } = text.render(own);
    const why =
      failed ?? (isCut && !name.startsWith('response ') ? `it has more than ${MAX_HEADER} characters` : undefined);
    return why === undefined || text.reads.some((read) => read.name.startsWith('out.'))
      ? []
      : [{ rule: rule.name, text: name, why }];
  });
}

/** Quotas are charged unless a rule before them refuses; reports are written in any case. */
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

function withoutSecrets<V extends Verdict | LimitVerdict>(verdict: V, shown: RedactedRequest): V {
  const pairs = (list: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] =>
    list.map(([name, value]) => [name, shown.text(value)]);
  const headers = ({ set, append, remove }: NetHeaders): NetHeaders => ({
    set: pairs(set),
    append: pairs(append),
    remove,
  });
  const reasons = verdict.reasons.map((reason) => ({ ...reason, text: shown.text(reason.text) }));
  if (!('changes' in verdict)) return { ...verdict, reasons, response: headers(verdict.response) };
  const { request, response, query, metadata, isConstant } = verdict.changes;
  return {
    ...verdict,
    reasons,
    body: shown.text(verdict.body),
    headers: pairs(verdict.headers),
    changes: {
      isConstant,
      request: headers(request),
      response: headers(response),
      query: { ...query, set: pairs(query.set) },
      metadata: pairs(metadata),
    },
  };
}

/** For programs: changes beside the rest of the verdict, under the names used in rules. */
export function explanationJson({ verdict, ...rest }: Explanation): object {
  if (verdict === undefined || !('changes' in verdict)) return { verdict, ...rest };
  const {
    changes: { request, response, query, metadata },
    ...others
  } = verdict;
  return { ...rest, verdict: { ...others, request, response, query, metadata } };
}
