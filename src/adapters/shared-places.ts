/** A bounded hash table of numbers by name, in memory shared by all workers, under one lock. */
import { SharedLock } from './shared-lock.ts';

/** Set-associative: a name belongs to one set; in a full set, the place that expires first is evicted. */
const SET = 16;
/** Layout: the lock and hash seeds, then the values of each place, then its hash (two words). */
const HEAD_BYTES = 16;
const [SEED_ONE, SEED_OTHER] = [1, 2];
/** Spare places, since sets fill unevenly. */
const SPARE = 1.5;

const setsFor = (places: number): number => Math.ceil((places * SPARE) / SET);
const bytesOfPlace = (perPlace: number): number => (perPlace + 1) * 8;

export interface SharedPlacesOptions {
  /** `host.shared(name, SharedPlaces.bytesFor(places, perPlace))`, which is zeroed at first. */
  readonly memory: SharedArrayBuffer;
  /** `host.worker.number`. */
  readonly worker: number;
  /** Values per place, at least 1; equal in all workers. */
  readonly perPlace: number;
  /** Called when a name that was in use is evicted. */
  readonly onEvicted: () => void;
  /** Called when a place, in use or expired, is reused; `at` is the index of its first value. */
  readonly onTaken?: (at: number) => void;
}

/**
 * Each name has a place of `perPlace` numbers: the first is when it expires, in ms since 1970; the others belong to the plugin.
 * Names are stored as 64-bit hashes with secret seeds. Read and write only {@link within} the lock. If a worker dies while it holds
 * the lock, its writes remain and the others continue.
 */
export class SharedPlaces {
  /** Bytes for this number of names in use, with `perPlace` numbers each. */
  static bytesFor(places: number, perPlace: number): number {
    return HEAD_BYTES + setsFor(places) * SET * bytesOfPlace(perPlace);
  }

  /** `perPlace` of each place, from the index that {@link placeOf} gives. */
  readonly values: Float64Array;
  readonly #perPlace: number;
  readonly #onEvicted: () => void;
  readonly #onTaken: SharedPlacesOptions['onTaken'];
  readonly #lock: SharedLock;
  readonly #head: Int32Array;
  readonly #hashes: Int32Array;
  readonly #sets: number;

  constructor({ memory, worker, perPlace, onEvicted, onTaken }: SharedPlacesOptions) {
    const places = (memory.byteLength - HEAD_BYTES) / bytesOfPlace(perPlace);
    if (places < SET || places % SET !== 0)
      throw new RangeError(
        `${memory.byteLength} bytes do not hold places of ${perPlace} values, take SharedPlaces.bytesFor(places, ${perPlace})`,
      );
    this.#perPlace = perPlace;
    this.#onEvicted = onEvicted;
    this.#onTaken = onTaken;
    this.#sets = places / SET;
    this.#lock = new SharedLock(memory, worker);
    this.#head = new Int32Array(memory, 0, HEAD_BYTES / 4);
    this.values = new Float64Array(memory, HEAD_BYTES, places * perPlace);
    this.#hashes = new Int32Array(memory, HEAD_BYTES + places * perPlace * 8, places * 2);
    this.#lock.within(() => this.#seed());
  }

  /** Runs under the lock, for microseconds: waiting blocks the thread. Must not be nested. */
  within<T>(work: () => T): T {
    return this.#lock.within(work);
  }

  /**
   * Index of a name's first value. A new name takes an empty or expired place of its set, else that of the name that expires first. Its
   * values are 0, so the place counts as expired until the first value is set. An index is valid within the lock, until another new name
   * is looked up.
   *
   * `groupAt`: the index of the value that holds a place's group; `group`: that of the new name. In a full set, a group that has its fair
   * share evicts one of its own places; a group with less evicts a place of the largest group.
   */
  placeOf(name: string, nowMs: number, groupAt?: number, group?: number): number {
    const [values, hashes, perPlace] = [this.values, this.#hashes, this.#perPlace];
    const one = hash(name, this.#head[SEED_ONE] as number);
    const other = hash(name, this.#head[SEED_OTHER] as number) | 1; // 0 and 0 is an empty place
    const first = ((one >>> 0) % this.#sets) * SET;
    let taken = first;
    for (let place = first; place < first + SET; place++) {
      if (hashes[place * 2] === one && hashes[place * 2 + 1] === other) return place * perPlace;
      if ((values[place * perPlace] as number) < (values[taken * perPlace] as number)) taken = place;
    }
    if (groupAt !== undefined && group !== undefined && (values[taken * perPlace] as number) > nowMs)
      taken = this.#fairly(first, groupAt, group);
    const at = taken * perPlace;
    if ((values[at] as number) > nowMs) this.#onEvicted();
    if (hashes[taken * 2 + 1] !== 0) this.#onTaken?.(at);
    values.fill(0, at, at + perPlace); // before the name: if the worker dies in between, no other name inherits the values
    hashes[taken * 2] = one;
    hashes[taken * 2 + 1] = other;
    return at;
  }

  /** The place to evict from a set full of live places: the first to expire of the group that must give one up. */
  #fairly(first: number, groupAt: number, group: number): number {
    const groupOf = (place: number): number => this.values[place * this.#perPlace + groupAt] as number;
    const sizes = new Map<number, number>();
    for (let place = first; place < first + SET; place++)
      sizes.set(groupOf(place), (sizes.get(groupOf(place)) ?? 0) + 1);
    let giving = group;
    if ((sizes.get(group) ?? 0) < SET / (sizes.has(group) ? sizes.size : sizes.size + 1))
      for (const [one, size] of sizes) if (size > (sizes.get(giving) ?? 0)) giving = one;
    let taken: number | undefined;
    for (let place = first; place < first + SET; place++) {
      if (
        groupOf(place) === giving &&
        (taken === undefined ||
          (this.values[place * this.#perPlace] as number) < (this.values[taken * this.#perPlace] as number))
      )
        taken = place;
    }
    return taken ?? first;
  }

  /** The place of an existing name; `undefined` if it has none. Evicts nothing. */
  find(name: string): number | undefined {
    const one = hash(name, this.#head[SEED_ONE] as number);
    const other = hash(name, this.#head[SEED_OTHER] as number) | 1;
    const first = ((one >>> 0) % this.#sets) * SET;
    for (let place = first; place < first + SET; place++)
      if (this.#hashes[place * 2] === one && this.#hashes[place * 2 + 1] === other) return place * this.#perPlace;
    return undefined;
  }

  /** Random seeds, so that clients cannot choose colliding names; set by the first worker. */
  #seed(): void {
    if (this.#head[SEED_ONE] !== 0) return;
    const [one = 1, other = 2] = crypto.getRandomValues(new Int32Array(2));
    this.#head[SEED_ONE] = one | 1;
    this.#head[SEED_OTHER] = other;
  }
}

/** 32 bits of a text: MurmurHash3's mixing, a UTF-16 unit at a time. */
function hash(text: string, seed: number): number {
  let state = seed;
  for (let at = 0; at < text.length; at++) {
    let unit = Math.imul(text.charCodeAt(at), 0xcc9e2d51);
    unit = Math.imul((unit << 15) | (unit >>> 17), 0x1b873593);
    state ^= unit;
    state = Math.imul((state << 13) | (state >>> 19), 5) + 0xe6546b64;
  }
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return state ^ (state >>> 16);
}
