import { SharedPlaces } from '../../adapters/shared-places.ts';
import { allFit } from './all-or-none.ts';
import { SettingError } from '../settings/setting.ts';
import { cappedHits, type CountAsk, type CountStore } from './store.ts';

/** Of a counter: until when it is of use, in ms, and what it is at. */
const PER_PLACE = 2;

/** What the workers of a process count in, and which of them this one is (from 1). */
export interface SharedCounts {
  readonly worker: number;
  /** What other processes know this one by. */
  readonly replica: string;
  /** Of BACKEND_TYPE=memory. */
  readonly counts: SharedArrayBuffer;
  /** While Redis is away. */
  readonly local: SharedArrayBuffer;
}

/** Zeroed, for so many counters in use. */
export function sharedCounters(maxKeys: number): SharedArrayBuffer {
  const bytes = SharedPlaces.bytesFor(Math.max(1, maxKeys), PER_PLACE);
  try {
    return new SharedArrayBuffer(bytes);
  } catch (error) {
    throw new SettingError(
      `SLUICE_MAX_KEYS is ${maxKeys}: with several workers that is ${bytes} bytes of shared memory, more than there can be`,
      { cause: error },
    );
  }
}

/** Counts in memory that all workers of the process see. Exact, answered at once, gone with it; what ends first goes where there is no room, and is counted. */
export class SharedStore implements CountStore {
  readonly isHealthy = true;
  readonly #places: SharedPlaces;
  readonly #values: Float64Array;
  readonly #nowMs: () => number;
  evicted = 0;

  constructor({
    memory,
    worker,
    nowMs,
  }: {
    readonly memory: SharedArrayBuffer;
    readonly worker: number;
    readonly nowMs: () => number;
  }) {
    this.#places = new SharedPlaces({
      memory,
      worker,
      perPlace: PER_PLACE,
      onEvicted: () => {
        this.evicted++;
      },
    });
    this.#values = this.#places.values;
    this.#nowMs = nowMs;
  }

  /** In use now; the whole memory is gone through. */
  get size(): number {
    const nowMs = this.#nowMs();
    let size = 0;
    for (let at = 0; at < this.#values.length; at += PER_PLACE) if ((this.#values[at] as number) > nowMs) size++;
    return size;
  }

  add(asks: readonly CountAsk[]): readonly number[] {
    const nowMs = this.#nowMs();
    return this.#places.within(() => asks.map((ask) => this.#add(ask, nowMs)));
  }

  look(keys: readonly string[]): readonly number[] {
    return this.#places.within(() => keys.map((key) => this.#countOf(key)));
  }

  addIfAllFit(asks: readonly CountAsk[]): readonly number[] {
    const nowMs = this.#nowMs();
    return this.#places.within(() => {
      const before = asks.map(({ key }) => this.#countOf(key));
      if (allFit(asks, before)) for (const ask of asks) this.#add(ask, nowMs);
      return asks.map(({ hits }, at) => (before[at] ?? 0) + hits);
    });
  }

  giveBack(key: string, units: number): void {
    this.#places.within(() => {
      const at = this.#places.find(key);
      if (at !== undefined && (this.#values[at + 1] as number) >= units) (this.#values[at + 1] as number) -= units;
    });
  }

  async reset(keys: readonly string[]): Promise<void> {
    this.#places.within(() => {
      for (const key of keys) {
        const at = this.#places.find(key);
        if (at !== undefined) this.#values.fill(0, at, at + PER_PLACE);
      }
    });
  }

  /** The memory is its giver's. */
  async close(): Promise<void> {}

  #add({ key, hits, usedUntilS }: CountAsk, nowMs: number): number {
    const at = this.#places.placeOf(key, nowMs);
    this.#values[at] ||= usedUntilS * 1000; // from here on the place is its own
    const count = (this.#values[at + 1] as number) + cappedHits(hits);
    this.#values[at + 1] = count;
    return count;
  }

  #countOf(key: string): number {
    const at = this.#places.find(key);
    return at === undefined ? 0 : (this.#values[at + 1] as number);
  }
}
