import { allFit } from './all-or-none.ts';
import { boundedKey } from './bounded-key.ts';
import { ServiceError } from '../call.ts';
import { type CountAsk, type CountStore, cappedHits } from './store.ts';

interface Counter {
  count: number;
  usedUntilS: number;
  readonly group: Group;
}
/** The counters of one limit, the oldest first. */
type Group = Set<string>;

export interface MemoryStoreOptions {
  readonly maxKeys: number;
  readonly nowMs: () => number;
  /** Where all counters are in use and none may go: fails, or (while Redis is away, when there is nobody else to ask) the oldest of its limit goes. */
  readonly whenFull?: 'fail' | 'evict';
  /** There was no room for a counter. */
  readonly onFull?: (() => void) | undefined;
}

/** Counters that are looked at each time one is made: more than one, so that what is over goes faster than new ones come. */
const SWEPT = 2;

/**
 * Counts in this process. Exact, answered at once, gone with it. What is over goes. Where all are in use, a limit that has less than its share
 * gets the place of the oldest counter of the limit that has most, which is counted; any other new key fails with a ServiceError.
 */
export class MemoryStore implements CountStore {
  readonly isHealthy = true;
  readonly #counters = new Map<string, Counter>();
  readonly #groups = new Map<string, Group>();
  /** Where the sweep stands; a Map's iterator goes on whatever is added and taken away. */
  #round = this.#counters.entries();
  readonly #options: MemoryStoreOptions;
  evicted = 0;

  constructor(options: MemoryStoreOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#counters.size;
  }

  add(asks: readonly CountAsk[]): readonly number[] {
    const counters = this.#countersOf(asks);
    return asks.map(({ hits }, at) => ((counters[at] as Counter).count += cappedHits(hits)));
  }

  look(keys: readonly string[]): readonly number[] {
    return keys.map((key) => this.#counters.get(boundedKey(key))?.count ?? 0);
  }

  addIfAllFit(asks: readonly CountAsk[]): readonly number[] {
    const counters = this.#countersOf(asks);
    const after = asks.map(({ hits }, at) => (counters[at]?.count ?? 0) + hits);
    if (
      allFit(
        asks,
        counters.map(({ count }) => count),
      )
    )
      for (const [at, { hits }] of asks.entries()) (counters[at] as Counter).count += hits;
    return after;
  }

  giveBack(key: string, units: number): void {
    const counter = this.#counters.get(boundedKey(key));
    if (counter !== undefined && counter.count >= units) counter.count -= units;
  }

  async reset(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#drop(boundedKey(key));
  }

  async close(): Promise<void> {
    this.#counters.clear();
    this.#groups.clear();
  }

  /** All of them, before anything is counted. */
  #countersOf(asks: readonly CountAsk[]): readonly Counter[] {
    return asks.map((ask) => this.#counterOf(ask));
  }

  #counterOf({ key: whole, group: name = '', usedUntilS }: CountAsk): Counter {
    const key = boundedKey(whole);
    const known = this.#counters.get(key);
    if (known !== undefined) return known;
    this.#sweep();
    let group = this.#groups.get(name);
    if (group === undefined) this.#groups.set(name, (group = new Set()));
    if (this.#counters.size >= this.#options.maxKeys) this.#makeRoom(group);
    const counter = { count: 0, usedUntilS, group };
    this.#counters.set(key, counter);
    group.add(key);
    return counter;
  }

  #makeRoom(group: Group): void {
    const { maxKeys, whenFull = 'fail', onFull } = this.#options;
    let [names, largest] = [group.size === 0 ? 1 : 0, group];
    for (const [name, one] of this.#groups) {
      if (one.size === 0 && one !== group) this.#groups.delete(name);
      else if (one.size > 0) names++;
      if (one.size > largest.size) largest = one;
    }
    const hasShare = largest === group || group.size >= Math.floor(maxKeys / names);
    if (hasShare && whenFull === 'fail') {
      onFull?.();
      throw new ServiceError('redis_error', `no room for another counter: ${maxKeys} are in use (SLUICE_MAX_KEYS)`);
    }
    const [oldest] = hasShare && group.size > 0 ? group : largest;
    if (oldest === undefined) return;
    this.#drop(oldest);
    this.evicted++;
  }

  #drop(key: string): void {
    this.#counters.get(key)?.group.delete(key);
    this.#counters.delete(key);
  }

  /** Goes round all counters, a step further for each that is made: what is over goes. */
  #sweep(): void {
    const nowS = this.#options.nowMs() / 1000;
    for (let looked = 0; looked < SWEPT; looked++) {
      let next = this.#round.next();
      if (next.done === true) {
        this.#round = this.#counters.entries();
        next = this.#round.next();
      }
      if (next.done === true) return;
      const [key, { usedUntilS }] = next.value;
      if (usedUntilS <= nowS) this.#drop(key);
    }
  }
}
