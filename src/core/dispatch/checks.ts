/**
 * **In**: the deciding rules of one bag. **Out**: what each of those that apply came to, at once where every handler answers
 * at once. **Fails**: never; a failure is an outcome. Handlers are asked in parallel.
 */
import type { RequestBag } from '../../attributes/bag.ts';
import type { CheckAnswer } from '../../adapters/contract.ts';
import { deadlineOf } from '../capabilities.ts';
import { isEnforced, matchOf } from '../match/applies.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { PASSED, REFUSED, type RuleOutcome, fail, type PreparedRule, outcomeOfThrow } from '../outcome.ts';
import { isDenialCode } from '../status.ts';
import type { CallScope } from '../handlers/call-scope.ts';
import { Failure } from '../handlers/failure.ts';

export function askChecks(
  snapshot: Snapshot,
  bag: RequestBag,
  scope: CallScope,
): RuleOutcome[] | Promise<RuleOutcome[]> {
  const { kind: call } = scope;
  if (call === undefined) return NONE;
  let outcomes = NONE;
  let pending: Promise<void>[] | undefined;
  for (const prepared of snapshot.candidates.checks(bag, call)) {
    let outcome: RuleOutcome | undefined;
    try {
      outcome = outcomeOf(prepared, bag);
      if (outcome === undefined) continue;
      const waits = ask(outcome, scope);
      if (waits !== undefined) (pending ??= []).push(waits);
    } catch (error) {
      outcome = outcomeOfThrow(prepared, bag, error);
    }
    // A list of one takes less memory than one that has room for more.
    if (outcomes === NONE) outcomes = [outcome];
    else outcomes.push(outcome);
  }
  return pending === undefined ? outcomes : Promise.all(pending).then(() => outcomes);
}

/** Nothing is ever put in. */
const NONE: RuleOutcome[] = [];

/** Nothing where the rule does not apply. */
function outcomeOf(prepared: PreparedRule, bag: RequestBag): RuleOutcome | undefined {
  const match = matchOf(prepared, bag);
  if (match === 'does not apply') return undefined;
  const outcome: RuleOutcome = { prepared, bag, enforced: isEnforced(prepared, bag), result: PASSED, failed: false };
  if (match === 'failed') failedMatch(outcome);
  else {
    prepared.meters.matched++;
    if (prepared.rule.action?.kind === 'deny') outcome.result = REFUSED;
  }
  return outcome;
}

function failedMatch(outcome: RuleOutcome): void {
  const {
    prepared: { rule, inputWord },
    bag,
  } = outcome;
  const word = rule.action === undefined ? 'allow' : rule.action.kind === 'allow' ? 'deny' : inputWord;
  fail(outcome, 'match', word, `match failed: ${rule.match?.why(bag) ?? ''}`);
}

/** A rule of a handler that applies; of another one there is nothing to ask. */
function ask(outcome: RuleOutcome, scope: CallScope): Promise<void> | undefined {
  const { prepared, bag } = outcome;
  const { handler, check, rule, inputWord } = prepared;
  const { action } = rule;
  const asked = outcome.failed || (action?.kind !== 'check' && action?.kind !== 'allow') ? undefined : action.ask;
  if (asked === undefined || handler === undefined || check === undefined) return undefined;
  const input = asked.input(bag);
  if (!input.ok) {
    fail(outcome, 'input', rule.action?.kind === 'allow' ? 'deny' : inputWord, input.why);
    return undefined;
  }
  const answer = handler.gate.ask(
    check,
    input.values,
    scope,
    deadlineOf('check', handler.spec.deadlineMs),
    wrongAnswer,
  );
  if (!(answer instanceof Promise)) {
    take(outcome, answer);
    return undefined;
  }
  return answer.then((late) => take(outcome, late));
}

function take(outcome: RuleOutcome, answer: CheckAnswer | Failure): void {
  const { rule } = outcome.prepared;
  const isWayIn = rule.action?.kind === 'allow';
  if (answer instanceof Failure) {
    const word = answer.comesTo(rule.onError.handler);
    fail(outcome, 'handler', word, answer.why);
    if (isWayIn && word === 'allow') outcome.result = PASSED;
  } else if (answer.kind === 'allow') outcome.result = { kind: 'passed', answer };
  else outcome.result = { kind: isWayIn ? 'not allowed' : 'refused', answer };
}

/** There is no empty answer, and no denial without a code. */
function wrongAnswer(answer: CheckAnswer): string | undefined {
  if (typeof answer !== 'object' || answer === null || (answer.kind !== 'allow' && answer.kind !== 'deny'))
    return 'a check answers allow() or deny()';
  return answer.kind === 'deny' && !isDenialCode(answer.code)
    ? `deny() takes a gRPC status code from 1 to 16, not ${String(answer.code)}`
    : undefined;
}
