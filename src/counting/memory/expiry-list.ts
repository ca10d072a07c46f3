/** Counters of one name, algorithm and period, in the order in which their windows began: what is over stands in front. */
import type { Algorithm } from '../../adapters/contract.ts';
import type { Counter } from '../algorithms.ts';

/** A counter in its place. Linked by hand: a Map that is emptied from the front is slow to find its first entry. */
export interface Placed extends Counter {
  readonly key: string;
  /** Where it is found by its key. */
  readonly home: Map<string, Placed>;
  before: Placed | undefined;
  after: Placed | undefined;
}

export class Shelf {
  readonly algorithm: Algorithm;
  #first: Placed | undefined;
  #last: Placed | undefined;

  constructor(algorithm: Algorithm) {
    this.algorithm = algorithm;
  }

  add(home: Map<string, Placed>, key: string): Placed {
    const placed: Placed = { a: 0, b: 0, c: 0, key, home, before: undefined, after: undefined };
    home.set(key, placed);
    this.#append(placed);
    return placed;
  }

  toBack(placed: Placed): void {
    if (this.#last === placed) return;
    this.#unlink(placed);
    this.#append(placed);
  }

  /** Takes the one in front away; false where there is none. */
  dropFirst(): boolean {
    const first = this.#first;
    if (first === undefined) return false;
    this.#unlink(first);
    first.home.delete(first.key);
    return true;
  }

  /** Looks at up to `most` in front and takes away those that are over; how many. */
  sweep(nowMs: number, most: number): number {
    let dropped = 0;
    for (let looked = 0; looked < most && this.#first !== undefined; looked++) {
      if (this.#first.a <= nowMs) {
        this.dropFirst();
        dropped++;
      } else if (this.algorithm === 'fixed' || this.algorithm === 'sliding') {
        break; // those behind end no earlier
      } else {
        this.toBack(this.#first); // one in steady use must not hide those behind it
      }
    }
    return dropped;
  }

  #append(placed: Placed): void {
    placed.before = this.#last;
    placed.after = undefined;
    if (this.#last === undefined) this.#first = placed;
    else this.#last.after = placed;
    this.#last = placed;
  }

  #unlink({ before, after }: Placed): void {
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
  }
}
