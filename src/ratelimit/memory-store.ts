import { allFit } from './all-fit.ts';
import type { CountAsk, CountStore } from './store.ts';

interface Counter { count: number; usedUntilS: number }

/** Counters that are looked at each time one is made: more than one, so that what is over goes faster than new ones come. */
const SWEPT = 2;

/** Counts in this process. Exact, answered at once, gone with it. What is over goes; where all are in use, one of them goes, and is counted. */
export class MemoryStore implements CountStore {
  readonly isHealthy = true;
  readonly #counters = new Map<string, Counter>();
  /** Where the sweep stands; a Map's iterator goes on whatever is added and taken away. */
  #round = this.#counters.entries();
  readonly #maxKeys: number;
  readonly #nowMs: () => number;
  evicted = 0;

  constructor({ maxKeys, nowMs }: { readonly maxKeys: number; readonly nowMs: () => number }) {
    this.#maxKeys = maxKeys;
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#counters.size;
  }

  add(asks: readonly CountAsk[]): readonly number[] {
    return asks.map((ask) => (this.#counterOf(ask).count += ask.hits));
  }

  look(keys: readonly string[]): readonly number[] {
    return keys.map((key) => this.#counters.get(key)?.count ?? 0);
  }

  addIfAllFit(asks: readonly CountAsk[]): readonly number[] {
    const counters = asks.map((ask) => this.#counterOf(ask));
    const after = asks.map(({ hits }, at) => (counters[at]?.count ?? 0) + hits);
    if (allFit(asks, counters.map(({ count }) => count))) for (const [at, { hits }] of asks.entries()) (counters[at] as Counter).count += hits;
    return after;
  }

  giveBack(key: string, units: number): void {
    const counter = this.#counters.get(key);
    if (counter !== undefined && counter.count >= units) counter.count -= units;
  }

  async reset(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#counters.delete(key);
  }

  async close(): Promise<void> {
    this.#counters.clear();
  }

  #counterOf({ key, usedUntilS }: CountAsk): Counter {
    const known = this.#counters.get(key);
    if (known !== undefined) return known;
    this.#sweep();
    const counter = { count: 0, usedUntilS };
    this.#counters.set(key, counter);
    return counter;
  }

  /** Goes round all counters, a step further for each that is made: what is over goes, and where there is no room, what is met. */
  #sweep(): void {
    const nowS = this.#nowMs() / 1000;
    for (let looked = 0; looked < SWEPT; looked++) {
      let next = this.#round.next();
      if (next.done === true) {
        this.#round = this.#counters.entries();
        next = this.#round.next();
      }
      if (next.done === true) return;
      const [key, { usedUntilS }] = next.value;
      if (usedUntilS > nowS) {
        if (this.#counters.size < this.#maxKeys) continue;
        this.evicted++;
      }
      this.#counters.delete(key);
    }
  }
}
