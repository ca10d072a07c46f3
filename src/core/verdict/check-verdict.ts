/**
 * **In**: the outcomes of the rules of a check, in rule order. **Out**: the verdict. **Fails**: never.
 */
import { allow, type Deny } from '../../adapters/contract.ts';
import type { CompiledText } from '../../expression/index.ts';
import { shortened } from '../../text/shortened.ts';
import { MAX_HEADER } from '../text-bounds.ts';
import type { Kept } from '../handlers/answer-kinds.ts';
import type { CallScope } from '../handlers/call-scope.ts';
import { type NetChanges, NO_CHANGES, type Reason, type Verdict } from '../call.ts';
import { type Deciding, refusalOf } from './first-deny.ts';
import { netChanges } from './net-changes.ts';
import { advertisedLimits, withAdvertised } from './advertised-limits.ts';
import { bagWithOutputs } from './denial-bag.ts';
import { fit, type Pair, thatFit } from './head-room.ts';
import { noteLongText } from './long-texts.ts';
import { type PreparedRule, type QuotaRefusal, type RuleOutcome, type QuotaEntry, quotaOutput } from '../outcome.ts';
import { Code, codeOfHttp, httpOfCode } from '../status.ts';

/** Reasons without a value of the request. */
export const MATCH_APPLIES = 'its match applies';
export const NOTHING_ALLOWED = 'nothing allowed it';

const NO_NAMES: readonly string[] = [];
const NO_REASONS: readonly Reason[] = [];
const NO_PAIRS: readonly Pair[] = [];

export function checkVerdict(
  { id, kind: call }: Pick<CallScope, 'id' | 'kind'>,
  outcomes: readonly RuleOutcome[],
  deciding: Deciding | undefined,
  quotas: readonly QuotaEntry[],
): Verdict {
  const shadow = shadowOf(outcomes);
  const reasons = reasonsOf(outcomes);
  const advertised = call === 'http' && quotas.length > 0 ? advertisedLimits(quotas) : NO_PAIRS;
  if (deciding === undefined) {
    const changes =
      advertised.length === 0 ? netChanges(outcomes, call) : withFields(netChanges(outcomes, call), advertised, quotas);
    return {
      id,
      outcome: 'allow',
      rule: undefined,
      status: 200,
      code: Code.OK,
      body: '',
      hasConstantBody: true,
      headers: NO_PAIRS,
      changes,
      shadow,
      reasons,
    };
  }
  const rule = deciding.outcome.prepared.rule.name;
  if (deciding.kind !== 'deny')
    return {
      id,
      outcome: deciding.kind,
      rule,
      status: 503,
      code: Code.UNAVAILABLE,
      body: '',
      hasConstantBody: true,
      headers: NO_PAIRS,
      changes: NO_CHANGES,
      shadow,
      reasons,
    };
  const { status, code, body, headers } = refusal(deciding.outcome);
  return {
    id,
    outcome: 'deny',
    rule,
    status,
    code,
    body,
    hasConstantBody: deciding.outcome.prepared.rule.onDeny?.body?.constant !== undefined,
    headers: advertised.length === 0 ? headers : withAdvertised(headers, advertised, quotas),
    changes: NO_CHANGES,
    shadow,
    reasons,
  };
}

const withFields = (changes: NetChanges, advertised: readonly Pair[], quotas: readonly QuotaEntry[]): NetChanges => {
  const { request, response, query, metadata } = changes;
  const others = [request.set, request.append, query.set, metadata, response.append];
  const set = withAdvertised(response.set, advertised, quotas, ...others);
  return { request, response: { ...response, set }, query, metadata, isConstant: false };
};

/** The rule's own answer where it has one. A text that fails is empty, and counted; a long one is cut or left out, and logged. */
function refusal(outcome: RuleOutcome): Pick<Verdict, 'status' | 'code' | 'headers' | 'body'> {
  const { prepared, bag, result } = outcome;
  const { rule, meters } = prepared;
  const answer = rule.onDeny;
  const checkAnswer =
    result.kind === 'refused'
      ? result.answer
      : result.kind === 'over'
        ? allow({ output: quotaOutput(result.quota.answer, 0) })
        : undefined;
  const texts = bagWithOutputs(rule, bag, checkAnswer, result.kind === 'over' ? overText(result.quota) : undefined);
  const render = (text: CompiledText, name: string, bound: 'header' | 'body'): string => {
    const { text: shown, failed, isCut } = text.render(texts);
    if (failed !== undefined) meters.texts++;
    if (isCut) noteLongText(prepared, name, bound, 'the text is cut');
    return shown;
  };
  const headers = (answer?.headers ?? []).map(([name, text]): Pair => [name, render(text, `header ${name}`, 'header')]);
  const body = answer?.body === undefined ? '' : render(answer.body, 'body', 'body');
  if (result.kind === 'over')
    return {
      status: answer?.status ?? 429,
      code: Code.RESOURCE_EXHAUSTED,
      headers: withRoom(withLimits(headers, result.quota), prepared),
      body,
    };
  if (checkAnswer?.kind === 'deny')
    return {
      status: answer?.status ?? httpOfCode(checkAnswer.code),
      code: checkAnswer.code,
      headers: withRoom(
        checkAnswer.headers === undefined
          ? headers
          : withDefaults(headers, shortHeaders(checkAnswer.headers, prepared)),
        prepared,
      ),
      body,
    };
  const status = answer?.status ?? 403;
  return { status, code: codeOfHttp(status), headers: withRoom(headers, prepared), body };
}

