import { type Expiring, NOT_IN_WHEEL, type TimerWheel } from '../../time/timer-wheel.ts';
import type { AnswerTimes } from './answer-times.ts';
import type { Turn } from './breaker.ts';
import { CALLER_WAITS_MS, type CallScope } from './call-scope.ts';
import { Failure } from './failure.ts';
import type { HandlerCall } from './handler-call.ts';
import type { Health } from './health.ts';

/** A call is slow from this part of its deadline on. */
const SLOW_SHARE = 0.5;

/** The part of a deadline that must have passed in loop time; the rest allows for inexact timers. */
const LOOP_TIME_SHARE = 0.75;

/** The part of a gate that its waiting calls use. */
export interface CallsOfHandler {
  readonly health: Health;
  readonly answerTimes: AnswerTimes;
  readonly deadlines: TimerWheel;
  /** A call left the queue before its turn. */
  leftQueue(): void;
}

/** A call that waits for its turn or its answer. It ends once: by the answer, its deadline or its caller's; late answers are counted. */
export class PendingCall implements Expiring {
  readonly promise: Promise<unknown>;
  /** The end of the caller's time. */
  readonly endsAtMs: number;
  wheelAtMs = NOT_IN_WHEEL;
  readonly turn: Turn;
  readonly #calls: CallsOfHandler;
  readonly #scope: CallScope;
  readonly #beganAtMs: number;
  readonly #deadlineMs: number;
  /** `undefined` in the queue. */
  #call: HandlerCall | undefined;
  /** Position among the calls sent to the handler. */
  #order = 0;
  /** When it entered the queue, then when it was sent. */
  #sinceLoopMs: number;
  #resolve: ((answer: unknown) => void) | undefined;
  #start: ((pending: PendingCall) => void) | undefined;

  constructor(
    calls: CallsOfHandler,
    scope: CallScope,
    turn: Turn,
    beganAtMs: number,
    deadlineMs: number,
    start?: (pending: PendingCall) => void,
  ) {
    this.#calls = calls;
    this.#scope = scope;
    this.turn = turn;
    this.#beganAtMs = beganAtMs;
    this.#deadlineMs = deadlineMs;
    this.endsAtMs = scope.endsAtMs;
    this.#sinceLoopMs = calls.deadlines.loopMsAt(beganAtMs);
    this.#start = start;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.promise = promise;
    this.#resolve = resolve;
  }

  /** Its time at the handler begins. */
  sent(call: HandlerCall, order: number, atLoopMs: number): void {
    this.#call = call;
    this.#order = order;
    this.#sinceLoopMs = atLoopMs;
  }

  get order(): number {
    return this.#order;
  }

  /**
   * While the handler answers calls sent before this one, the answer is on its way; during a burst, and in the queue, any answer
   * shows that.
   */
  get lateAtLoopMs(): number {
    if (this.#call === undefined) return this.#silentSinceLoopMs + Math.max(this.#deadlineMs, CALLER_WAITS_MS);
    return this.#calls.answerTimes.lateAtMs(this.#silentSinceLoopMs, this.#deadlineMs);
  }

  get #silentSinceLoopMs(): number {
    const { answerTimes } = this.#calls;
    return Math.max(
      this.#sinceLoopMs,
      this.#call === undefined ? answerTimes.silentSinceMs : answerTimes.lastBefore(this.#order),
    );
  }

  /** Whether the handler was silent for its deadline while the event loop could have seen an answer. */
  #isLate(loopMs: number): boolean {
    const { burstLateAtMs, silentSinceMs } = this.#calls.answerTimes;
    if (loopMs < burstLateAtMs) return false;
    return (
      loopMs - this.#silentSinceLoopMs >= this.#deadlineMs * LOOP_TIME_SHARE ||
      loopMs - silentSinceMs >= this.#deadlineMs
    );
  }

  get isOpen(): boolean {
    return this.#resolve !== undefined;
  }

  /** Its turn in the queue has come. */
  start(): void {
    const start = this.#start;
    this.#start = undefined;
    if (this.#scope.caller.signal?.aborted === true)
      this.end(new Failure('gone', `[${this.#calls.health.label}] was not asked: the caller has gone`));
    else start?.(this);
  }

  /** `false` if it had ended before. */
  end(answer: unknown): boolean {
    const { health, deadlines } = this.#calls;
    const resolve = this.#resolve;
    if (resolve === undefined) {
      health.meters.abandoned++;
      return false;
    }
    this.#resolve = undefined;
    deadlines.remove(this);
    const nowMs = performance.now();
    health.meters.latency.add(nowMs - this.#beganAtMs);
    if (!(answer instanceof Failure)) this.#noteIfSlow(deadlines.loopMsAt(nowMs));
    this.#call?.done();
    const isGone = answer instanceof Failure && this.#scope.caller.signal?.aborted === true; // it failed because the caller left
    resolve(health.settled(isGone ? new Failure('gone', answer.why) : answer, this.turn, this.#scope));
    return true;
  }

  expire(nowMs: number, loopMs: number): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    this.#resolve = undefined;
    const { health } = this.#calls;
    health.meters.latency.add(nowMs - this.#beganAtMs);
    const waitedMs = Math.round(nowMs - this.#beganAtMs);
    const isLate = this.#isLate(loopMs);
    if (isLate) this.#noteIfSlow(loopMs);
    const why =
      this.#call === undefined ? this.#leaveQueue(waitedMs, isLate) : this.#abort(this.#call, waitedMs, isLate);
    resolve(
      health.settled(new Failure(isLate ? 'late' : 'overload', `[${health.label}] ${why}`), this.turn, this.#scope),
    );
  }

  /** Of the handler's own time, without the queue. */
  #noteIfSlow(loopMs: number): void {
    const tookMs = loopMs - this.#sinceLoopMs;
    if (this.#call !== undefined && tookMs > this.#deadlineMs * SLOW_SHARE)
      this.#calls.health.slow(this.#scope.id, tookMs, this.#deadlineMs);
  }

  #abort(call: HandlerCall, waitedMs: number, isLate: boolean): string {
    const why = isLate
      ? `has not answered within ${Math.min(this.#deadlineMs, waitedMs)} ms`
      : `had not answered when the caller's time was over, after ${waitedMs} ms`;
    call.abort(why);
    return why;
  }

  #leaveQueue(waitedMs: number, isLate: boolean): string {
    this.#calls.leftQueue();
    return `was not asked: ${waitedMs} ms passed in its queue, ${isLate ? 'while the handler answered no call' : "then the caller's time was over"}`;
  }
}
