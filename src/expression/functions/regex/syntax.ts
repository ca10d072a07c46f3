/**
 * The patterns that the automaton supports: RE2's syntax without flags, `\b`, Unicode classes and wide repeats.
 * **In**: a pattern that RE2 accepts. **Out**: its tree. **Fails**: with `undefined` for a pattern that is not supported.
 *
 * Texts are read by code points. All beyond ASCII are one symbol, since no supported pattern distinguishes them.
 */

/** The symbol of every code point beyond ASCII. */
export const OTHER = 128;
export const SYMBOLS = 129;
const MAX_REPEATS = 50;
const MAX_DEPTH = 50;

/** A set of symbols: 1 for each member. */
export type Symbols = Uint8Array;

export type Pattern =
  | { readonly kind: 'empty' }
  | { readonly kind: 'symbols'; readonly symbols: Symbols }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'repeat'; readonly of: Pattern; readonly least: number; readonly most: number };

export function parsePattern(text: string): Pattern | undefined {
  // eslint-disable-next-line no-control-regex
  if (/[^\u0001-\u007f]/.test(text)) return undefined;
  try {
    return new PatternParser(text).whole();
  } catch (error) {
    if (error instanceof Unsupported) return undefined;
    throw error;
  }
}

class Unsupported extends Error {}

const symbolsOf = (test: (code: number) => boolean): Symbols =>
  Uint8Array.from({ length: SYMBOLS }, (_, code) => Number(test(code)));
const inText =
  (text: string) =>
  (code: number): boolean =>
    code < OTHER && text.includes(String.fromCharCode(code));
const isDigit = (code: number): boolean => code >= 48 && code <= 57;
const isWord = (code: number): boolean =>
  isDigit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95;
const isSpace = inText('\t\n\f\r ');
const CLASSES: Readonly<Record<string, (code: number) => boolean>> = {
  d: isDigit,
  w: isWord,
  s: isSpace,
  D: (code) => !isDigit(code),
  W: (code) => !isWord(code),
  S: (code) => !isSpace(code),
};
const CONTROLS: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f', v: '\v', a: '\u0007' };
const ANY = symbolsOf((code) => code !== 10);

class PatternParser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Pattern {
    const pattern = this.#choice();
    if (this.#at < this.#text.length) throw new Unsupported();
    return pattern;
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #choice(): Pattern {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new Unsupported();
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    this.#depth -= 1;
    return parts.length === 1 ? (parts[0] as Pattern) : { kind: 'choice', parts };
  }

  #sequence(): Pattern {
    const parts: Pattern[] = [];
    while (this.#at < this.#text.length && this.#peek() !== '|' && this.#peek() !== ')')
      parts.push(this.#repeated(this.#one()));
    return parts.length === 1 ? (parts[0] as Pattern) : { kind: 'sequence', parts };
  }

  #repeated(of: Pattern): Pattern {
    const [least, most] = this.#times() ?? [1, 1];
    if (least === 1 && most === 1) return of;
    this.#take('?'); // lazy: whether it matches is the same
    if (this.#times() !== undefined) throw new Unsupported();
    return { kind: 'repeat', of, least, most };
  }

  #times(): readonly [least: number, most: number] | undefined {
    if (this.#take('*')) return [0, Infinity];
    if (this.#take('+')) return [1, Infinity];
    if (this.#take('?')) return [0, 1];
    const match = /^\{(0|[1-9]\d*)(,(0|[1-9]\d*)?)?\}/.exec(this.#text.slice(this.#at));
    if (match === null) return undefined;
    const [all, least = '0', comma, most] = match;
    this.#at += all.length;
    const times = [
      Number(least),
      comma === undefined ? Number(least) : most === '' || most === undefined ? Infinity : Number(most),
    ] as const;
    if (times[0] > MAX_REPEATS || (times[1] !== Infinity && times[1] > MAX_REPEATS)) throw new Unsupported();
    return times[0] === 1 && times[1] === 1 ? undefined : times;
  }

  #one(): Pattern {
    const char = this.#peek();
    this.#at += 1;
    switch (char) {
      case '.':
        return { kind: 'symbols', symbols: ANY };
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '[':
        return { kind: 'symbols', symbols: this.#class() };
      case '\\':
        return { kind: 'symbols', symbols: this.#escape() };
      case '(': {
        if (this.#take('?') && !this.#take(':')) {
          const name = /^P?<[A-Za-z_]\w*>/.exec(this.#text.slice(this.#at));
          if (name === null) throw new Unsupported();
          this.#at += name[0].length;
        }
        const inner = this.#choice();
        if (!this.#take(')')) throw new Unsupported();
        return inner;
      }
      case '*':
      case '+':
      case '?':
        throw new Unsupported();
      default:
        return { kind: 'symbols', symbols: symbolsOf((code) => code === char.charCodeAt(0)) };
    }
  }

  #escape(): Symbols {
    const char = this.#peek();
    this.#at += 1;
    const known = CLASSES[char];
    if (known !== undefined) return symbolsOf(known);
    const literal = CONTROLS[char] ?? (/[^A-Za-z0-9]/.test(char) ? char : undefined);
    if (literal === undefined) throw new Unsupported();
    return symbolsOf((code) => code === literal.charCodeAt(0));
  }

  #class(): Symbols {
    const isNegated = this.#take('^');
    const found = new Uint8Array(SYMBOLS);
    for (let isFirst = true; isFirst || this.#peek() !== ']'; isFirst = false) {
      if (this.#at >= this.#text.length || this.#text.startsWith('[:', this.#at)) throw new Unsupported();
      const low = this.#classPart();
      const next = this.#text[this.#at + 1];
      if (typeof low === 'number' && this.#peek() === '-' && next !== ']' && next !== undefined) {
        this.#at += 1;
        const high = this.#classPart();
        if (typeof high !== 'number' || high < low) throw new Unsupported();
        for (let code = low; code <= high; code += 1) found[code] = 1;
      } else if (typeof low === 'number') found[low] = 1;
      else for (let code = 0; code < SYMBOLS; code += 1) found[code] = (found[code] ?? 0) | (low[code] ?? 0);
    }
    this.#at += 1;
    return isNegated ? found.map((one) => 1 - one) : found;
  }

  #classPart(): number | Symbols {
    const char = this.#peek();
    this.#at += 1;
    if (char !== '\\') return char.charCodeAt(0);
    const escaped = this.#peek();
    const symbols = this.#escape();
    return CLASSES[escaped] === undefined ? symbols.indexOf(1) : symbols;
  }
}
