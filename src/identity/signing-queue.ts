/**
 * A queue of signatures, done in time slices: certificates for a thousand workloads must not block the event loop for discovery streams.
 * **In**: synchronous work of a millisecond each. **Out**: its results, in order. **Fails**: with RESOURCE_EXHAUSTED if too much waits.
 */
import { TimeSlice } from '../time/time-slice.ts';
import { GrpcError, Status } from '../transport/index.ts';

interface Waiting {
  readonly signal: AbortSignal;
  run(): void;
  refuse(why: unknown): void;
}

/** Some ten seconds of work; with CSRs of the greatest size, 64 MiB. */
const MAX_WAITING = 4096;

export class SigningQueue {
  readonly #max: number;
  readonly #waiting: Waiting[] = [];
  readonly #slice = new TimeSlice();
  #isRunning = false;

  constructor(max: number = MAX_WAITING) {
    this.#max = max;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Work whose caller is gone by then is left out, and rejects with the reason of the signal. */
  run<T>(work: () => T, signal: AbortSignal): Promise<T> {
    if (this.#waiting.length >= this.#max)
      throw new GrpcError(
        Status.RESOURCE_EXHAUSTED,
        `${this.#max} requests for certificates are waiting; try again later`,
      );
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        signal,
        run: () => {
          try {
            resolve(work());
          } catch (error) {
            reject(error);
          }
        },
        refuse: reject,
      });
      if (!this.#isRunning) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next.signal.aborted) {
        next.refuse(next.signal.reason);
        continue;
      }
      if (this.#slice.isOver) await this.#slice.next();
      next.run();
    }
    this.#isRunning = false;
  }
}
