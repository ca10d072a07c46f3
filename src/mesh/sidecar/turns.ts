/** A semaphore: work beyond the limit waits in the order of its arrival, until its signal is aborted. */
export class Turns {
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(atATime: number) {
    this.#free = atATime;
  }

  /** Rejects with the signal's reason if it is aborted before the turn. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(signal);
    try {
      return await work();
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const start = (): void => {
      this.#waiting.delete(start);
      signal.removeEventListener('abort', leave);
      resolve();
    };
    const leave = (): void => {
      this.#waiting.delete(start);
      reject(signal.reason as Error);
    };
    this.#waiting.add(start);
    signal.addEventListener('abort', leave, { once: true });
    await promise;
  }
}
