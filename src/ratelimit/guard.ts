/**
 * What Redis is asked is answered in time, or has failed; one that fails is spared.
 * **In**: an ask. **Out**: its answer. **Fails**: with a ServiceError of kind `redis_error`.
 */
import { isOfServer } from '../../plugins/redis-client/error-reply.ts';
import { Breaker } from '../core/dispatch/breaker.ts';
import type { OutageLog } from '../core/dispatch/outage-log.ts';
import { ServiceError } from './call.ts';

/** So many answers that fail in a row, and it is spared for a while; then one tries. */
const FAILURES = 5;
const SPARED_MS = 250;

export interface GuardOptions {
  readonly timeoutMs: number;
  readonly onLate?: () => void;
  /** Told when the breaker opens or the connection goes, and when an answer comes again. */
  readonly outage?: OutageLog | undefined;
}

export class Guard {
  readonly breaker: Breaker = new Breaker(FAILURES, SPARED_MS);
  readonly #options: GuardOptions;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  /** What is answered at once is passed on at once. */
  ask<T>(ask: () => T | Promise<T>): T | Promise<T> {
    if (!this.breaker.admits()) return Promise.reject(redisError('it did not answer of late, and is spared'));
    let answer: T | Promise<T>;
    try {
      answer = ask();
    } catch (error) {
      return Promise.reject(this.#failed(error));
    }
    if (answer instanceof Promise) return this.#inTime(answer);
    this.#succeeded();
    return answer;
  }

  /** The connection stands: it can be asked, though nothing was asked yet. */
  connected(): void {
    this.#options.outage?.succeeded(ANSWERS_AGAIN);
  }

  disconnected(why: string): void {
    this.#options.outage?.failed(STOPPED, why);
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    const { timeoutMs, onLate } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          onLate?.();
          reject(redisError(`no answer for ${timeoutMs} ms`));
        }, timeoutMs);
      });
      const value = await Promise.race([answer, late]);
      this.#succeeded();
      return value;
    } catch (error) {
      throw this.#failed(error);
    } finally {
      clearTimeout(timer);
    }
  }

  #succeeded(): void {
    this.breaker.succeeded();
    this.#options.outage?.succeeded(ANSWERS_AGAIN);
  }

  #failed(error: unknown): ServiceError {
    const failure = error instanceof ServiceError ? error : redisError(error instanceof Error ? error.message : String(error), error);
    if (isOfKey(error)) this.#succeeded();
    else {
      this.breaker.failed();
      if (this.breaker.state !== 'closed') this.#options.outage?.failed(STOPPED, failure.message);
    }
    return failure;
  }
}

const STOPPED = 'Redis does not answer';
const ANSWERS_AGAIN = 'Redis answers again';

/** The server has answered: it refuses one key or script, or the adapter says so. */
const isOfKey = (error: unknown): boolean => error instanceof Error && (error.name === 'Rejected' || (error.name === 'ReplyError' && !isOfServer(error.message)));

/** What a plugin says begins with where Redis is. */
const redisError = (why: string, cause?: unknown): ServiceError => new ServiceError('redis_error', why.startsWith('Redis') ? why : `Redis: ${why}`, { cause });
