/**
 * Calls that wait to be decided by a candidate, after they were answered.
 * **In**: calls. **Out**: each of them to `decide`, in later turns of the event loop. **Fails**: never; calls beyond the bounds are
 * skipped, and counted.
 *
 * Calls that are being answered come first: a turn of the event loop in which none arrived is used for at most {@link SLICE_MS}; of
 * the other turns so many that the candidate takes at most {@link BUSY_SHARE} of the time.
 */

/**
 * Per thread. A kept call is a copy of its message; calls that wait long are promoted by the garbage collector, which costs more than to
 * decide them.
 */
export const MAX_WAITING = { count: 128, bytes: 4 * 1024 * 1024 };
/** Calls whose handlers have not answered; each ends by the timeout of its handler. */
export const MAX_RUNNING = 64;
export const SLICE_MS = 0.1;
export const BUSY_SHARE = 0.05;

export interface Weighted {
  /** Bytes that it retains. */
  readonly weight: number;
}

export class Backlog<T extends Weighted> {
  readonly #decide: (item: T) => Promise<void> | void;
  #waiting: T[] = [];
  /** Of the first that waits. */
  #at = 0;
  #bytes = 0;
  #arrived = 0;
  #running = 0;
  #free: (() => void) | undefined;
  #isWorking = false;
  #isClosed = false;
  /** While calls arrive; by `performance.now()`. */
  #restsUntilMs = 0;

  /** `decide` neither throws nor rejects. */
  constructor(decide: (item: T) => Promise<void> | void) {
    this.#decide = decide;
  }

  get size(): number {
    return this.#waiting.length - this.#at;
  }

  get running(): number {
    return this.#running;
  }

  /** A call was answered, whether it will be compared or not. */
  arrived(): void {
    this.#arrived++;
  }

  /** False if there is no room. */
  admits(weight: number): boolean {
    return !this.#isClosed && this.size < MAX_WAITING.count && this.#bytes + weight <= MAX_WAITING.bytes;
  }

  add(item: T): void {
    this.#waiting.push(item);
    this.#bytes += item.weight;
    if (this.#isWorking) return;
    this.#isWorking = true;
    void this.#work();
  }

  /** Drops all that wait. */
  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
    this.#at = 0;
    this.#bytes = 0;
    this.#free?.();
  }

  async #work(): Promise<void> {
    await nextTurn(); // the answers of this turn are written first
    let before = this.#arrived;
    while (this.size > 0) {
      await nextTurn();
      const nowMs = performance.now();
      const isBusy = this.#arrived !== before;
      before = this.#arrived;
      if (isBusy && nowMs < this.#restsUntilMs) continue;
      const tookMs = this.#slice(nowMs);
      this.#restsUntilMs = nowMs + tookMs / BUSY_SHARE;
      if (this.#running >= MAX_RUNNING) await this.#placeFree();
    }
    this.#isWorking = false;
  }

  #slice(beganAtMs: number): number {
    for (;;) {
      const item = this.#next();
      if (item === undefined) break;
      const waits = this.#decide(item);
      if (waits !== undefined) this.#follow(waits);
      if (this.#running >= MAX_RUNNING || performance.now() - beganAtMs >= SLICE_MS) break;
    }
    return performance.now() - beganAtMs;
  }

  #next(): T | undefined {
    const item = this.#waiting[this.#at];
    if (item === undefined) return undefined;
    this.#bytes -= item.weight;
    this.#at++;
    if (this.#at === this.#waiting.length || this.#at > MAX_WAITING.count) {
      this.#waiting = this.#waiting.slice(this.#at);
      this.#at = 0;
    }
    return item;
  }

  #follow(waits: Promise<void>): void {
    this.#running++;
    void waits.finally(() => {
      this.#running--;
      this.#free?.();
    });
  }

  async #placeFree(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#free = resolve;
    await promise;
    this.#free = undefined;
  }
}

/** After sockets are read and timers have fired. */
const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });
