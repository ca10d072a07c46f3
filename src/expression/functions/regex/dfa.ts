/**
 * A deterministic automaton for patterns that are known when a policy loads.
 * **In**: a pattern that RE2 accepts. **Out**: a test in linear time, about as fast as a native RegExp. **Fails**: with
 * `undefined` for patterns and texts that it does not support; re2js then tests them (matches.ts).
 *
 * Its states are sets of nodes of the non-deterministic automaton. Each is made when a text first leads to it.
 */
import { type Nfa, type NfaNode, nfaOf } from './nfa.ts';
import { OTHER, parsePattern, SYMBOLS } from './syntax.ts';

/** A state takes half a kilobyte. */
const MAX_STATES = 400;

/** The test is `undefined` for a text that led to too many states. */
export function dfaTestOf(pattern: string): ((text: string) => boolean | undefined) | undefined {
  const tree = parsePattern(pattern);
  const nfa = tree === undefined ? undefined : nfaOf(tree);
  return nfa === undefined ? undefined : new Dfa(nfa).test;
}

/** Entries of the table that are not the row of a next state. */
const UNKNOWN = -1;
const MATCH = -2;
/** No text from here on matches. */
const DEAD = -3;
const OVERFLOW = -4;

class Dfa {
  readonly #nodes: readonly NfaNode[];
  readonly #start: number;
  /** The nodes of each state that read a symbol. */
  readonly #reading: (readonly number[])[] = [];
  /** Whether each state is a match if the text ends there. */
  readonly #isMatchAtEnd: boolean[] = [];
  readonly #byKey = new Map<string, number>();
  /** The transition table: a row of symbols for each state. A state is named by the offset of its row. */
  #next = new Int32Array(8 * SYMBOLS).fill(UNKNOWN);
  readonly #first: number;
  #hasOverflowed = false;

  constructor({ nodes, start }: Nfa) {
    this.#nodes = nodes;
    this.#start = start;
    this.#first = this.#rowOf([start], true);
  }

  readonly test = (text: string): boolean | undefined => {
    if (this.#hasOverflowed) return undefined;
    let row = this.#first;
    if (row < 0) return row === MATCH;
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
        if (next < 0) return next === OVERFLOW ? undefined : next === MATCH;
      }
      row = next;
    }
    return this.#isMatchAtEnd[row / SYMBOLS] === true;
  };

  #step(row: number, symbol: number): number {
    if (this.#reading.length >= MAX_STATES) {
      this.#hasOverflowed = true;
      this.#byKey.clear();
      return OVERFLOW;
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
    if (has(inside)) return MATCH;
    const reading = [...inside].filter((at) => this.#nodes[at]?.kind === 'symbols').toSorted((a, b) => a - b);
    const isMatchAtEnd = has(this.#closure(begin, isAtStart, true));
    // An anchored pattern cannot begin later.
    if (reading.length === 0 && !isMatchAtEnd && this.#nodes[this.#start]?.kind === 'start') return DEAD;
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

  /** All nodes that can be reached without reading a symbol. */
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
