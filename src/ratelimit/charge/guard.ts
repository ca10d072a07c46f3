/**
 * A deadline and a breaker around round trips to Redis.
 * **In**: an ask. **Out**: its answer. **Fails**: with a ServiceError of kind `redis_error`.
 */
import { messageOf } from '../../text/message-of.ts';
import { AnswerTimes, BURST_SILENCE_MS } from '../../core/handlers/answer-times.ts';
import { Breaker, type Turn } from '../../core/handlers/breaker.ts';
import { type Expiring, NOT_IN_WHEEL, TimerWheel } from '../../time/timer-wheel.ts';
import { Rejected } from '../../adapters/contract.ts';
import type { OutageLog } from '../../adapters/outage-log.ts';
import { ServiceError } from '../call.ts';

/** Opens after 5 failures in a row over at least 100 ms; 250 ms later one trial passes. */
const SPARES = { failures: 5, openForMs: 250, windowMs: 100 };

/** Failures closer than this are one event. A partial outage ends after this time without a failure, or after several of its pauses. */
const QUIET_MS = 1000;
const QUIET_PAUSES = 3;
const LONGEST_QUIET_MS = 60_000;
/** A late answer now and then is no outage. */
const FORGOTTEN_MS = 600_000;

const deadlines = new TimerWheel();

export interface GuardOptions {
  /** Longest silence: while Redis answers earlier commands, an answer is not late. */
  readonly timeoutMs: number;
  /** Logs when the breaker opens, failures continue or come again among answers, or the connection ends, and when Redis answers again. */
  readonly outage?: OutageLog | undefined;
}

export class Guard {
  readonly breaker: Breaker = new Breaker(SPARES);
  readonly #options: GuardOptions;
  /** In loop time; `pending` counts commands. */
  readonly #times = new AnswerTimes(BURST_SILENCE_MS);
  /** Failures with less than {@link QUIET_MS} between them: how many, the first, the last. */
  #failures = 0;
  #firstFailedAtMs = 0;
  /** -Infinity: none since the last outage. */
  #failedAtMs = -Infinity;
  /** Redis failed before this event, and was not found well since: a node that few calls need is down. */
  #isConfirmed = false;
  #quietMs = QUIET_MS;
  #isOut = false;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  /** `commands`: how many of them the round trip carries. */
  ask<T>(trip: () => T | Promise<T>, commands = 1): Promise<T> {
    const turn = this.breaker.admits();
    return turn === undefined
      ? Promise.reject(redisError('it did not answer of late, and is spared'))
      : this.#inTime((async () => trip())(), turn, commands);
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
    const times = this.#times;
    return new Promise((resolve, reject) => {
      const nowMs = performance.now();
      const sentAtMs = deadlines.loopMsAt(nowMs);
      if (times.pending === 0) times.silentSinceMs = sentAtMs;
      times.pending += commands;
      let isOpen = true;
      const trip: Expiring = {
        endsAtMs: Infinity,
        wheelAtMs: NOT_IN_WHEEL,
        get lateAtLoopMs() {
          return times.lateAtMs(Math.max(sentAtMs, times.silentSinceMs), timeoutMs);
        },
        expire: () => {
          close();
          reject(this.#failed(redisError(`no answer for ${timeoutMs} ms`), turn));
        },
      };
      const close = (): void => {
        isOpen = false;
        times.pending -= commands;
      };
      const answered = (settle: () => void): void => {
        times.silentSinceMs = deadlines.loopMsAt(performance.now());
        if (!isOpen) return;
        close();
        deadlines.remove(trip);
        settle();
      };
      deadlines.add(trip, nowMs);
      answer.then(
        (value) =>
          answered(() => {
            this.#succeeded();
            resolve(value);
          }),
        (error: unknown) => answered(() => reject(this.#failed(error, turn))),
      );
    });
  }

  #succeeded(): void {
    const wasOpen = this.breaker.succeeded();
    if (!wasOpen && (!this.#isOut || performance.now() - this.#failedAtMs < this.#quietMs)) return;
    this.#isOut = false;
    this.#isConfirmed = false;
    this.#failures = 0;
    this.#failedAtMs = -Infinity;
    this.#quietMs = QUIET_MS;
    this.#options.outage?.succeeded(ANSWERS_AGAIN);
  }

  #failed(error: unknown, turn: Turn): ServiceError {
    const failure = error instanceof ServiceError ? error : redisError(messageOf(error), error);
    if (error instanceof Rejected) this.#succeeded(); // the server answered, and refused one key or script
    else {
      this.breaker.failed(turn);
      this.#countFailure();
      if (this.breaker.state !== 'closed') this.#fails(STOPPED, failure.message);
      else if (this.#isPartial) this.#fails(STOPPED_IN_PART, failure.message);
    }
    return failure;
  }

  #fails(message: string, why: string): void {
    this.#isOut = true;
    this.#options.outage?.failed(message, why);
  }

  #countFailure(): void {
    const nowMs = performance.now();
    const pauseMs = nowMs - this.#failedAtMs;
    if (pauseMs >= QUIET_MS) {
      this.#isConfirmed = pauseMs < FORGOTTEN_MS;
      if (this.#isConfirmed) this.#quietMs = Math.min(LONGEST_QUIET_MS, QUIET_PAUSES * pauseMs);
      this.#failures = 0;
      this.#firstFailedAtMs = nowMs;
    }
    this.#failures++;
    this.#failedAtMs = nowMs;
  }

  /** Some calls fail while others are answered: a node of a cluster is down. */
  get #isPartial(): boolean {
    if (this.#isConfirmed) return true;
    return this.#failures >= SPARES.failures && this.#failedAtMs - this.#firstFailedAtMs >= SPARES.windowMs;
  }
}

const STOPPED = 'Redis does not answer';
const STOPPED_IN_PART = 'Redis does not answer some calls';
const ANSWERS_AGAIN = 'Redis answers again';

/** Errors of the connection begin with `Redis` already. */
const redisError = (why: string, cause?: unknown): ServiceError =>
  new ServiceError('redis_error', why.startsWith('Redis') ? why : `Redis: ${why}`, { cause });
