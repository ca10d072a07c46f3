/**
 * The charges that `log` and `concurrency` keep, in memory that all workers see: a list for each place of the counters, all from one
 * pool of slots. **In** and **out**: lists as arrays, in their order. **Fails**: never; where all slots are in use, one of the entries that
 * end first goes, and that is told. Only one worker at a time may be inside (the lock of the places).
 *
 * A worker can be ended between any two steps. It says before that it changes something, and after that it has; the next that finds it
 * said so {@link repair}s: entries that a list leads to stay, all other slots are free.
 */
import { hash } from 'node:crypto';
import type { Entry } from '../counter.ts';

/** Word 0 stays 0: where a worker ends, the first word of all shared memory is looked at as a lock. */
const HEAD_BYTES = 32;
const [CHANGING, TOUCHED, FREE, USED, HAND, SECRET, SECRET_MORE] = [1, 2, 3, 4, 5, 6, 7];
/** Of a slot: until when, its cost, who; then the next slot and the list it is in, both 0 for none. */
const [NUMBERS, LINKS] = [3, 2];
const SWEPT_PER_ENTRY = 2; // more than one, so that what is over goes faster than new entries come
const LOOKED_AT = 16;

export interface SharedEntriesOptions {
  /** Of {@link SharedEntries.bytesFor}. */
  readonly memory: SharedArrayBuffer;
  readonly lists: number;
  readonly maxEntries: number;
  /** An entry went before it was over. */
  readonly onEvicted: () => void;
}

export class SharedEntries {
  static bytesFor(lists: number, maxEntries: number): number {
    return HEAD_BYTES + maxEntries * (NUMBERS * 8 + LINKS * 4) + lists * 4;
  }

  readonly #maxEntries: number;
  readonly #onEvicted: () => void;
  readonly #head: Int32Array;
  /** Slots are numbered from 1. */
  readonly #numbers: Float64Array;
  readonly #links: Int32Array;
  /** The first slot of each list. */
  readonly #firsts: Int32Array;

  constructor({ memory, lists, maxEntries, onEvicted }: SharedEntriesOptions) {
    this.#maxEntries = maxEntries;
    this.#onEvicted = onEvicted;
    const linksFrom = HEAD_BYTES + maxEntries * NUMBERS * 8;
    this.#head = new Int32Array(memory, 0, HEAD_BYTES / 4);
    this.#numbers = new Float64Array(memory, HEAD_BYTES, maxEntries * NUMBERS);
    this.#links = new Int32Array(memory, linksFrom, maxEntries * LINKS);
    this.#firsts = new Int32Array(memory, linksFrom + maxEntries * LINKS * 4, lists);
    if (this.#get(SECRET) === 0)
      for (const [at, word] of crypto.getRandomValues(new Int32Array(2)).entries()) this.#head[SECRET + at] = word | 1;
  }

  /** How many entries there are, over or not. */
  get used(): number {
    return this.#get(USED);
  }

  /** 52 bits of a text; the secret, so that nobody outside can find two with the same. */
  ownerOf(text: string): number {
    return (
      Number.parseInt(hash('sha256', `${this.#get(SECRET)} ${this.#get(SECRET_MORE)} ${text}`).slice(0, 13), 16) || 1
    );
  }

  read(list: number): readonly Entry[] {
    const entries: Entry[] = [];
    for (let slot = this.#first(list); slot !== 0; slot = this.#next(slot)) {
      entries.push({
        untilMs: this.#number(slot, 0),
        cost: this.#number(slot, 1),
        owner: this.#number(slot, 2) || undefined,
      });
    }
    return entries;
  }

  /** Makes a list that holds `before` hold `after`; what is in both stays in its slot. */
  write(list: number, before: readonly Entry[], after: readonly Entry[]): void {
    if (before.length === after.length && before.every((entry, at) => entry === after[at])) return;
    this.#change(() => {
      let kept = 0;
      let last = 0;
      for (let slot = this.#first(list), at = 0; slot !== 0; at++) {
        const next = this.#next(slot);
        if (kept < after.length && before[at] === after[kept]) {
          kept++;
          last = slot;
        } else {
          this.#link(list, last, next);
          this.#release(slot);
        }
        slot = next;
      }
      for (; kept < after.length; kept++) last = this.#append(list, last, after[kept] as Entry);
    });
  }

  clear(list: number): void {
    if (this.#first(list) !== 0)
      this.#change(() => {
        while (this.#first(list) !== 0) this.#dropFirst(list);
      });
  }

  /** For so many entries more, before the lists that they come to are read. Takes what is over, and where that is not enough, what is not. */
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

  /** To be called before anything else by whoever has come inside. */
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

  /** The one that ends first of some, or what came to its counter before it. */
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

  /** Atomic, so that no write of `work` is seen outside of it. Where it is not ended, nor is what it says. */
  #change(work: () => void): void {
    Atomics.store(this.#head, CHANGING, 1);
    work();
    Atomics.store(this.#head, CHANGING, 0);
  }

  #append(list: number, last: number, { untilMs, cost, owner }: Entry): number {
    const free = this.#get(FREE);
    const slot = free === 0 ? this.#get(TOUCHED) + 1 : free;
    if (slot > this.#maxEntries) {
      // a call with more asks than there are slots
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
    this.#links[(slot - 1) * LINKS] = 0;
    this.#links[(slot - 1) * LINKS + 1] = list + 1;
    this.#link(list, last, slot);
    return slot;
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

  /** Slot after slot, round and round; 0 where none was ever used. */
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
