import type { PendingCall } from './pending-call.ts';

/** So many places of calls that have left are given back at once. */
const COMPACT_AT = 1024;

/** Calls that wait for room at a handler, in order. Those that were given up stay in the list until their turn, and do not count. */
export class WaitingCalls {
  readonly #calls: (PendingCall | undefined)[] = [];
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(call: PendingCall): void {
    this.#calls.push(call);
    this.#size++;
  }

  /** One was given up. */
  left(): void {
    this.#size--;
    if (this.#size === 0) this.#clear();
  }

  next(): PendingCall | undefined {
    while (this.#head < this.#calls.length) {
      const call = this.#calls[this.#head];
      this.#calls[this.#head++] = undefined;
      if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#calls.length) {
        this.#calls.splice(0, this.#head);
        this.#head = 0;
      }
      if (call?.isOpen !== true) continue;
      this.#size--;
      if (this.#size === 0) this.#clear();
      return call;
    }
    return undefined;
  }

  #clear(): void {
    this.#calls.length = 0;
    this.#head = 0;
  }
}
