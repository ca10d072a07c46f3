/** A seeded random number generator (mulberry32): the same seed gives the same numbers. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = (Math.imul(seed, 2654435761) + 1) >>> 0;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T;
  }

  /** True once in `times`, on average. */
  chance(times: number): boolean {
    return this.below(times) === 0;
  }

  list<T>(lengths: readonly number[], make: (at: number) => T): T[] {
    return Array.from({ length: this.one(lengths) }, (_, at) => make(at));
  }
}
