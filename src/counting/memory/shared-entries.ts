/**
 * Entries of `log` and `concurrency` in shared memory: a linked list per place of {@link SharedPlaces}, all from one pool of slots.
 * **In** and **out**: lists as arrays, in order. **Fails**: never; when all slots are in use, an entry that ends early is evicted, and
 * reported. Callers hold the lock of the places.
 *
 * A worker may be terminated between any two steps. It sets a flag before a change and clears it after; the next worker that finds the flag
 * set calls {@link repair}: entries reachable from a list stay, all other slots become free.
 */
import { hash } from 'node:crypto';
import type { Entry } from '../counter.ts';

/** Word 0 stays 0: when a worker ends, the first word of every shared buffer is treated as a lock. */
const HEAD_BYTES = 32;
const [CHANGING, TOUCHED, FREE, USED, HAND, SECRET, SECRET_MORE] = [1, 2, 3, 4, 5, 6, 7];
/** Of a slot, for operators: the length of an idempotency key, then its text in UTF-8; the length is 0 if it has none, or a longer one. */
const ID_BYTES = 40;
/** Numbers of a slot: end, cost, owner. Links of a slot: next slot, list + 1; 0 for none. */
const [NUMBERS, LINKS] = [3, 2];
const SWEPT_PER_ENTRY = 2; // more than one, so that entries expire faster than new ones arrive
const LOOKED_AT = 16;

/** An entry; with its slot, if it was read. */
interface StoredEntry extends Entry {
  readonly slot?: number;
}

export interface SharedEntriesOptions {
  /** Of {@link SharedEntries.bytesFor}. */
  readonly memory: SharedArrayBuffer;
  readonly lists: number;
  readonly maxEntries: number;
  /** An entry was evicted before its end. */
  readonly onEvicted: () => void;
}

export class SharedEntries {
  static bytesFor(lists: number, maxEntries: number): number {
    return HEAD_BYTES + maxEntries * (NUMBERS * 8 + LINKS * 4 + ID_BYTES) + lists * 4;
  }

  readonly #maxEntries: number;
  readonly #onEvicted: () => void;
  readonly #head: Int32Array;
  /** Slots are numbered from 1. */
  readonly #numbers: Float64Array;
  readonly #links: Int32Array;
  /** The first slot of each list. */
  readonly #firsts: Int32Array;
  readonly #ids: Buffer;

