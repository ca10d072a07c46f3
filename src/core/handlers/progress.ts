/** More would only tell more exactly what was answered long ago. */
const KEPT = 32;
const GRAIN_MS = 1;

/**
 * When a handler answered last, by the order in which calls were sent. A backend that answers in order owes nothing to a call while
 * it answers those sent before it; one that answers later calls first has passed it over.
 */
export class Progress {
  /** Both ascending. */
  readonly #orders: number[] = [];
  readonly #atMs: number[] = [];

  answered(order: number, atMs: number): void {
    let last = this.#orders.length - 1;
    if (last >= 0 && (this.#orders[last] as number) <= order && atMs - (this.#atMs[last] as number) < GRAIN_MS) return;
    for (; last >= 0 && (this.#orders[last] as number) >= order; last--) {
      this.#orders.pop();
      this.#atMs.pop();
    }
    this.#orders.push(order);
    this.#atMs.push(atMs);
    if (this.#orders.length > KEPT) {
      this.#orders.shift();
      this.#atMs.shift();
    }
  }

  /** When a call that was sent before this one was answered last; `-Infinity` where that is not known. */
  lastBefore(order: number): number {
    for (let at = this.#orders.length - 1; at >= 0; at--)
      if ((this.#orders[at] as number) < order) return this.#atMs[at] as number;
    return -Infinity;
  }
}
