/**
 * The counters of one name, algorithm and period, approximately in the order in which they end: those that are over are in front. When all
 * counters of a table are in use, each group has a share.
 */
import { copyOf, type Counter, type CounterAlgorithm } from '../counter.ts';

/** A counter in its place. Linked by hand: a Map that is emptied from the front is slow to find its first entry. */
export interface Slot extends Counter {
  readonly key: string;
  readonly group: Group;
  previous: Slot | undefined;
  next: Slot | undefined;
}

export class Group {
  readonly name: string;
  readonly algorithm: CounterAlgorithm;
  /** Whose it is; `undefined` once it was dropped. */
  table: object | undefined;
  /** Where slots are found by key: those of this group alone, or of all `window`s, whose keys name them wholly. */
  readonly #index: Map<string, Slot>;
  #first: Slot | undefined;
  #last: Slot | undefined;
  #size = 0;

  constructor(name: string, algorithm: CounterAlgorithm, table: object, index: Map<string, Slot>) {
    this.name = name;
    this.algorithm = algorithm;
    this.table = table;
    this.#index = index;
  }

  get size(): number {
    return this.#size;
  }

  get(key: string): Slot | undefined {
    return this.#index.get(key);
  }

  add(key: string, counter: Counter): Slot {
    const slot: Slot = { ...copyOf(counter), key, group: this, previous: undefined, next: undefined };
    this.#index.set(key, slot);
    this.#append(slot);
    return slot;
  }

  moveToEnd(slot: Slot): void {
    if (this.#last === slot) return;
    this.#unlink(slot);
    this.#append(slot);
  }

  remove(slot: Slot): void {
    this.#unlink(slot);
    this.#index.delete(slot.key);
  }

  removeFirst(): boolean {
    if (this.#first === undefined) return false;
    this.remove(this.#first);
    return true;
  }

  /** Looks at up to `limit` counters in front and removes those that are over; returns how many. */
  sweep(nowMs: number, limit: number): number {
    let removed = 0;
    for (let looked = 0; looked < limit && this.#first !== undefined; looked++) {
      if (this.#first.endsAtMs <= nowMs) {
        this.remove(this.#first);
        removed++;
      } else if (endsInOrder(this.algorithm)) {
        break; // those behind end no earlier
      } else {
        this.moveToEnd(this.#first); // a counter in steady use must not hide those behind it
      }
    }
    return removed;
  }

  #append(slot: Slot): void {
    slot.previous = this.#last;
    slot.next = undefined;
    if (this.#last === undefined) this.#first = slot;
    else this.#last.next = slot;
    this.#last = slot;
    this.#size++;
  }

  #unlink({ previous, next }: Slot): void {
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    this.#size--;
  }
}

/** Their windows follow the calendar: counters that begin later end later. Those of other algorithms may end at any time. */
export const endsInOrder = (algorithm: CounterAlgorithm): boolean =>
  algorithm === 'fixed' || algorithm === 'sliding' || algorithm === 'window';
