/**
 * **In**: the deciding rules of one bag. **Out**: the outcome of each that applies, synchronously if every handler answers
 * synchronously. **Fails**: never; a failure is an outcome. Handlers are asked in parallel.
 */
import type { RequestBag } from '../../attributes/bag.ts';
import type { CheckAnswer, Deny } from '../../adapters/contract.ts';
import { shortened } from '../../text/shortened.ts';
import { isEnforced, matchOf } from '../match/applies.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import {
  PASSED,
  type RuleOutcome,
  fail,
  microsecondsSince,
  type PreparedRule,
  outcomeOfThrow,
  withItem,
} from '../outcome.ts';
import type { CallScope } from '../handlers/call-scope.ts';
import type { Kept } from '../handlers/answer-kinds.ts';
import { Failure } from '../handlers/failure.ts';
import { wordsOfCode } from '../status.ts';
import { MAX_REASON } from '../text-bounds.ts';

export function askChecks(
  snapshot: Snapshot,
  bag: RequestBag,
  scope: CallScope,
): RuleOutcome[] | Promise<RuleOutcome[]> {
  const { kind: call } = scope;
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
    outcomes = withItem(outcomes, outcome);
  }
  return pending === undefined ? outcomes : Promise.all(pending).then(() => outcomes);
}

/** Shared; never pushed to. */
const NONE: RuleOutcome[] = [];

/** `undefined` if the rule does not apply. */
function outcomeOf(prepared: PreparedRule, bag: RequestBag): RuleOutcome | undefined {
  const match = matchOf(prepared, bag);
  if (match === 'does not apply') return undefined;
  const enforced = isEnforced(prepared, bag);
  const outcome: RuleOutcome = { prepared, bag, enforced, result: prepared.whenMatched, failed: false, handlerUs: 0 };
  if (match === 'failed')
    fail(outcome, 'match', prepared.inputWord, `match failed: ${prepared.rule.match?.why(bag) ?? ''}`);
  else prepared.meters.matched++;
  return outcome;
}

/** Asks the handler of a rule that applies, if it has one. */
function ask(outcome: RuleOutcome, scope: CallScope): Promise<void> | undefined {
  const { prepared, bag } = outcome;
  const { handler, check, input: inputOf } = prepared;
  if (outcome.failed || handler === undefined || check === undefined || inputOf === undefined) return undefined;
  const input = inputOf(bag);
  if (!input.ok) {
    fail(outcome, 'input', prepared.inputWord, input.why);
    return undefined;
  }
  const kept = check.mayHold ? check.kept(input.values, scope.nowMs, scope.isInspection) : undefined;
  const answer = kept ?? handler.gate.ask(check.ask, input.values, scope, handler.deadlinesMs.check, check.problemOf);
  if (!(answer instanceof Promise)) {
    take(outcome, answer);
    return undefined;
  }
  return takeLater(outcome, answer, scope.nowMs);
}

async function takeLater(
  outcome: RuleOutcome,
  answer: Promise<CheckAnswer | Failure>,
  askedAtMs: number,
): Promise<void> {
  const late = await answer;
  outcome.handlerUs = microsecondsSince(askedAtMs);
  take(outcome, late);
}

function take(outcome: RuleOutcome, answer: CheckAnswer | Failure): void {
  if (answer instanceof Failure) return failed(outcome, answer);
  try {
    const said = asRead(answer);
    outcome.result =
      said.kind === 'allow' ? { kind: 'passed', answer: said } : { kind: outcome.prepared.whenRefused, answer: said };
  } catch (error) {
    const failure = outcome.prepared.handler?.gate.unreadable(error);
    if (failure === undefined) throw error;
    failed(outcome, failure);
  }
}

function failed(outcome: RuleOutcome, failure: Failure): void {
  const { prepared } = outcome;
  const word = failure.comesTo(prepared.rule.onError.handler);
  fail(outcome, 'handler', word, failure.why);
  if (word === 'allow' && prepared.allows !== undefined) outcome.result = PASSED; // it satisfies its group
}

/** Read once, since a getter of the plugin may throw later; most answers that allow are returned as they are. */
function asRead(answer: CheckAnswer): Kept<CheckAnswer> {
  const { output } = answer;
  if (answer.kind === 'allow') return output == null ? answer : { ...answer, output: { ...output } };
  const { kind, code, reason, headers, validForMs, fromCache }: Kept<Deny> = answer;
  return {
    kind,
    code,
    reason: shortReason(reason, code),
    headers: headers == null ? undefined : { ...headers },
    output: output == null ? undefined : { ...output },
    validForMs,
    ...(fromCache === true ? { fromCache } : {}),
  };
}

/** Clients and operators read it: without one it is the words of the code. */
function shortReason(reason: unknown, code: number): string {
  if (typeof reason !== 'string' || reason === '') return wordsOfCode(code);
  return reason.length > MAX_REASON ? shortened(reason, MAX_REASON) : reason;
}
