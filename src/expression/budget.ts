/**
 * The budget of one evaluation. A client chooses the texts and lists of a request, so the work of a macro, or the text that
 * a function builds, may grow with the square of what was sent.
 * **In**: the cost of the next step of a macro or function. **Out**: nothing. **Fails**: with {@link OverBudget}, caught
 * where the evaluation began. Expressions without macros and built text are not metered.
 */
export interface Budget {
  /**
   * One for each element that a macro visits or value of decoded JSON, and one for each {@link READ_PER_STEP} characters or elements
   * that a call in its body reads.
   */
  readonly steps: number;
  /**
   * The length of all texts that `+`, `replace`, `join` and `format` build and `json.decode` reads, in UTF-16 units; of bytes, in
   * octets.
   */
  readonly characters: number;
}

/** About 10 ms of one core; a text of 1 MiB is as long as the largest body that a proxy sends by default. */
export const DEFAULT_BUDGET: Budget = { steps: 100_000, characters: 1_048_576 };

export const READ_PER_STEP = 16;

export class OverBudget extends Error {
  constructor(part: keyof Budget) {
    super(`the evaluation budget of ${part} is spent`);
  }
}

// Made once: a client can cause them, and a stack trace for each would cost more than the evaluation.
const OVER_STEPS = new OverBudget('steps');
const OVER_CHARACTERS = new OverBudget('characters');

/** Of the running evaluation: evaluations are synchronous. An attribute that is itself an expression has its own budget. */
const left = { steps: Number.POSITIVE_INFINITY, characters: Number.POSITIVE_INFINITY };

export function spendSteps(steps: number): void {
  left.steps -= steps;
  if (left.steps < 0) throw OVER_STEPS;
}

/** Called before the text is built, since building a very long one takes long. */
export function spendCharacters(characters: number): void {
  left.characters -= characters;
  if (left.characters < 0) throw OVER_CHARACTERS;
}

/** Runs with the given budget, and restores the outer one. */
export function withinBudget<A extends readonly unknown[], T>(
  { steps, characters }: Budget,
  run: (...args: A) => T,
  ...args: A
): T {
  const { steps: outerSteps, characters: outerCharacters } = left;
  left.steps = steps;
  left.characters = characters;
  try {
    return run(...args);
  } finally {
    left.steps = outerSteps;
    left.characters = outerCharacters;
  }
}

/** One sentence, without values: they may be secret. */
export function faultText(fault: unknown, budget: Budget): string {
  if (fault === OVER_STEPS)
    return (
      `it took more than ${budget.steps} steps, the budget of an evaluation; ` +
      'its macros visit too many elements or read texts that are too long, or JSON or a form has too many values'
    );
  if (fault === OVER_CHARACTERS)
    return `it built or decoded more than ${budget.characters} characters of text, the budget of an evaluation`;
  return `internal error (${fault instanceof Error ? fault.name : typeof fault})`;
}
