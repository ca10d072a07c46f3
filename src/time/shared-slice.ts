/** Of the time of other work. */
const SHARE = 0.1;

export interface SharedSliceOptions {
  readonly leastMs: number;
  readonly mostMs: number;
  readonly stepsBetweenLooks: number;
}

/**
 * A slice of each turn of the event loop for all work of one kind, however many tasks have such work: by a {@link TimeSlice} for each,
 * a hundred tasks would hold the loop a hundred times as long.
 *
 * A task calls `isBusy` or `isClosed` before it starts and `isOver` after each step, waits for {@link next} if one is true, and calls
 * {@link done} when it has no more work. Tasks that wait go on in their order, in turns in which sockets were read before.
 */
export class SharedSlice {
  readonly #leastMs: number;
  readonly #mostMs: number;
  readonly #waiting: (() => void)[] = [];
  readonly #stepsBetweenLooks: number;
  #endsAtMs = -Infinity;
  #steps = 0;
  #isScheduled = false;

  /**
   * A slice takes {@link SHARE} of the time since the last one, but no less than `leastMs` and no more than `mostMs`: other work that
   * fills the loop leaves the tasks a part of it. The clock is read after every `stepsBetweenLooks` steps of any task.
   */
  constructor({ leastMs, mostMs, stepsBetweenLooks }: SharedSliceOptions) {
    this.#leastMs = leastMs;
    this.#mostMs = mostMs;
    this.#stepsBetweenLooks = stepsBetweenLooks;
  }

  /** Others wait for the next slice. */
  get isBusy(): boolean {
    return this.#waiting.length > 0;
  }

  /** As {@link isBusy}, or no slice has begun, for a task that does not start before all sockets of this turn were read. */
  get isClosed(): boolean {
    return this.isBusy || performance.now() >= this.#endsAtMs;
  }

  /** Counts a step; when the clock is read, whether the slice is over. After an idle time it is, which costs one turn. */
  get isOver(): boolean {
    return ++this.#steps % this.#stepsBetweenLooks === 0 && performance.now() >= this.#endsAtMs;
  }

  next(): Promise<void> {
    this.#schedule();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** The rest of the slice is another task's. */
  done(): void {
    if (this.#waiting.length > 0 && performance.now() < this.#endsAtMs) this.#waiting.shift()?.();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#begin);
  }

  readonly #begin = (): void => {
    this.#isScheduled = false;
    const nowMs = performance.now();
    this.#endsAtMs = nowMs + Math.max(this.#leastMs, Math.min(this.#mostMs, (nowMs - this.#endsAtMs) * SHARE));
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#schedule(); // even if the task that goes on neither waits again nor calls done
  };
}
