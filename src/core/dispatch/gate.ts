/**
 * Everything between the engine and one handler.
 * **In**: a function of the handler, its input, the call it is for. **Out**: the answer, at once where the handler answers at
 * once. **Fails**: never by throwing; with a {@link Failure} where it is late, down, turned away or at fault.
 */
import type { Call, Log } from '../../adapters/contract.ts';
import type { HandlerMeters } from '../meters.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import { Breaker } from './breaker.ts';
import type { CallScope } from './call-scope.ts';
import type { Deadlines } from './deadlines.ts';
import { Failure, failureOf } from './failure.ts';
import { HandlerCall } from './handler-call.ts';
import { PendingCall } from './pending-call.ts';

export type HandlerFunction<I, T> = (input: I, call: Call) => T | Promise<T>;
export type GateSpec = Pick<HandlerSpec, 'name' | 'adapter' | 'concurrency' | 'queue' | 'breaker'>;

export class Gate {
  /** `adapter/handler`, in all messages. */
  readonly label: string;
  readonly breaker: Breaker;
  readonly meters: HandlerMeters;
  readonly deadlines: Deadlines;
  readonly #log: Log;
  #concurrency: number;
  #queue: number;
  /** Calls whose promise has not settled, those that were given up among them: the backend still works for them. */
  #running = 0;
  readonly #waiting = new Set<PendingCall>();
  readonly #idle: (() => void)[] = [];

  constructor(spec: GateSpec, meters: HandlerMeters, deadlines: Deadlines, log: Log) {
    this.label = `${spec.adapter}/${spec.name}`;
    this.meters = meters;
    this.deadlines = deadlines;
    this.#log = log;
    this.breaker = new Breaker(spec.breaker.failures, spec.breaker.openForMs);
    this.#concurrency = spec.concurrency;
    this.#queue = spec.queue;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** A reload that keeps the handler may change how it is asked. */
  configure(spec: GateSpec): void {
    this.#concurrency = spec.concurrency;
    this.#queue = spec.queue;
    this.breaker.failures = spec.breaker.failures;
    this.breaker.openForMs = spec.breaker.openForMs;
  }

  /** `isRight`: says what is wrong with an answer, if anything is. */
  ask<I, T>(ask: HandlerFunction<I, T>, input: I, scope: CallScope, deadlineMs: number, wrong: (answer: T, input: I) => string | undefined): T | Failure | Promise<T | Failure> {
    this.meters.calls++;
    if (!this.breaker.admits()) {
      return this.failed(new Failure('breaker', `[${this.label}] is not asked for ${Math.ceil(this.breaker.waitMs)} ms: it failed ${this.breaker.failures} times in a row`, { retryAfterMs: this.breaker.waitMs }));
    }
    const nowMs = performance.now();
    const endsAtMs = Math.min(nowMs + deadlineMs, scope.endsAtMs);
    if (endsAtMs <= nowMs) {
      this.breaker.unknown();
      return this.failed(new Failure('late', `[${this.label}] was not asked: nothing is left of the caller's time`));
    }
    if (this.#running >= this.#concurrency) {
      if (this.#waiting.size >= this.#queue) {
        this.breaker.unknown();
        return this.failed(new Failure('full', `[${this.label}] has ${this.#running} calls running and ${this.#waiting.size} waiting: no more are taken`));
      }
      const pending = new PendingCall(this, new HandlerCall(scope, endsAtMs), nowMs, endsAtMs, scope.caller);
      this.#waiting.add(pending);
      pending.whenItsTurn(() => this.#start(pending, ask, input, wrong));
      return pending.promise as Promise<T | Failure>;
    }
    const call = new HandlerCall(scope, endsAtMs);
    let answer: T | Promise<T>;
    try {
      answer = ask(input, call);
    } catch (error) {
      call.done();
      return this.settled(failureOf(error, this.label));
    }
    if (!isPromise(answer)) {
      call.done();
      const problem = wrong(answer, input);
      return this.settled(problem === undefined ? answer : this.#fault(problem));
    }
    const pending = new PendingCall(this, call, nowMs, endsAtMs, scope.caller);
    this.#follow(pending, answer, input, wrong);
    return pending.promise as Promise<T | Failure>;
  }

  #start<I, T>(pending: PendingCall, ask: HandlerFunction<I, T>, input: I, wrong: (answer: T, input: I) => string | undefined): void {
    let answer: T | Promise<T>;
    try {
      answer = ask(input, pending.call);
    } catch (error) {
      pending.end(failureOf(error, this.label));
      return;
    }
    if (isPromise(answer)) this.#follow(pending, answer, input, wrong);
    else {
      const problem = wrong(answer, input);
      pending.end(problem === undefined ? answer : this.#fault(problem));
    }
  }

  #follow<I, T>(pending: PendingCall, answer: Promise<T>, input: I, wrong: (answer: T, input: I) => string | undefined): void {
    this.#running++;
    answer.then(
      (value) => {
        const problem = wrong(value, input);
        pending.end(problem === undefined ? value : this.#fault(problem));
        this.#left();
      },
      (error: unknown) => {
        pending.end(failureOf(error, this.label));
        this.#left();
      },
    );
  }

  /** Told of each call that was made, once. */
  settled<T>(answer: T | Failure): T | Failure {
    if (!(answer instanceof Failure)) {
      this.breaker.succeeded();
      return answer;
    }
    // A rejected input, or a caller that has gone, says nothing against the backend.
    if (answer.kind === 'rejected') this.breaker.succeeded();
    else if (answer.kind === 'gone') this.breaker.unknown();
    else this.breaker.failed();
    return this.failed(answer);
  }

  failed(failure: Failure): Failure {
    this.meters.failures[failure.kind]++;
    if (failure.kind === 'fault') this.#log.error('a plugin is at fault', { at: this.label, why: failure.why, error: failure.cause });
    return failure;
  }

  /** It waits no more: given up, or its turn has come. */
  leavesQueue(pending: PendingCall): boolean {
    return this.#waiting.delete(pending);
  }

  /** Until no call runs any more, but no longer than that. */
  idle(withinMs: number): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #left(): void {
    this.#running--;
    while (this.#running < this.#concurrency) {
      const next = this.#waiting.values().next().value;
      if (next === undefined) break;
      this.#waiting.delete(next);
      next.start();
    }
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #fault(problem: string): Failure {
    return new Failure('fault', `[${this.label}] a fault of the plugin: ${problem}`);
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
