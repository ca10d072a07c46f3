/**
 * What Redis is asked is answered in time, or has failed; one that fails is spared.
 * **In**: an ask. **Out**: its answer. **Fails**: with a ServiceError of kind `redis_error`.
 */
import { Breaker } from '../core/dispatch/breaker.ts';
import { ServiceError } from './call.ts';

/** So many answers that fail in a row, and it is spared for a while; then one tries. */
const FAILURES = 5;
const SPARED_MS = 250;

export class Guard {
  readonly breaker: Breaker = new Breaker(FAILURES, SPARED_MS);
  readonly #timeoutMs: number;
  readonly #onLate: () => void;

  constructor(timeoutMs: number, onLate: () => void = () => {}) {
    this.#timeoutMs = timeoutMs;
    this.#onLate = onLate;
  }

  /** What is answered at once is passed on at once. */
  ask<T>(ask: () => T | Promise<T>): T | Promise<T> {
    if (!this.breaker.admits()) return Promise.reject(failed('it did not answer of late, and is spared'));
    const answer = ask();
    if (answer instanceof Promise) return this.#inTime(answer);
    this.breaker.succeeded();
    return answer;
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          this.#onLate();
          reject(failed(`no answer for ${this.#timeoutMs} ms`));
        }, this.#timeoutMs);
      });
      const value = await Promise.race([answer, late]);
      this.breaker.succeeded();
      return value;
    } catch (error) {
      this.breaker.failed();
      throw error instanceof ServiceError ? error : failed(error instanceof Error ? error.message : String(error), error);
    } finally {
      clearTimeout(timer);
    }
  }
}

const failed = (why: string, cause?: unknown): ServiceError => new ServiceError('redis_error', `Redis: ${why}`, { cause });
