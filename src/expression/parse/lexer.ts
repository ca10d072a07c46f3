/** **In**: text. **Out**: tokens. **Fails**: with a {@link SyntaxProblem} at the first character that begins no token. */
import type { Value } from '../../attributes/values.ts';
import { hasLookalikeBlank, visible } from '../../text/lookalikes.ts';
import { SyntaxProblem } from './problem.ts';

export interface Token {
  readonly kind: 'name' | 'quoted-name' | 'sign' | 'int' | 'uint' | 'double' | 'string' | 'bytes' | 'end';
  readonly text: string;
  readonly value: Value | undefined;
  readonly start: number;
  readonly end: number;
}

const SPACE = /(?:[ \t\n\f\r]+|\/\/[^\n]*)+/y;
const NUMBER = /0x[0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|\d+[uU]?/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const QUOTED_NAME = /`([A-Za-z0-9_./ -]+)`/y;
const STRING = /([bB]?[rR]?)("""|'''|"|')/y;
const PLAIN = /[^"'\\\n\r]+/y;
const [DOUBLE_QUOTE, QUOTE, SLASH] = [0x22, 0x27, 0x2f];
const SIGN = /&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()[\]{}]/y;

/** Hints for authors used to other languages. */
const HINTS: Readonly<Record<string, string>> = {
  '=': '; equality is ==',
  '&': '; "and" is &&',
  $: '; ${...} is for texts, and in an expression an attribute is its name alone; texts are joined by +',
  '“': '; a text stands in plain quotes, "..."',
  '”': '; a text stands in plain quotes, "..."',
  '‘': '; a text stands in plain quotes, "..."',
  '’': '; a text stands in plain quotes, "..."',
};

export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; ;) {
    if (text.charCodeAt(at) <= SLASH) at += lengthOf(SPACE, text, at);
    if (at >= text.length) {
      tokens.push({ kind: 'end', text: '', value: undefined, start: at, end: at });
      return tokens;
    }
    const token = tokenAt(text, at);
    tokens.push(token);
    at = token.end;
  }
}

/** Of the match at `at`; 0 if there is none. */
function lengthOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex - at : 0;
}

function tokenAt(text: string, start: number): Token {
  const name = lengthOf(NAME, text, start);
  const next = text.charCodeAt(start + name);
  if (next === DOUBLE_QUOTE || next === QUOTE) {
    STRING.lastIndex = start;
    const opening = STRING.exec(text);
    if (opening !== null) return quoted(text, start, opening);
  }
  if (name > 0) return token('name', text, start, start + name);
  const number = lengthOf(NUMBER, text, start);
  if (number > 0) return numberToken(text.slice(start, start + number), start);
  const sign = lengthOf(SIGN, text, start);
  if (sign > 0) return token('sign', text, start, start + sign);
  const end = start + lengthOf(QUOTED_NAME, text, start);
  if (end > start) return token('quoted-name', text, start, end, text.slice(start + 1, end - 1));
  throw new SyntaxProblem(
    `${visible(JSON.stringify(text[start]))} is not part of any expression` +
      (text[start] === '|'
        ? `; "or" is ||, and a default for an absent value is written ${defaultForm(text, start)}`
        : text.startsWith('=~', start)
          ? '; a pattern is x.matches("...")'
          : hasLookalikeBlank(text[start] ?? '')
            ? '; it looks like a space and is none, so write an ordinary space'
            : (HINTS[text[start] ?? ''] ?? '')),
    start,
    start + 1,
  );
}

/** The CEL form of Istio's `a.b | "default"`. */
function defaultForm(text: string, at: number): string {
  const [, of = 'a', last = '.b'] = /([A-Za-z_][\w.]*?)(\.\w+|\["[^"]*"\])\s*$/.exec(text.slice(0, at)) ?? [];
  const [, value = '"default"'] = /^\|\s*("[^"]*"|'[^']*'|-?[\d.]+|true|false)\s*$/.exec(text.slice(at)) ?? [];
  return `${of}${last.startsWith('.') ? `.?${last.slice(1)}` : `[?${last.slice(1)}`}.orValue(${value})`;
}

function numberToken(text: string, start: number): Token {
  const of = (kind: Token['kind'], value: Value): Token => ({ kind, text, value, start, end: start + text.length });
  const isUint = /[uU]$/.test(text);
  const digits = isUint ? text.slice(0, -1) : text;
  if (/^\d*\.|^\d+[eE]/.test(digits) && !digits.startsWith('0x')) {
    if (!Number.isFinite(Number(digits)))
      throw new SyntaxProblem(`${text} is out of the range of double`, start, start + text.length);
    return of('double', Number(digits));
  }
  const whole = BigInt(digits);
  // -9223372036854775808 is a minus sign and 2^63; the parser checks the two together.
  if (whole > (isUint ? 0xffff_ffff_ffff_ffffn : 0x8000_0000_0000_0000n))
    throw new SyntaxProblem(`${text} is out of the range of ${isUint ? 'uint' : 'int'}`, start, start + text.length);
  return of(isUint ? 'uint' : 'int', whole);
}

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  '\\': 92,
  '?': 63,
  '"': 34,
  "'": 39,
  '`': 96,
};

const token = (kind: Token['kind'], text: string, start: number, end: number, value?: Value): Token => ({
  kind,
  text: text.slice(start, end),
  value,
  start,
  end,
});

function quoted(text: string, start: number, opening: RegExpExecArray): Token {
  const [whole, prefix = '', quote = '"'] = opening;
  const isRaw = /r/i.test(prefix);
  const isBytes = /b/i.test(prefix);
  const bytes: number[] = [];
  let out = '';
  let at = start + whole.length;
  for (;;) {
    const char = text[at];
    if (char === undefined || (quote.length === 1 && (char === '\n' || char === '\r')))
      throw new SyntaxProblem(`the text that begins here has no closing ${quote}`, start, at);
    if (text.startsWith(quote, at)) break;
    if (char !== '\\' || isRaw) {
      const end = Math.max(at + 1, at + lengthOf(PLAIN, text, at));
      const plain = text.slice(at, end);
      if (isBytes) bytes.push(...Buffer.from(plain));
      else out += plain;
      at = end;
      continue;
    }
    const escape =
      /\\(?:x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([abfnrtv\\?"'`]))/y;
    escape.lastIndex = at;
    const found = escape.exec(text);
    if (found === null)
      throw new SyntaxProblem(
        `${text.slice(at, at + 2)} is not an escape; write \\\\ for a backslash, or r"..." for raw text`,
        at,
        at + 2,
      );
    const [all, x, bigX, u, bigU, octal, simple] = found;
    const hex = x ?? bigX ?? u ?? bigU;
    const point =
      hex === undefined
        ? octal === undefined
          ? (SIMPLE_ESCAPES[simple ?? ''] ?? 0)
          : Number.parseInt(octal, 8)
        : Number.parseInt(hex, 16);
    if ((u ?? bigU) !== undefined && (isBytes || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)))
      throw new SyntaxProblem(`${all} is not a character`, at, at + all.length);
    if (isBytes) bytes.push(point);
    else out += String.fromCodePoint(point);
    at += all.length;
  }
  const end = at + quote.length;
  return isBytes
    ? token('bytes', text, start, end, Uint8Array.from(bytes))
    : token('string', text, start, end, notSliced(out));
}

/**
 * V8 calls into its runtime to compare a slice of a longer string. A concatenation is flattened into a separate string by the
 * first comparison.
 */
const notSliced = (text: string): string => (text.length < 2 ? text : text.slice(0, 1) + text.slice(1));