const seconds = (ms: number): string => String(Math.max(0, Math.ceil(ms / 1000)));

/** Adds `retry-after` and `x-ratelimit-*`, unless the rule sets them. */
function withLimits(headers: readonly Pair[], { answer, least, retryAfterMs }: QuotaRefusal): readonly Pair[] {
  const own: readonly Pair[] = [
    ['retry-after', seconds(Math.max(1000, retryAfterMs))],
    ['x-ratelimit-limit', String(Math.floor(answer.limit))],
    ['x-ratelimit-remaining', String(Math.floor(least.remaining))],
    ['x-ratelimit-reset', seconds(answer.resetMs)],
  ];
  return withDefaults(headers, own);
}

const shortHeaders = (headers: Readonly<Record<string, string>>, prepared: PreparedRule): readonly Pair[] =>
  Object.entries(headers).map(([name, value]) => {
    if (value.length > MAX_HEADER) noteLongText(prepared, `header ${name} of the handler`, 'header', 'the text is cut');
    return [name, shortened(value, MAX_HEADER)];
  });

/** Without the headers that there is no room for. */
function withRoom(headers: readonly Pair[], prepared: PreparedRule): readonly Pair[] {
  if (fit(headers)) return headers;
  const fitting = thatFit(headers);
  return headers.filter((pair) => {
    if (fitting.has(pair)) return true;
    noteLongText(prepared, `header ${pair[0]}`, 'head', 'it is left out');
    return false;
  });
}

/** Headers that the rule names are its own. */
function withDefaults(headers: readonly Pair[], defaults: readonly Pair[]): readonly Pair[] {
  const named = new Set(headers.map(([name]) => name));
  return [...headers, ...defaults.filter(([name]) => !named.has(name))];
}

/** Names of rules that would have refused if they were enforced. */
export function shadowOf(outcomes: readonly RuleOutcome[]): readonly string[] {
  let names: string[] | undefined;
  for (const outcome of outcomes) {
    if (outcome.enforced || refusalOf(outcome) === undefined) continue;
    const { name } = outcome.prepared.rule;
    names ??= [];
    if (!names.includes(name)) names.push(name);
  }
  return names ?? NO_NAMES;
}

/** Reasons of the rules that refused or failed. */
export function reasonsOf(outcomes: readonly RuleOutcome[]): readonly Reason[] {
  let reasons: Reason[] | undefined;
  for (const outcome of outcomes) {
    const text = reasonText(outcome);
    if (text !== undefined)
      (reasons ??= []).push({ rule: outcome.prepared.rule.name, text, shadow: !outcome.enforced });
  }
  return reasons ?? NO_REASONS;
}

function reasonText({ prepared: { handler, unlessAllowed }, result }: RuleOutcome): string | undefined {
  switch (result.kind) {
    case 'passed':
      return undefined;
    case 'refused':
      if (result.answer?.kind === 'deny') return `${handler?.spec.name} refused: ${deniedText(result.answer)}`;
      return unlessAllowed === undefined ? MATCH_APPLIES : NOTHING_ALLOWED;
    case 'over':
      return overText(result.quota);
    case 'not allowed':
      return result.answer?.kind === 'deny' ? `did not allow: ${deniedText(result.answer)}` : 'did not allow';
    case 'failed':
      return result.why;
  }
}

const deniedText = ({ reason, fromCache }: Kept<Deny>): string =>
  fromCache === true ? `${reason} (from the cache)` : reason;

const overText = ({ answer: { limit }, perMs, retryAfterMs }: QuotaRefusal): string =>
  `over the limit of ${limit} in ${perMs / 1000} s; again in ${seconds(retryAfterMs)} s`;
