/**
 * A deadline and a breaker around round trips to Redis.
 * **In**: an ask. **Out**: its answer. **Fails**: with a ServiceError of kind `redis_error`.
 */
import { isOfServer } from '../../counting/redis/error-reply.ts';
import { reasonOf } from '../../counting/redis/upkeep.ts';
import { BURST, BURST_SILENCE_MS } from '../../core/handlers/answer-times.ts';
import { Breaker, type Turn } from '../../core/handlers/breaker.ts';
import { NOT_IN_WHEEL, TimerWheel } from '../../time/timer-wheel.ts';
import type { OutageLog } from '../../adapters/outage-log.ts';
import { ServiceError } from '../call.ts';

/** Opens after 5 failures in a row over at least 100 ms; 250 ms later one trial passes. */
const SPARES = { failures: 5, openForMs: 250, windowMs: 100 };

/** Time without a failure that ends a partial outage. */
const QUIET_MS = 1000;

const deadlines = new TimerWheel();

export interface GuardOptions {
  /** Longest silence: while Redis answers earlier commands, an answer is not late. */
  readonly timeoutMs: number;
  /** Logs when the breaker opens, failures continue among answers, or the connection ends, and when Redis answers again. */
  readonly outage?: OutageLog | undefined;
}

export class Guard {
  readonly breaker: Breaker = new Breaker(SPARES);
  readonly #options: GuardOptions;
  #answeredAtLoopMs = 0;
  /** Failures with less than {@link QUIET_MS} between them: how many, the first, the last. */
  #failures = 0;
  #firstFailedAtMs = 0;
  #failedAtMs = -Infinity;
  /** Commands without an answer. */
  #waiting = 0;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  /** A synchronous answer stays synchronous. `commands`: how many of them one round trip carries. */
  ask<T>(ask: () => T | Promise<T>, commands = 1): T | Promise<T> {
    const turn = this.breaker.admits();
    if (turn === undefined) return Promise.reject(redisError('it did not answer of late, and is spared'));
    let answer: T | Promise<T>;
    try {
      answer = ask();
    } catch (error) {
      return Promise.reject(this.#failed(error, turn));
    }
    if (answer instanceof Promise) return this.#inTime(answer, turn, commands);
    this.#succeeded();
    return answer;
  }

  /** Connected; no command was sent yet. */
  connected(): void {
    this.#options.outage?.succeeded(ANSWERS_AGAIN);
  }

  disconnected(why: string): void {
    this.#options.outage?.failed(STOPPED, why);
  }

  #inTime<T>(answer: Promise<T>, turn: Turn, commands: number): Promise<T> {
    const { timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const nowMs = performance.now();
      const sentAtLoopMs = deadlines.loopMsAt(nowMs);
      const waiting = (): number => this.#waiting;
      const silentSinceLoopMs = (): number => Math.max(sentAtLoopMs, this.#answeredAtLoopMs);
      const asked = {
        endsAtMs: Infinity,
        wheelAtMs: NOT_IN_WHEEL,
        get lateAtLoopMs(): number {
          return silentSinceLoopMs() + (waiting() < BURST ? timeoutMs : Math.max(timeoutMs, BURST_SILENCE_MS));
        },
        expire: (): void => {
          this.#waiting -= commands;
          isOver = true;
          reject(this.#failed(redisError(`no answer for ${timeoutMs} ms`), turn));
        },
      };
      let isOver = false;
      const ended = (): boolean => {
        this.#answeredAtLoopMs = deadlines.loopMsAt(performance.now());
        if (isOver) return false;
        this.#waiting -= commands;
        deadlines.remove(asked);
        return true;
      };
      this.#waiting += commands;
      deadlines.add(asked, nowMs);
      answer.then(
        (value) => {
          if (!ended()) return;
          this.#succeeded();
          resolve(value);
        },
        (error: unknown) => {
          if (ended()) reject(this.#failed(error, turn));
        },
      );
    });
  }

  #succeeded(): void {
    const wasOpen = this.breaker.succeeded();
    if (this.#failures === 0 || (!wasOpen && performance.now() - this.#failedAtMs < QUIET_MS)) return;
    this.#failures = 0;
    this.#options.outage?.succeeded(ANSWERS_AGAIN);
  }

  #failed(error: unknown, turn: Turn): ServiceError {
    const failure = error instanceof ServiceError ? error : redisError(reasonOf(error), error);
    if (isOfKey(error)) this.#succeeded();
    else {
      this.breaker.failed(turn);
      this.#countFailure();
      if (this.breaker.state !== 'closed') this.#options.outage?.failed(STOPPED, failure.message);
      else if (this.#isPartial) this.#options.outage?.failed(STOPPED_IN_PART, failure.message);
    }
    return failure;
  }

  #countFailure(): void {
    const nowMs = performance.now();
    if (nowMs - this.#failedAtMs >= QUIET_MS) {
      this.#failures = 0;
      this.#firstFailedAtMs = nowMs;
    }
    this.#failures++;
    this.#failedAtMs = nowMs;
  }

  /** Some calls fail while others are answered: a node of a cluster is down. */
  get #isPartial(): boolean {
    return this.#failures >= SPARES.failures && this.#failedAtMs - this.#firstFailedAtMs >= SPARES.windowMs;
  }
}

const STOPPED = 'Redis does not answer';
const STOPPED_IN_PART = 'Redis does not answer some calls';
const ANSWERS_AGAIN = 'Redis answers again';

/** The server answered and refused one key or script only. */
const isOfKey = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'Rejected' || (error.name === 'ReplyError' && !isOfServer(error.message)));

/** Errors of the connection begin with `Redis` already. */
const redisError = (why: string, cause?: unknown): ServiceError =>
  new ServiceError('redis_error', why.startsWith('Redis') ? why : `Redis: ${why}`, { cause });
