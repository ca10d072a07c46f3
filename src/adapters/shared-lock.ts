/** How long a worker that finds the lock held tries before it sleeps. */
const TRIES = 2000;
const SLEEP_MS = 1;

/**
 * One at a time among the workers, over the first 32 bits of shared memory: they hold the number of the worker that is inside.
 * For a few microseconds at a time: whoever waits does nothing else. Where a worker dies inside, the supervisor lets the others in.
 */
export class SharedLock {
  readonly #word: Int32Array;
  readonly #worker: number;

  /** `worker`: its number, which is not 0. */
  constructor(memory: SharedArrayBuffer, worker: number) {
    this.#word = new Int32Array(memory, 0, 1);
    this.#worker = worker;
  }

  within<T>(work: () => T): T {
    for (let tried = 0; Atomics.compareExchange(this.#word, 0, 0, this.#worker) !== 0; tried++)
      if (tried > TRIES) Atomics.wait(this.#word, 0, Atomics.load(this.#word, 0), SLEEP_MS);
    try {
      return work();
    } finally {
      SharedLock.release(this.#word, this.#worker);
    }
  }

  /** Of a worker that is gone, if it was inside. */
  static releaseOf(memory: SharedArrayBuffer, worker: number): void {
    if (memory.byteLength >= 4) SharedLock.release(new Int32Array(memory, 0, 1), worker);
  }

  private static release(word: Int32Array, worker: number): void {
    if (Atomics.compareExchange(word, 0, worker, 0) === worker) Atomics.notify(word, 0, 1);
  }
}
