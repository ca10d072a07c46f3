/** **In**: text. **Out**: tokens. **Fails**: with a {@link SyntaxProblem} at the first character that begins none. */
import type { Value } from '../attributes/values.ts';

export class SyntaxProblem extends Error {
  readonly start: number;
  readonly end: number;
  constructor(message: string, start: number, end: number) {
    super(message);
    this.start = start;
    this.end = end;
  }
}

export interface Token {
  readonly kind: 'name' | 'quoted-name' | 'sign' | 'int' | 'uint' | 'double' | 'string' | 'bytes' | 'end';
  readonly text: string;
  readonly value: Value | undefined;
  readonly start: number;
  readonly end: number;
}

const SPACE = /(?:[ \t\n\f\r]+|\/\/[^\n]*)+/y;
const NUMBER = /0[xX][0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|\d+[uU]?/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const QUOTED_NAME = /`([A-Za-z0-9_./ -]+)`/y;
const STRING = /([rR]?[bB]?|[bB][rR])("""|'''|"|')/y;
const SIGN = /&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()[\]{}]/y;

/** What people of other languages write. */
const MEANT: Readonly<Record<string, string>> = { '=': '; equality is ==', '&': '; "and" is &&', '$': '; ${...} is for texts, an expression stands alone' };

export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  for (;;) {
    at += match(SPACE)?.[0].length ?? 0;
    const start = at;
    const push = (kind: Token['kind'], length: number, value?: Value): void => {
      tokens.push({ kind, text: text.slice(start, start + length), value, start, end: start + length });
      at = start + length;
    };
    if (at >= text.length) {
      tokens.push({ kind: 'end', text: '', value: undefined, start, end: start });
      return tokens;
    }
    const opening = match(STRING);
    if (opening !== null) {
      const { end, value, isBytes } = quoted(text, start, opening);
      push(isBytes ? 'bytes' : 'string', end - start, value);
      continue;
    }
    const number = match(NUMBER);
    if (number !== null) {
      pushNumber(number[0], start, push);
      continue;
    }
    const name = match(NAME);
    if (name !== null) {
      push('name', name[0].length);
      continue;
    }
    const backticked = match(QUOTED_NAME);
    if (backticked !== null) {
      push('quoted-name', backticked[0].length, backticked[1]);
      continue;
    }
    const sign = match(SIGN);
    if (sign === null) throw new SyntaxProblem(`${JSON.stringify(text[at])} does not belong into an expression${text[at] === '|' ? `; "or" is ||, and a default for what is absent is ${defaultMeant(text, at)}` : MEANT[text[at] ?? ''] ?? ''}`, at, at + 1);
    push('sign', sign[0].length);
  }
}

/** What Istio writes `a.b | "default"`, as CEL has it. */
function defaultMeant(text: string, at: number): string {
  const [, of = 'a', last = '.b'] = /([A-Za-z_][\w.]*?)(\.\w+|\["[^"]*"\])\s*$/.exec(text.slice(0, at)) ?? [];
  const [, value = '"default"'] = /^\|\s*("[^"]*"|'[^']*'|-?[\d.]+|true|false)\s*$/.exec(text.slice(at)) ?? [];
  return `${of}${last.startsWith('.') ? `.?${last.slice(1)}` : `[?${last.slice(1)}`}.orValue(${value})`;
}

function pushNumber(text: string, start: number, push: (kind: Token['kind'], length: number, value?: Value) => void): void {
  const isUint = /[uU]$/.test(text);
  const digits = isUint ? text.slice(0, -1) : text;
  if (/^\d*\.|^\d+[eE]/.test(digits) && !/^0[xX]/.test(digits)) return push('double', text.length, Number(digits));
  const whole = BigInt(digits);
  // -9223372036854775808 is a minus sign and 2^63: the parser looks at both.
  if (whole > (isUint ? 0xffff_ffff_ffff_ffffn : 0x8000_0000_0000_0000n)) throw new SyntaxProblem(`${text} is beyond the range of ${isUint ? 'uint' : 'int'}`, start, start + text.length);
  return push(isUint ? 'uint' : 'int', text.length, whole);
}

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92, '?': 63, '"': 34, "'": 39, '`': 96 };

function quoted(text: string, start: number, opening: RegExpExecArray): { end: number; value: string | Uint8Array; isBytes: boolean } {
  const [whole, prefix = '', quote = '"'] = opening;
  const isRaw = /r/i.test(prefix);
  const isBytes = /b/i.test(prefix);
  const bytes: number[] = [];
  let out = '';
  let at = start + whole.length;
  for (;;) {
    const char = text[at];
    if (char === undefined || (quote.length === 1 && (char === '\n' || char === '\r'))) throw new SyntaxProblem(`the text that begins here has no closing ${quote}`, start, at);
    if (text.startsWith(quote, at)) break;
    if (char !== '\\' || isRaw) {
      const unit = String.fromCodePoint(text.codePointAt(at) ?? 0);
      if (isBytes) bytes.push(...Buffer.from(unit)); else out += unit;
      at += unit.length;
      continue;
    }
    const escape = /\\(?:x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([abfnrtv\\?"'`]))/y;
    escape.lastIndex = at;
    const found = escape.exec(text);
    if (found === null) throw new SyntaxProblem(`${text.slice(at, at + 2)} is no escape; write \\\\ for a backslash, or r"..." for raw text`, at, at + 2);
    const [all, x, bigX, u, bigU, octal, simple] = found;
    const hex = x ?? bigX ?? u ?? bigU;
    const point = hex === undefined ? (octal === undefined ? SIMPLE_ESCAPES[simple ?? ''] ?? 0 : Number.parseInt(octal, 8)) : Number.parseInt(hex, 16);
    if ((u ?? bigU) !== undefined && (isBytes || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))) throw new SyntaxProblem(`${all} is no character`, at, at + all.length);
    if (isBytes) bytes.push(point); else out += String.fromCodePoint(point);
    at += all.length;
  }
  return { end: at + quote.length, value: isBytes ? Uint8Array.from(bytes) : out, isBytes };
}
