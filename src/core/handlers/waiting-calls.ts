/** Slots already read at the head of the list before it is compacted. */
const COMPACT_AT = 1024;

/** A queue of calls. Calls that ended early stay in the list until their turn, but do not count. */
export class WaitingCalls<C extends { readonly isOpen: boolean }> {
  readonly #calls: (C | undefined)[] = [];
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(call: C): void {
    this.#calls.push(call);
    this.#size++;
  }

  /** A waiting call ended early. */
  left(): void {
    this.#size--;
    if (this.#size === 0) this.#clear();
  }

  next(): C | undefined {
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
