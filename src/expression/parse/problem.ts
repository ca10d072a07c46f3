/** An error or a warning about the text of an expression. */
export interface Problem {
  /** `EXPRESSION_WHAT`, in docs/errors.md. */
  readonly code: string;
  /** The problem, the expected form, the fix. One sentence, no position. */
  readonly message: string;
  /** In UTF-16 units of the text; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
}

/** Thrown by the lexer and the parser. */
export class SyntaxProblem extends Error {
  readonly start: number;
  readonly end: number;
  constructor(message: string, start: number, end: number) {
    super(message);
    this.start = start;
    this.end = end;
  }
}
