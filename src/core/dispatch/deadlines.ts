/** Something that ends at a time, if it has not ended before. */
export interface Expiring {
  /** By `performance.now()`. */
  readonly endsAtMs: number;
  expire(): void;
}

/**
 * One timer for all calls that are waited for: armed for the earliest, it looks again when it fires, so that a call which
 * ends in time never touches it.
 */
export class Deadlines {
  readonly #pending = new Set<Expiring>();
  #timer: NodeJS.Timeout | undefined;
  #firesAtMs = Infinity;

  add(one: Expiring): void {
    this.#pending.add(one);
    if (one.endsAtMs < this.#firesAtMs) this.#arm(one.endsAtMs);
    else if (this.#pending.size === 1) this.#timer?.ref();
  }

  remove(one: Expiring): void {
    this.#pending.delete(one);
    if (this.#pending.size === 0) this.#timer?.unref(); // what nobody waits for keeps no process alive
  }

  #arm(atMs: number): void {
    clearTimeout(this.#timer);
    this.#firesAtMs = atMs;
    this.#timer = setTimeout(() => this.#fire(), Math.max(1, Math.ceil(atMs - performance.now())));
  }

  #fire(): void {
    this.#timer = undefined;
    this.#firesAtMs = Infinity;
    const nowMs = performance.now();
    let nextMs = Infinity;
    for (const one of this.#pending) {
      if (one.endsAtMs <= nowMs) {
        this.#pending.delete(one);
        one.expire();
      } else if (one.endsAtMs < nextMs) nextMs = one.endsAtMs;
    }
    if (nextMs < this.#firesAtMs) this.#arm(nextMs);
  }
}
