/** Reading tokens one by one. */
import type { Token } from './lexer.ts';
import { SyntaxProblem } from './problem.ts';

export class TokenCursor {
  readonly tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  /** At the end, the end token. */
  peek(): Token {
    const token = this.tokens[Math.min(this.#at, this.tokens.length - 1)];
    if (token === undefined) throw new Error('the lexer gave no end token');
    return token;
  }

  next(): Token {
    const token = this.peek();
    this.#at += 1;
    return token;
  }

  previous(): Token | undefined {
    return this.tokens[this.#at - 1];
  }

  is(sign: string): boolean {
    const token = this.peek();
    return token.text === sign && (token.kind === 'sign' || (sign === 'in' && token.kind === 'name'));
  }

  take(sign: string): boolean {
    if (!this.is(sign)) return false;
    this.#at += 1;
    return true;
  }

  expect(sign: string): Token {
    const token = this.peek();
    if (!this.take(sign)) throw this.unexpected(token, `expected ${sign}`);
    return token;
  }

  unexpected(token: Token, expected: string): SyntaxProblem {
    const what = token.kind === 'end' ? 'the expression ends here' : `${token.text} does not fit here`;
    return new SyntaxProblem(
      `${what}; ${expected}${token.text === '&' || token.text === '|' ? ` (and is &&, or is ||)` : ''}`,
      token.start,
      Math.max(token.end, token.start + 1),
    );
  }
}
