/**
 * A deadline and a breaker around round trips to Redis.
 * **In**: an ask. **Out**: its answer. **Fails**: with a ServiceError of kind `redis_error`.
 */
import { AnswerTimes, BURST_SILENCE_MS } from '../../core/handlers/answer-times.ts';
import { Breaker, type Turn } from '../../core/handlers/breaker.ts';
import type { ThrottledLine } from '../../core/handlers/throttled-line.ts';
import { reasonOf } from '../../counting/redis/reason.ts';
import { type Expiring, NOT_IN_WHEEL, TimerWheel } from '../../time/timer-wheel.ts';
import { Rejected } from '../../adapters/contract.ts';
import type { OutageLog } from '../../adapters/outage-log.ts';
import { ServiceError } from '../call.ts';
import { RedisOutage } from './redis-outage.ts';

/** Opens after 5 failures in a row over at least 100 ms; 250 ms later one trial passes. */
const SPARES = { failures: 5, openForMs: 250, windowMs: 100 };

const deadlines = new TimerWheel();

export interface GuardOptions {
  /** Longest silence: while Redis answers earlier commands, an answer is not late. */
  readonly timeoutMs: number;
  /** Logs when the breaker opens, failures continue or come again among answers, or the connection ends, and when Redis answers again. */
  readonly outage?: OutageLog | undefined;
  /** Of each round trip that fails, with the cause. */
  readonly failures?: ThrottledLine | undefined;
}

export class Guard {
  readonly breaker: Breaker = new Breaker(SPARES);
  readonly outage: RedisOutage;
  readonly timeoutMs: number;
  /** In loop time; `pending` counts commands. */
  readonly times: AnswerTimes = new AnswerTimes(BURST_SILENCE_MS);

  readonly #failures: ThrottledLine | undefined;

  constructor({ timeoutMs, outage, failures }: GuardOptions) {
    this.timeoutMs = timeoutMs;
    this.#failures = failures;
    this.outage = new RedisOutage(outage);
  }

  /** `commands`: how many of them the round trip carries. */
  ask<T>(trip: () => Promise<T>, commands = 1): Promise<T> {
    const turn = this.breaker.admits();
    if (turn === undefined) return Promise.reject(redisError('it did not answer of late, and is spared'));
    return new Promise<T>((resolve, reject) => {
      const sent = new Trip<T>(this, turn, commands, resolve, reject);
      let answer: Promise<T>;
      try {
        answer = trip();
      } catch (error) {
        sent.failed(error);
        return;
      }
      answer.then(
        (value) => sent.answered(value),
        (error: unknown) => sent.failed(error),
      );
    });
  }

  succeeded(): void {
    this.outage.succeeded(this.breaker.succeeded());
  }

  failed(error: unknown, turn: Turn): ServiceError {
    const failure = error instanceof ServiceError ? error : redisError(reasonOf(error), error);
    this.#failures?.write(() => ({ why: failure.message }));
    if (error instanceof Rejected) this.succeeded(); // the server answered, and refused one key or script
    else {
      this.breaker.failed(turn);
      this.outage.failed(failure.message, this.breaker.state !== 'closed');
    }
    return failure;
  }
}

/** A round trip, until it is answered, fails or is late. */
class Trip<T> implements Expiring {
  readonly endsAtMs = Infinity;
  wheelAtMs = NOT_IN_WHEEL;
  readonly #guard: Guard;
  readonly #turn: Turn;
  readonly #commands: number;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: ServiceError) => void;
  readonly #sentAtMs: number;
  #isOpen = true;

  constructor(
    guard: Guard,
    turn: Turn,
    commands: number,
    resolve: (value: T) => void,
    reject: (error: ServiceError) => void,
  ) {
    const nowMs = performance.now();
    const { times } = guard;
    this.#guard = guard;
    this.#turn = turn;
    this.#commands = commands;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#sentAtMs = deadlines.loopMsAt(nowMs);
    if (times.pending === 0) times.silentSinceMs = this.#sentAtMs;
    times.pending += commands;
    deadlines.add(this, nowMs);
  }

  get lateAtLoopMs(): number {
    const { times, timeoutMs } = this.#guard;
    return times.lateAtMs(Math.max(this.#sentAtMs, times.silentSinceMs), timeoutMs);
  }

  expire(): void {
    this.#close();
    this.#reject(this.#guard.failed(redisError(`no answer for ${this.#guard.timeoutMs} ms`), this.#turn));
  }

  answered(value: T): void {
    if (!this.#heard()) return;
    this.#guard.succeeded();
    this.#resolve(value);
  }

  failed(error: unknown): void {
    if (this.#heard()) this.#reject(this.#guard.failed(error, this.#turn));
  }

  /** Redis spoke, be it too late for this trip; returns whether the trip is still open. */
  #heard(): boolean {
    this.#guard.times.silentSinceMs = deadlines.loopMsAt(performance.now());
    if (!this.#isOpen) return false;
    this.#close();
    deadlines.remove(this);
    return true;
  }

  #close(): void {
    this.#isOpen = false;
    this.#guard.times.pending -= this.#commands;
  }
}

/** Errors of the connection begin with `Redis` already. */
const redisError = (why: string, cause?: unknown): ServiceError =>
  new ServiceError('redis_error', why.startsWith('Redis') ? why : `Redis: ${why}`, { cause });
