/**
 * RE2 patterns as automata, for those that are known when a policy loads.
 * **In**: a pattern that RE2 takes. **Out**: a test in linear time, as fast as a native one. **Fails**: with nothing where the
 * pattern has what is not understood here (flags, `\b`, Unicode classes, wide repeats): re2js tests it then.
 *
 * The pattern becomes a non-deterministic automaton (Thompson), its sets of states become states of a deterministic one when
 * a text first leads to them. Texts are read by code points; all beyond ASCII are one symbol, since no pattern that is
 * understood here tells them apart.
 */

/** Beyond ASCII. */
const OTHER = 128;
const SYMBOLS = 129;
const MOST_NODES = 2000;
/** A pattern whose texts lead to more states is left to re2js: each costs half a kilobyte. */
const MOST_STATES = 400;
const MOST_REPEATS = 50;

type Symbols = Uint8Array;

type Tree =
  | { readonly kind: 'empty' }
  | { readonly kind: 'symbols'; readonly symbols: Symbols }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Tree[] }
  | { readonly kind: 'repeat'; readonly of: Tree; readonly least: number; readonly most: number };

/** Nothing where the pattern is not understood; the test answers nothing where it has led to too many states. */
export function automatonOf(pattern: string): ((text: string) => boolean | undefined) | undefined {
  const tree = new PatternParser(pattern).whole();
  if (tree === undefined) return undefined;
  const nodes = new NodeBuilder();
  const start = nodes.add(tree, nodes.match());
  return nodes.isTooMany ? undefined : new Automaton(nodes.nodes, start).test;
}

// ---------------------------------------------------------------- parsing

