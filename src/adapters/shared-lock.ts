/** Spins before a worker that finds the lock held sleeps. */
const TRIES = 2000;
const SLEEP_MS = 1;

/**
 * A mutex among workers in the first 32 bits of shared memory, which hold the number of the owner.
 * Hold it for microseconds: waiting blocks the thread. If a worker, or the thread of one of its handlers, dies while it holds the lock, the
 * lock is released by whoever started it.
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

  /** Releases the lock of a worker that died, if it held it. */
  static releaseOf(memory: SharedArrayBuffer, worker: number): void {
    if (memory.byteLength >= 4) SharedLock.release(new Int32Array(memory, 0, 1), worker);
  }

  private static release(word: Int32Array, worker: number): void {
    if (Atomics.compareExchange(word, 0, worker, 0) === worker) Atomics.notify(word, 0, 1);
  }
}