  constructor({ memory, lists, maxEntries, onEvicted }: SharedEntriesOptions) {
    this.#maxEntries = maxEntries;
    this.#onEvicted = onEvicted;
    const linksFrom = HEAD_BYTES + maxEntries * NUMBERS * 8;
    this.#head = new Int32Array(memory, 0, HEAD_BYTES / 4);
    this.#numbers = new Float64Array(memory, HEAD_BYTES, maxEntries * NUMBERS);
    this.#links = new Int32Array(memory, linksFrom, maxEntries * LINKS);
    const firstsFrom = linksFrom + maxEntries * LINKS * 4;
    this.#firsts = new Int32Array(memory, firstsFrom, lists);
    this.#ids = Buffer.from(memory, firstsFrom + lists * 4, maxEntries * ID_BYTES);
    if (this.#get(SECRET) === 0)
      for (const [at, word] of crypto.getRandomValues(new Int32Array(2)).entries()) this.#head[SECRET + at] = word | 1;
  }

  /** Entries in use, expired ones included. */
  get used(): number {
    return this.#get(USED);
  }

  /** 52-bit keyed hash of a text; the secret key prevents chosen collisions. */
  ownerOf(text: string): number {
    return (
      Number.parseInt(hash('sha256', `${this.#get(SECRET)} ${this.#get(SECRET_MORE)} ${text}`).slice(0, 13), 16) || 1
    );
  }

  read(list: number): readonly StoredEntry[] {
    const entries: StoredEntry[] = [];
    for (let slot = this.#first(list); slot !== 0; slot = this.#next(slot)) {
      entries.push({
        untilMs: this.#number(slot, 0),
        cost: this.#number(slot, 1),
        owner: this.#number(slot, 2) || undefined,
        slot,
      });
    }
    return entries;
  }

  /** The idempotency key of an entry that was read within the same lock. */
  idOf({ slot }: StoredEntry): string | undefined {
    if (slot === undefined) return undefined;
    const at = (slot - 1) * ID_BYTES;
    const length = this.#ids[at] as number;
    return length === 0 ? undefined : this.#ids.toString('utf8', at + 1, at + 1 + length);
  }

  /** Replaces the list `before` by `after`; entries in both keep their slots. `id`: the idempotency key of new ones. */
  write(list: number, before: readonly Entry[], after: readonly Entry[], id?: string): void {
    if (before.length === after.length && before.every((entry, at) => entry === after[at])) return;
    this.#change(() => {
      let kept = 0;
      let last = 0;
      for (let slot = this.#first(list), at = 0; slot !== 0; at++) {
        const next = this.#next(slot);
        const was = before[at] as Entry;
        const found = placeIn(after, was, kept);
        if (found === undefined) {
          this.#link(list, last, next);
          this.#release(slot);
        } else {
          for (; kept < found; kept++) last = this.#insert(list, last, after[kept] as Entry, id, slot);
          this.#numbers[(slot - 1) * NUMBERS + 1] = (after[kept++] as Entry).cost; // a part may have been given back
          last = slot;
        }
        slot = next;
      }
      for (; kept < after.length; kept++) last = this.#insert(list, last, after[kept] as Entry, id, 0);
    });
  }

  clear(list: number): void {
    if (this.#first(list) !== 0)
      this.#change(() => {
        while (this.#first(list) !== 0) this.#dropFirst(list);
      });
  }

  /** Makes room for `count` further entries: removes expired ones first, then evicts. Call it before the lists are read. */
  makeRoom(count: number, nowMs: number): void {
    for (let swept = 0; swept < count * SWEPT_PER_ENTRY; swept++) {
      const list = this.#listOf(this.#turnHand());
      if (list !== undefined && this.#isFirstOver(list, nowMs))
        this.#change(() => {
          while (this.#isFirstOver(list, nowMs)) this.#dropFirst(list);
        });
    }
    while (this.used > 0 && this.used + count > this.#maxEntries) this.#evict(nowMs);
  }

  /** Call it first after taking the lock. */
  repair(): void {
    if (Atomics.load(this.#head, CHANGING) === 0) return;
    const touched = this.#get(TOUCHED);
    const seen = new Uint8Array(touched + 1);
    for (let list = 0; list < this.#firsts.length; list++) {
      for (let last = 0, slot = this.#first(list); slot !== 0; last = slot, slot = this.#next(slot)) {
        if (seen[slot] !== 0 || this.#listOf(slot) !== list) {
          this.#link(list, last, 0);
          break;
        }
        seen[slot] = 1;
      }
    }
    this.#head[FREE] = 0;
    this.#head[USED] = touched;
    for (let slot = touched; slot > 0; slot--) if (seen[slot] === 0) this.#release(slot);
    Atomics.store(this.#head, CHANGING, 0);
  }

  /** Evicts the oldest entry of the list that holds the earliest-ending of a few entries. */
  #evict(nowMs: number): void {
    let found: number | undefined;
    for (let looked = 0; looked < LOOKED_AT; looked++) {
      const slot = this.#turnHand();
      if (this.#listOf(slot) !== undefined && (found === undefined || this.#number(slot, 0) < this.#number(found, 0)))
        found = slot;
    }
    const list = found === undefined ? undefined : this.#listOf(found);
    if (list === undefined) return;
    if (!this.#isFirstOver(list, nowMs)) this.#onEvicted();
    this.#change(() => this.#dropFirst(list));
  }

  /** Sets the flag around `work`, by atomic stores, so that no write of `work` moves outside. */
  #change(work: () => void): void {
    Atomics.store(this.#head, CHANGING, 1);
    work();
    Atomics.store(this.#head, CHANGING, 0);
  }

  /** Between the slots `last` and `next`. */
  #insert(list: number, last: number, { untilMs, cost, owner }: Entry, id: string | undefined, next: number): number {
    const free = this.#get(FREE);
    const slot = free === 0 ? this.#get(TOUCHED) + 1 : free;
    if (slot > this.#maxEntries) {
      // one call has more asks than there are slots
      this.#onEvicted();
      return last;
    }
    if (free === 0) this.#head[TOUCHED] = slot;
    else this.#head[FREE] = this.#next(slot);
    this.#head[USED] = this.used + 1;
    const at = (slot - 1) * NUMBERS;
    this.#numbers[at] = untilMs;
    this.#numbers[at + 1] = cost;
    this.#numbers[at + 2] = Number(owner ?? 0);
    this.#links[(slot - 1) * LINKS] = next;
    this.#links[(slot - 1) * LINKS + 1] = list + 1;
    this.#writeId(slot, id);
    this.#link(list, last, slot);
    return slot;
  }

  #writeId(slot: number, id = ''): void {
    const at = (slot - 1) * ID_BYTES;
    const bytes = id.length < ID_BYTES ? Buffer.byteLength(id) : ID_BYTES;
    this.#ids[at] = bytes < ID_BYTES ? bytes : 0;
    if (bytes > 0 && bytes < ID_BYTES) this.#ids.write(id, at + 1, 'utf8');
  }

  #dropFirst(list: number): void {
    const slot = this.#first(list);
    this.#link(list, 0, this.#next(slot));
    this.#release(slot);
  }

  #release(slot: number): void {
    this.#links[(slot - 1) * LINKS] = this.#get(FREE);
    this.#links[(slot - 1) * LINKS + 1] = 0;
    this.#head[FREE] = slot;
    this.#head[USED] = this.used - 1;
  }

  /** Advances the clock hand by one slot; 0 while no slot was ever used. */
  #turnHand(): number {
    const touched = this.#get(TOUCHED);
    return (this.#head[HAND] = touched === 0 ? 0 : (this.#get(HAND) % touched) + 1);
  }

  #link(list: number, last: number, next: number): void {
    if (last === 0) this.#firsts[list] = next;
    else this.#links[(last - 1) * LINKS] = next;
  }

  #isFirstOver(list: number, nowMs: number): boolean {
    const slot = this.#first(list);
    return slot !== 0 && this.#number(slot, 0) <= nowMs;
  }

  #get(word: number): number {
    return this.#head[word] as number;
  }

  #first(list: number): number {
    return this.#firsts[list] as number;
  }

  #next(slot: number): number {
    return this.#links[(slot - 1) * LINKS] as number;
  }

  /** `undefined` for a slot that is free. */
  #listOf(slot: number): number | undefined {
    const list = this.#links[(slot - 1) * LINKS + 1] ?? 0;
    return list === 0 ? undefined : list - 1;
  }

  #number(slot: number, at: number): number {
    return this.#numbers[(slot - 1) * NUMBERS + at] as number;
  }
}

/**
 * The place of an entry in a list, from `from` on; lists are in the order in which entries end. A part of its cost may have been given
 * back.
 */
function placeIn(entries: readonly Entry[], { untilMs, owner }: Entry, from: number): number | undefined {
  for (let at = from; at < entries.length; at++) {
    const entry = entries[at] as Entry;
    if (entry.untilMs === untilMs && entry.owner === owner) return at;
    if (entry.untilMs > untilMs) return undefined;
  }
  return undefined;
}
