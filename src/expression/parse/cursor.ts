/** Reading tokens one by one. */
import type { Token } from './lexer.ts';
import { SyntaxProblem } from './problem.ts';

/** Hints for authors used to other languages; `in` alone is an operator here. */
const HINTS: Readonly<Record<string, string>> = {
  and: 'and is &&',
  or: 'or is ||',
  not: 'not is !, as in !(x in list)',
  is: 'equality is ==',
  eq: 'equality is ==',
  ne: 'inequality is !=',
  like: 'a pattern is x.startsWith("a"), x.endsWith("a") or x.matches("^a.*$")',
  startsWith: 'write x.startsWith("a")',
  endsWith: 'write x.endsWith("a")',
  contains: 'write x.contains("a")',
  matches: 'write x.matches("^a.*$")',
  '>': 'inequality is !=',
};

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
      `${what}; ${this.#hintFor(token) ?? expected}`,
      token.start,
      Math.max(token.end, token.start + 1),
    );
  }

  /** Of a word between two values; `<>` is two signs. */
  #hintFor(token: Token): string | undefined {
    const { kind, text } = token;
    const isUnequal = text === '>' && this.tokens[this.tokens.indexOf(token) - 1]?.text === '<';
    return (kind === 'name' || isUnequal) && Object.hasOwn(HINTS, text) ? HINTS[text] : undefined;
  }
}
