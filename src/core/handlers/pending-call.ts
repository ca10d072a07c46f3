import type { Turn } from './breaker.ts';
import { CALLER_WAITS_MS, type CallScope } from './call-scope.ts';
import { type Expiring, NOT_IN_WHEEL } from '../../time/timer-wheel.ts';
import { Failure } from './failure.ts';
import type { Gate } from './gate.ts';
import type { HandlerCall } from './handler-call.ts';

/** So much of a time must have passed in the loop's own time; the rest is what timers are inexact by. */
const NEARLY = 0.75;

/** A call that is waited for: it ends once, by its answer, by its deadline or by its caller's; what comes later is counted and left. */
export class PendingCall implements Expiring {
  readonly promise: Promise<unknown>;
  /** The caller's time. */
  readonly endsAtMs: number;
  wheelAtMs = NOT_IN_WHEEL;
  readonly turn: Turn;
  readonly #gate: Gate;
  readonly #scope: CallScope;
  readonly #beganAtMs: number;
  readonly #deadlineMs: number;
  /** Absent in the queue. */
  #call: HandlerCall | undefined;
  /** In the order in which the gate has sent calls. */
  #order = 0;
  /** Since when it is in the queue, then since when it is at the handler. */
  #sinceLoopMs: number;
  #resolve: ((answer: unknown) => void) | undefined;
  #start: ((pending: PendingCall) => void) | undefined;

  constructor(
    gate: Gate,
    scope: CallScope,
    turn: Turn,
    beganAtMs: number,
    deadlineMs: number,
    start?: (pending: PendingCall) => void,
  ) {
    this.#gate = gate;
    this.#scope = scope;
    this.turn = turn;
    this.#beganAtMs = beganAtMs;
    this.#deadlineMs = deadlineMs;
    this.endsAtMs = scope.endsAtMs;
    this.#sinceLoopMs = gate.deadlines.loopMsAt(beganAtMs);
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
   * While the handler answers calls that were sent before this one, the answer is on its way; in a crowd, and in the queue, it is while it
   * answers anybody.
   */
  get lateAtLoopMs(): number {
    if (this.#call === undefined) return this.#silentSinceLoopMs + Math.max(this.#deadlineMs, CALLER_WAITS_MS);
    return Math.max(this.#silentSinceLoopMs + this.#deadlineMs, this.#gate.crowdLateAtLoopMs);
  }

  get #silentSinceLoopMs(): number {
    return Math.max(
      this.#sinceLoopMs,
      this.#call === undefined ? this.#gate.silentSinceLoopMs : this.#gate.progress.lastBefore(this.#order),
    );
  }

  #isLate(loopMs: number): boolean {
    if (loopMs < this.#gate.crowdLateAtLoopMs) return false;
    return (
      loopMs - this.#silentSinceLoopMs >= this.#deadlineMs * NEARLY ||
      loopMs - this.#gate.silentSinceLoopMs >= this.#deadlineMs
    );
  }

  /** Neither answered nor given up. */
  get isOpen(): boolean {
    return this.#resolve !== undefined;
  }

  /** Its turn in the queue has come. */
  start(): void {
    const start = this.#start;
    this.#start = undefined;
    if (this.#scope.caller.signal?.aborted === true)
      this.end(new Failure('gone', `[${this.#gate.label}] was not asked: the caller has gone`));
    else start?.(this);
  }

  /** False where it had ended before. */
  end(answer: unknown): boolean {
    const resolve = this.#resolve;
    if (resolve === undefined) {
      this.#gate.meters.abandoned++;
      return false;
    }
    this.#resolve = undefined;
    this.#gate.deadlines.remove(this);
    this.#gate.meters.latency.add(performance.now() - this.#beganAtMs);
    this.#call?.done();
    const isGone = answer instanceof Failure && this.#scope.caller.signal?.aborted === true; // it ended because the caller had
    resolve(this.#gate.settled(isGone ? new Failure('gone', answer.why) : answer, this.turn));
    return true;
  }

  expire(nowMs: number, loopMs: number): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    this.#resolve = undefined;
    this.#gate.meters.latency.add(nowMs - this.#beganAtMs);
    const waitedMs = Math.round(nowMs - this.#beganAtMs);
    const isLate = this.#isLate(loopMs);
    const why =
      this.#call === undefined ? this.#leaveQueue(waitedMs, isLate) : this.#giveUp(this.#call, waitedMs, isLate);
    resolve(this.#gate.settled(new Failure(isLate ? 'late' : 'overload', `[${this.#gate.label}] ${why}`), this.turn));
  }

  /** `isLate`: the handler was silent for its deadline while the loop could have seen an answer. Else it is by the caller's time. */
  #giveUp(call: HandlerCall, waitedMs: number, isLate: boolean): string {
    const why = isLate
      ? `has not answered within ${Math.min(this.#deadlineMs, waitedMs)} ms`
      : `had not answered when the caller's time was over, after ${waitedMs} ms`;
    call.abort(why);
    return why;
  }

  #leaveQueue(waitedMs: number, isLate: boolean): string {
    this.#gate.leavesQueue();
    return `was not asked: ${waitedMs} ms passed in its queue, ${isLate ? 'while the handler answered nobody' : "then the caller's time was over"}`;
  }
}