/** Thrown inside, where something is not understood. */
class NotUnderstood extends Error {}

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

  whole(): Tree | undefined {
    // eslint-disable-next-line no-control-regex
    if (/[^\u0001-\u007f]/.test(this.#text)) return undefined;
    try {
      const tree = this.#choice();
      return this.#at === this.#text.length ? tree : undefined;
    } catch (error) {
      if (error instanceof NotUnderstood) return undefined;
      throw error;
    }
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #choice(): Tree {
    this.#depth += 1;
    if (this.#depth > 50) throw new NotUnderstood();
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    this.#depth -= 1;
    return parts.length === 1 ? (parts[0] as Tree) : { kind: 'choice', parts };
  }

  #sequence(): Tree {
    const parts: Tree[] = [];
    while (this.#at < this.#text.length && this.#peek() !== '|' && this.#peek() !== ')')
      parts.push(this.#repeated(this.#one()));
    return parts.length === 1 ? (parts[0] as Tree) : { kind: 'sequence', parts };
  }

  #repeated(of: Tree): Tree {
    const [least, most] = this.#times() ?? [1, 1];
    if (least === 1 && most === 1) return of;
    this.#take('?'); // the shortest first: whether it matches is the same
    if (this.#times() !== undefined) throw new NotUnderstood();
    return { kind: 'repeat', of, least, most };
  }

  #times(): readonly [least: number, most: number] | undefined {
    if (this.#take('*')) return [0, Infinity];
    if (this.#take('+')) return [1, Infinity];
    if (this.#take('?')) return [0, 1];
    const match = /^\{(\d+)(,(\d*))?\}/.exec(this.#text.slice(this.#at));
    if (match === null) return undefined;
    const [all, least = '0', comma, most] = match;
    this.#at += all.length;
    const times = [
      Number(least),
      comma === undefined ? Number(least) : most === '' || most === undefined ? Infinity : Number(most),
    ] as const;
    if (times[0] > MOST_REPEATS || (times[1] !== Infinity && times[1] > MOST_REPEATS)) throw new NotUnderstood();
    return times[0] === 1 && times[1] === 1 ? undefined : times;
  }

  #one(): Tree {
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
          if (name === null) throw new NotUnderstood();
          this.#at += name[0].length;
        }
        const inner = this.#choice();
        if (!this.#take(')')) throw new NotUnderstood();
        return inner;
      }
      case '*':
      case '+':
      case '?':
        throw new NotUnderstood();
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
    if (literal === undefined) throw new NotUnderstood();
    return symbolsOf((code) => code === literal.charCodeAt(0));
  }

  #class(): Symbols {
    const isNegated = this.#take('^');
    const found = new Uint8Array(SYMBOLS);
    for (let isFirst = true; isFirst || this.#peek() !== ']'; isFirst = false) {
      if (this.#at >= this.#text.length || this.#text.startsWith('[:', this.#at)) throw new NotUnderstood();
      const low = this.#classPart();
      const next = this.#text[this.#at + 1];
      if (typeof low === 'number' && this.#peek() === '-' && next !== ']' && next !== undefined) {
        this.#at += 1;
        const high = this.#classPart();
        if (typeof high !== 'number' || high < low) throw new NotUnderstood();
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

// ---------------------------------------------------------------- non-deterministic

type NfaNode =
  | { readonly kind: 'match' }
  | { readonly kind: 'symbols'; readonly symbols: Symbols; readonly next: number }
  | { readonly kind: 'start' | 'end'; readonly next: number }
  | { kind: 'split'; next: number; other: number };

class NodeBuilder {
  readonly nodes: NfaNode[] = [];
  isTooMany = false;

  match(): number {
    return this.#push({ kind: 'match' });
  }

  /** Where it begins, if `next` comes after it. */
  add(tree: Tree, next: number): number {
    if (this.isTooMany) return next;
    switch (tree.kind) {
      case 'empty':
        return next;
      case 'symbols':
        return this.#push({ kind: 'symbols', symbols: tree.symbols, next });
      case 'start':
      case 'end':
        return this.#push({ kind: tree.kind, next });
      case 'sequence':
        return tree.parts.reduceRight((after, part) => this.add(part, after), next);
      case 'choice':
        return tree.parts
          .map((part) => this.add(part, next))
          .reduce((one, other) => this.#push({ kind: 'split', next: one, other }));
      case 'repeat':
        return this.#repeat(tree, next);
    }
  }

  #repeat({ of, least, most }: Tree & { kind: 'repeat' }, next: number): number {
    let begin = next;
    if (most === Infinity) {
      const loop: NfaNode = { kind: 'split', next: 0, other: next };
      begin = this.#push(loop);
      loop.next = this.add(of, begin);
    } else {
      for (let more = least; more < most; more += 1)
        begin = this.#push({ kind: 'split', next: this.add(of, begin), other: next });
    }
    for (let times = 0; times < least; times += 1) begin = this.add(of, begin);
    return begin;
  }

  #push(node: NfaNode): number {
    if (this.nodes.length >= MOST_NODES) this.isTooMany = true;
    return this.nodes.push(node) - 1;
  }
}

// ---------------------------------------------------------------- deterministic

/** What a table holds instead of the row of the next state. */
const UNKNOWN = -1;
const MATCHES = -2;
/** It never will, whatever comes. */
const NEVER = -3;
const TOO_MANY = -4;

class Automaton {
  readonly #nodes: readonly NfaNode[];
  readonly #start: number;
  /** Of each state, the nodes that read a symbol. */
  readonly #reading: (readonly number[])[] = [];
  /** Of each state, whether it is a match if the text ends there. */
  readonly #isMatchAtEnd: boolean[] = [];
  readonly #byKey = new Map<string, number>();
  /** A row of symbols for each state, which is known by where its row begins; grows with the states. */
  #next = new Int32Array(8 * SYMBOLS).fill(UNKNOWN);
  readonly #first: number;
  #isGivenUp = false;

  constructor(nodes: readonly NfaNode[], start: number) {
    this.#nodes = nodes;
    this.#start = start;
    this.#first = this.#rowOf([start], true);
  }

  readonly test = (text: string): boolean | undefined => {
    if (this.#isGivenUp) return undefined;
    let row = this.#first;
    if (row < 0) return row === MATCHES;
    const { length } = text;
    for (let at = 0; at < length; at += 1) {
      let symbol = text.charCodeAt(at);
      if (symbol >= OTHER) {
        if (symbol >= 0xd800 && symbol < 0xdc00 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) at += 1;
        symbol = OTHER;
      }
      let next = this.#next[row + symbol] as number;
      if (next < 0) {
        if (next === UNKNOWN) next = this.#step(row, symbol);
        if (next < 0) return next === TOO_MANY ? undefined : next === MATCHES;
      }
      row = next;
    }
    return this.#isMatchAtEnd[row / SYMBOLS] === true;
  };

  #step(row: number, symbol: number): number {
    if (this.#reading.length >= MOST_STATES) {
      this.#isGivenUp = true;
      this.#byKey.clear();
      return TOO_MANY;
    }
    const reached = [this.#start]; // a match may begin anywhere
    for (const at of this.#reading[row / SYMBOLS] ?? []) {
      const node = this.#nodes[at];
      if (node?.kind === 'symbols' && node.symbols[symbol] === 1) reached.push(node.next);
    }
    const next = this.#rowOf(reached, false);
    this.#next[row + symbol] = next;
    return next;
  }

  #rowOf(begin: readonly number[], isAtStart: boolean): number {
    const inside = this.#closure(begin, isAtStart, false);
    const has = (set: ReadonlySet<number>): boolean => [...set].some((at) => this.#nodes[at]?.kind === 'match');
    if (has(inside)) return MATCHES;
    const reading = [...inside].filter((at) => this.#nodes[at]?.kind === 'symbols').toSorted((a, b) => a - b);
    const isMatchAtEnd = has(this.#closure(begin, isAtStart, true));
    // Where the pattern cannot begin later, a state that reads nothing stays as it is.
    if (reading.length === 0 && !isMatchAtEnd && this.#nodes[this.#start]?.kind === 'start') return NEVER;
    const key = `${reading.join(',')} ${String(isMatchAtEnd)}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const row = (this.#reading.push(reading) - 1) * SYMBOLS;
    this.#isMatchAtEnd.push(isMatchAtEnd);
    this.#byKey.set(key, row);
    if (row + SYMBOLS > this.#next.length) {
      const wider = new Int32Array(this.#next.length * 2).fill(UNKNOWN);
      wider.set(this.#next);
      this.#next = wider;
    }
    return row;
  }

  /** What can be reached without reading. */
  #closure(begin: readonly number[], isAtStart: boolean, isAtEnd: boolean): ReadonlySet<number> {
    const found = new Set<number>();
    const left = [...begin];
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      if (found.has(at)) continue;
      found.add(at);
      const node = this.#nodes[at];
      if (node?.kind === 'split') left.push(node.next, node.other);
      else if ((node?.kind === 'start' && isAtStart) || (node?.kind === 'end' && isAtEnd)) left.push(node.next);
    }
    return found;
  }
}
