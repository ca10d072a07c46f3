/**
 * The most frequent values of one label, in bounded memory.
 * **In**: each value as it is reported. **Out**: whether it is among the `size` most frequent. **Fails**: never.
 *
 * Misra and Gries' algorithm: a value that is not counted while all counters are in use lowers every counter by one, and counters at 0 are
 * freed. A count is at most the true one, and lower by at most total / counters; so with 8 counters for each place, a value with
 * 1/8 of the average share of a place is counted. Lowering costs O(counters), and as many reports before it have paid for it.
 */

/** Counters for each place. */
const COUNTERS_PER_PLACE = 8;
/** A value replaces the least frequent one when its count is this many times larger, so that two of equal frequency do not alternate. */
const REPLACES_AT = 2;

interface Counter {
  count: number;
  isTop: boolean;
}

export class TopValues {
  readonly #size: number;
  readonly #counters = new Map<string, Counter>();
  readonly #top = new Set<Counter>();
  /** At most the least count in the top, as of the last search. */
  #least = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** Counts one report of this value; true if it is in the top. */
  isTop(value: string): boolean {
    let counter = this.#counters.get(value);
    if (counter === undefined) {
      if (this.#counters.size >= this.#size * COUNTERS_PER_PLACE) {
        this.#lowerAll();
        return false;
      }
      this.#counters.set(value, (counter = { count: 0, isTop: false }));
    }
    counter.count++;
    if (!counter.isTop) this.#tryToEnter(counter);
    return counter.isTop;
  }

  #tryToEnter(counter: Counter): void {
    if (this.#top.size >= this.#size) {
      if (counter.count <= this.#least * REPLACES_AT) return;
      let least: Counter | undefined;
      for (const one of this.#top) if (least === undefined || one.count < least.count) least = one;
      this.#least = least?.count ?? 0;
      if (least === undefined || counter.count <= this.#least * REPLACES_AT) return;
      least.isTop = false;
      this.#top.delete(least);
    }
    counter.isTop = true;
    this.#top.add(counter);
  }

  #lowerAll(): void {
    this.#least = Math.max(0, this.#least - 1);
    for (const [value, counter] of this.#counters) {
      if (--counter.count > 0) continue;
      this.#counters.delete(value);
      if (this.#top.delete(counter)) this.#least = 0;
    }
  }
}
