/** Validates the answers of checks and lookups before a rule uses them; a plugin may return anything. */
import { type CheckAnswer, isFound, type LookupAnswer, type Validity } from '../../adapters/contract.ts';
import { kindOf } from '../../text/kind-of.ts';
import { shortened } from '../../text/shortened.ts';
import { MAX_HEADER } from '../text-bounds.ts';
import { isDenialCode } from '../status.ts';
import { isChangeableHeader } from '../header-names.ts';

export interface AnswerKind<A> {
  /** The problem of an invalid answer; `undefined` if it is valid. Throws if a getter of the answer throws. */
  readonly problemOf: (answer: A) => string | undefined;
  /** Of an answer without problem; `undefined`: the answer is for its call alone. */
  readonly validityOf: (answer: A) => Validity | undefined;
  /** The answer as other calls get it. */
  readonly asKept: (answer: A) => A;
}

/** `fromCache`: an earlier call got this answer from the handler. */
export type Kept<A> = A & { readonly fromCache?: true };

export const CHECK_ANSWERS: AnswerKind<CheckAnswer> = {
  problemOf(answer) {
    if (typeof answer !== 'object' || answer === null || (answer.kind !== 'allow' && answer.kind !== 'deny'))
      return `a check must return allow() or deny(), and returned ${kindOf(answer)}`;
    if (answer.kind === 'deny' && !isDenialCode(answer.code))
      return `deny() takes a gRPC status code from 1 to 16, not ${String(answer.code)}`;
    const headers = answer.kind === 'deny' ? answer.headers : undefined;
    return (
      (headers === undefined ? undefined : headersProblem(headers)) ??
      validityProblem(answer.validForMs, answer.kind === 'allow' ? answer.uses : Infinity)
    );
  },
  validityOf: (answer) => (answer.kind === 'allow' ? answer : { validForMs: answer.validForMs, uses: Infinity }),
  asKept: (answer): Kept<CheckAnswer> => ({ ...answer, fromCache: true }),
};

export const LOOKUP_ANSWERS: AnswerKind<LookupAnswer> = {
  problemOf(answer) {
    if (answer === undefined) return undefined;
    if (typeof answer !== 'object' || answer === null)
      return `a lookup must return values by name, or nothing, and returned ${kindOf(answer)}`;
    if (!isFound(answer)) return undefined;
    const { values } = answer;
    return values === undefined || (typeof values === 'object' && values !== null)
      ? validityProblem(answer.validForMs, answer.uses)
      : 'found() takes values by name, or nothing';
  },
  validityOf: (answer) => (isFound(answer) ? answer : undefined),
  asKept: (answer) => answer,
};

/** A header from an answer must not end before its line does, nor delimit the message. */
function headersProblem(headers: unknown): string | undefined {
  if (typeof headers !== 'object' || headers === null) return 'the headers of deny() are texts by name';
  for (const [name, value] of Object.entries(headers)) {
    if (!isChangeableHeader(name)) return `deny() cannot set the header ${JSON.stringify(name.slice(0, 100))}`;
    if (typeof value !== 'string' || /\p{Cc}/u.test(shortened(value, MAX_HEADER)))
      return `the header ${name} of deny() must be text without control characters`;
  }
  return undefined;
}

function validityProblem(validForMs: unknown, uses: unknown): string | undefined {
  if (validForMs === undefined) return undefined;
  if (typeof validForMs !== 'number' || !(validForMs >= 0))
    return `validForMs is milliseconds from 0, or absent; not ${shown(validForMs)}`;
  return typeof uses === 'number' && uses >= 1 ? undefined : `uses is a number from 1; not ${shown(uses)}`;
}

const shown = (value: unknown): string => (typeof value === 'number' ? String(value) : `a ${typeof value}`);
