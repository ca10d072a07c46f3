import type { Caller } from '../call.ts';
import type { Expiring } from './deadlines.ts';
import { Failure } from './failure.ts';
import type { Gate } from './gate.ts';
import type { HandlerCall } from './handler-call.ts';

/** A call that is waited for: it ends once, by its answer or by its deadline; what comes later is counted and left. */
export class PendingCall implements Expiring {
  readonly promise: Promise<unknown>;
  readonly call: HandlerCall;
  readonly endsAtMs: number;
  readonly #gate: Gate;
  readonly #caller: Caller;
  readonly #beganAtMs: number;
  #resolve: ((answer: unknown) => void) | undefined;
  #start: (() => void) | undefined;

  constructor(gate: Gate, call: HandlerCall, beganAtMs: number, endsAtMs: number, caller: Caller) {
    this.#gate = gate;
    this.call = call;
    this.#beganAtMs = beganAtMs;
    this.endsAtMs = endsAtMs;
    this.#caller = caller;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.promise = promise;
    this.#resolve = resolve;
    gate.deadlines.add(this);
  }

  whenItsTurn(start: () => void): void {
    this.#start = start;
  }

  start(): void {
    const start = this.#start;
    this.#start = undefined;
    start?.();
  }

  end(answer: unknown): void {
    const resolve = this.#resolve;
    if (resolve === undefined) {
      this.#gate.meters.abandoned++;
      return;
    }
    this.#resolve = undefined;
    this.#gate.deadlines.remove(this);
    this.#gate.meters.latency.add(performance.now() - this.#beganAtMs);
    this.call.done();
    const isGone = answer instanceof Failure && this.#caller.signal?.aborted === true; // it ended because the caller had
    resolve(this.#gate.settled(isGone ? new Failure('gone', answer.why) : answer));
  }

  expire(): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    this.#resolve = undefined;
    const ms = Math.round(this.endsAtMs - this.#beganAtMs);
    const hadItsTurn = !this.#gate.leavesQueue(this);
    const why = hadItsTurn ? `has not answered within ${ms} ms` : `was not asked: ${ms} ms passed in its queue`;
    this.call.abort(why);
    this.#gate.meters.latency.add(performance.now() - this.#beganAtMs);
    const failure = new Failure('late', `[${this.#gate.label}] ${why}`);
    if (!hadItsTurn) this.#gate.breaker.unknown();
    resolve(hadItsTurn ? this.#gate.settled(failure) : this.#gate.failed(failure));
  }
}
