/**
 * Reads JSON (RFC 8259) in a text that a stranger wrote.
 * **In**: a text. **Out**: its value, of type dyn; `undefined` if it is not JSON, or may be read in several ways: a name twice in an
 * object, a number that no double holds (one out of range, or a whole one beyond 64 bits that a double rounds), half of a surrogate pair.
 * **Fails**: with OverBudget, for a text with too many characters or values.
 *
 * JSON.parse reads `{"role": "user", "role": "admin"}` as the second, where an upstream may read the first, and 9007199254740993 as a
 * number that equals another.
 */
import { Uint } from '../../attributes/values.ts';
import { spendCharacters, spendSteps } from '../budget.ts';
import { toInt, toUint } from '../values/integers.ts';
import type { Val } from '../values/dynamic.ts';

/** As deep as AuthZEN's evaluations may be. */
export const MAX_JSON_DEPTH = 64;
export const NOT_JSON = 'the text is not JSON, or may be read in several ways (a name twice, a number out of range)';

export function jsonValue(text: string): Val | undefined {
  spendCharacters(text.length);
  return new Reader(text).whole();
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function jsonValueOfBytes(bytes: Uint8Array): Val | undefined {
  spendCharacters(bytes.length);
  let text: string;
  try {
    text = UTF_8.decode(bytes);
  } catch {
    return undefined;
  }
  return new Reader(text).whole();
}

const NUMBER = /-?(?:0|[1-9]\d*)(?<rest>(?:\.\d+)?(?:[eE][+-]?\d+)?)/y;
/** Any int of so many characters is exact as a double. */
const SHORT = 15;
/** Those of the longest 64-bit int. */
const LONG = 20;
/** Whether a whole number is the double, or has the digits that a double is written with: others are rounded by some readers. */
const isWritten = (value: number, written: string): boolean =>
  significant(String(value)) === significant(written) || BigInt(value) === BigInt(written);
const significant = (number: string): string => number.replace(/e.*$/, '').replace('.', '').replace(/0+$/, '');

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

class Reader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Val | undefined {
    const value = this.#value();
    this.#space();
    return this.#at === this.#text.length ? value : undefined;
  }

  #value(): Val | undefined {
    spendSteps(1);
    this.#space();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#nested(() => this.#object());
      case '[':
        return this.#nested(() => this.#list());
      case '"':
        return this.#string();
      case 't':
        return this.#word('true') ? true : undefined;
      case 'f':
        return this.#word('false') ? false : undefined;
      case 'n':
        return this.#word('null') ? null : undefined;
      default:
        return this.#number();
    }
  }

  #nested(read: () => Val | undefined): Val | undefined {
    this.#at++;
    if (++this.#depth > MAX_JSON_DEPTH) return undefined;
    const value = read();
    this.#depth--;
    return value;
  }

  #object(): Val | undefined {
    const map = new Map<Val, Val>();
    if (this.#next('}')) return map;
    do {
      this.#space();
      const name = this.#text.charCodeAt(this.#at) === QUOTE ? this.#string() : undefined;
      if (name === undefined || map.has(name) || !this.#next(':')) return undefined;
      const value = this.#value();
      if (value === undefined) return undefined;
      map.set(name, value);
    } while (this.#next(','));
    return this.#next('}') ? map : undefined;
  }

  #list(): Val | undefined {
    const list: Val[] = [];
    if (this.#next(']')) return list;
    do {
      const value = this.#value();
      if (value === undefined) return undefined;
      list.push(value);
    } while (this.#next(','));
    return this.#next(']') ? list : undefined;
  }

  #string(): string | undefined {
    const text = this.#text;
    const from = this.#at;
    let hasEscapes = false;
    for (let at = from + 1; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === BACKSLASH) {
        hasEscapes = true;
        at++;
      } else if (code === QUOTE) {
        this.#at = at + 1;
        return hasEscapes ? unescaped(text.slice(from, at + 1)) : text.slice(from + 1, at);
      } else if (code < 0x20) return undefined;
    }
    return undefined;
  }

  #number(): Val | undefined {
    NUMBER.lastIndex = this.#at;
    const [written, rest] = NUMBER.exec(this.#text) ?? [];
    if (written === undefined) return undefined;
    this.#at += written.length;
    if (rest === '' && written.length > SHORT && written.length <= LONG) {
      const exact = BigInt(written);
      const int = toInt(exact);
      if (typeof int === 'bigint') return int;
      if (int === undefined && toUint(exact) !== undefined) return new Uint(exact);
    }
    const value = Number(written);
    if (!Number.isFinite(value)) return undefined;
    return rest === '' && written.length > SHORT && !isWritten(value, written) ? undefined : value;
  }

  #word(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #next(sign: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }
}

/** With its quotes. JSON.parse refuses controls and unknown escapes. */
function unescaped(quoted: string): string | undefined {
  try {
    const text = JSON.parse(quoted) as string;
    return text.isWellFormed() ? text : undefined;
  } catch {
    return undefined;
  }
}
