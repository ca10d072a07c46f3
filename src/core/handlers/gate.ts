/**
 * Everything between the engine and one handler: breaker, queue, timeout, then the plugin's function.
 * **In**: a function of the handler, its input, the call it is for. **Out**: the answer, synchronously if the handler answers
 * synchronously. **Fails**: never by throwing; with a {@link Failure} if the handler is late, unavailable, overloaded or faulty.
 */
import type { SecretTexts } from '../../text/secret-texts.ts';
import type { Log } from '../../adapters/contract.ts';
import { messageOf } from '../../text/message-of.ts';
import { promiseOf } from '../../time/promise-of.ts';
import type { TimerWheel } from '../../time/timer-wheel.ts';
import type { HandlerMeters } from '../metrics/meters.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import { AnswerTimes } from './answer-times.ts';
import type { Turn } from './breaker.ts';
import type { CallScope } from './call-scope.ts';
import { Failure, failureOf } from './failure.ts';
import { HandlerCall } from './handler-call.ts';
import { Health } from './health.ts';
import { type CallsOfHandler, PendingCall } from './pending-call.ts';
import { WaitingCalls } from './waiting-calls.ts';

export type HandlerFunction<I, T> = (input: I, call: HandlerCall) => T | Promise<T>;
/** The problem of an invalid answer; `undefined` if it is valid. */
export type ProblemOf<I, T> = (answer: T, input: I) => string | undefined;
export type GateSpec = Pick<HandlerSpec, 'name' | 'adapter' | 'concurrency' | 'queue' | 'breaker' | 'secrets'>;

export class Gate implements CallsOfHandler {
  readonly health: Health;
  readonly answerTimes: AnswerTimes;
  readonly deadlines: TimerWheel;
  readonly #secrets: SecretTexts;
  #concurrency: number;
  #queue: number;
  /** Calls sent so far. */
  #sent = 0;
  /** Calls whose promise has not settled, abandoned ones included: the backend still works for them. */
  #running = 0;
  /** The last answer was a promise, so the clock is read for each call. */
  #answersLater = false;
  readonly #waiting = new WaitingCalls<PendingCall>();
  readonly #idle: (() => void)[] = [];

  /** `burstSilenceMs`: see {@link AnswerTimes}. */
  constructor(spec: GateSpec, meters: HandlerMeters, deadlines: TimerWheel, log: Log, burstSilenceMs = 0) {
    this.health = new Health(spec, meters, log);
    this.answerTimes = new AnswerTimes(burstSilenceMs);
    this.deadlines = deadlines;
    this.#secrets = spec.secrets;
    this.#concurrency = spec.concurrency;
    this.#queue = spec.queue;
  }

  get label(): string {
    return this.health.label;
  }

  /** A message of the plugin, without the secrets of its config. */
  shown(message: string): string {
    return this.#secrets.text(message);
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
    this.health.breaker.spec = spec.breaker;
  }

  /** `deadlineMs`: how long the handler may be silent after it is asked. */
  ask<I, T>(
    ask: HandlerFunction<I, T>,
    input: I,
    scope: CallScope,
    deadlineMs: number,
    problemOf: ProblemOf<I, T>,
  ): T | Failure | Promise<T | Failure> {
    const { health } = this;
    health.meters.calls++;
    const turn = health.breaker.admits();
    if (turn === undefined) return health.refused();
    const nowMs = this.#answersLater ? performance.now() : scope.nowMs;
    const silenceMs = scope.silenceMs(deadlineMs);
    if (scope.endsAtMs <= nowMs)
      return this.#overload(scope, turn, `[${health.label}] was not asked: the caller's time is used up`);
    if (this.#running >= this.#concurrency) return this.#enqueue(turn, nowMs, ask, input, scope, silenceMs, problemOf);
    const call = new HandlerCall(scope, Math.min(nowMs + silenceMs, scope.endsAtMs));
    let answer: T | Promise<T>;
    let later: Promise<T> | undefined;
    try {
      answer = ask(input, call);
      later = promiseOf(answer);
    } catch (error) {
      call.done();
      return health.settled(this.#failure(error, scope), turn, scope);
    }
    if (later === undefined) {
      call.done();
      this.#answersLater = false;
      return health.settled(this.#checked(answer as T, input, scope, problemOf), turn, scope);
    }
    this.#answersLater = true;
    scope.waits();
    const pending = new PendingCall(this, scope, turn, nowMs, silenceMs);
    this.#follow(pending, call, later, nowMs, input, scope, problemOf);
    this.deadlines.add(pending, nowMs);
    return pending.promise as Promise<T | Failure>;
  }

  /** Of an error that the plugin threw. */
  #failure(error: unknown, scope: CallScope): Failure {
    return failureOf(error, this.label, (text) => this.#shown(text, scope));
  }

  /** Without secrets, whether of the handler's config or of the call. */
  #shown(text: string, scope: CallScope): string {
    return this.health.shown(this.#secrets.text(text), scope);
  }

  /** An answer that was valid throws when it is read again; counts and logs a fault of the plugin. */
  unreadable(cause: unknown): Failure {
    return this.health.faulty(new Failure('fault', `[${this.label}] ${UNREADABLE}`, { cause }));
  }

  /** A part of an answer is not used. `what` is called only if a line is written. */
  leftOut(what: () => string, scope: CallScope): void {
    this.health.leftOut(() => this.#shown(what(), scope));
  }

  #overload(scope: CallScope, turn: Turn, why: string): Failure {
    return this.health.settled<never>(new Failure('overload', why), turn, scope);
  }

  /** Separate from `ask`, where the variables of its closure would be allocated for every call. */
  #enqueue<I, T>(
    turn: Turn,
    nowMs: number,
    ask: HandlerFunction<I, T>,
    input: I,
    scope: CallScope,
    silenceMs: number,
    problemOf: ProblemOf<I, T>,
  ): T | Failure | Promise<T | Failure> {
    if (this.#waiting.size >= this.#queue)
      return this.#overload(
        scope,
        turn,
        `[${this.label}] was not asked: as many calls run (${this.#running}) and wait (${this.#waiting.size}) ` +
          'as concurrency and queue allow',
      );
    scope.waits();
    const pending = new PendingCall(this, scope, turn, nowMs, silenceMs, (started) =>
      this.#start(started, ask, input, scope, silenceMs, problemOf),
    );
    this.#waiting.add(pending);
    this.answerTimes.pending++;
    this.deadlines.add(pending, nowMs);
    return pending.promise as Promise<T | Failure>;
  }

  /** Sends a call whose turn in the queue has come. */
  #start<I, T>(
    pending: PendingCall,
    ask: HandlerFunction<I, T>,
    input: I,
    scope: CallScope,
    silenceMs: number,
    problemOf: ProblemOf<I, T>,
  ): void {
    if (!this.health.breaker.stillAdmits(pending.turn)) {
      pending.end(this.health.refusal());
      return;
    }
    const nowMs = performance.now();
    const call = new HandlerCall(scope, Math.min(nowMs + silenceMs, scope.endsAtMs));
    let answer: T | Promise<T>;
    let later: Promise<T> | undefined;
    try {
      answer = ask(input, call);
      later = promiseOf(answer);
    } catch (error) {
      call.done();
      pending.end(this.#failure(error, scope));
      return;
    }
    if (later !== undefined) {
      this.#follow(pending, call, later, nowMs, input, scope, problemOf);
      this.deadlines.changed(pending, nowMs);
    } else {
      call.done();
      pending.end(this.#checked(answer as T, input, scope, problemOf));
    }
  }

  #follow<I, T>(
    pending: PendingCall,
    call: HandlerCall,
    answer: Promise<T>,
    nowMs: number,
    input: I,
    scope: CallScope,
    problemOf: ProblemOf<I, T>,
  ): void {
    const loopMs = this.deadlines.loopMsAt(nowMs);
    pending.sent(call, ++this.#sent, loopMs);
    this.answerTimes.pending++;
    if (this.#running++ === 0) this.answerTimes.silentSinceMs = loopMs;
    answer.then(
      // The answer to a call that is over is not read: by now the bytes of its request may belong to another one.
      (value) => {
        const checked = pending.isOpen ? this.#checked(value, input, scope, problemOf) : undefined;
        this.#ended(pending.end(checked) ? pending : undefined);
      },
      (error: unknown) => {
        pending.end(pending.isOpen ? this.#failure(error, scope) : undefined);
        this.#ended(undefined);
      },
    );
  }

  /** A promise of the handler settled. `answered`: its call; absent if the answer came too late. */
  #ended(answered: PendingCall | undefined): void {
    this.#running--;
    const { answerTimes } = this;
    answerTimes.pending--;
    const loopMs = this.deadlines.loopMsAt(performance.now());
    answerTimes.silentSinceMs = loopMs;
    if (answered !== undefined) answerTimes.answered(answered.order, loopMs);
    while (this.#running < this.#concurrency) {
      const next = this.#waiting.next();
      if (next === undefined) break;
      answerTimes.pending--;
      next.start();
    }
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  leftQueue(): void {
    this.#waiting.left();
    this.answerTimes.pending--;
  }

  /** Settles when no call runs, at the latest after `withinMs`. */
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

  /** The answer, or a failure if it is invalid. A plugin may return any value, even one whose getters throw. */
  #checked<I, T>(answer: T, input: I, scope: CallScope, problemOf: ProblemOf<I, T>): T | Failure {
    let problem: string | undefined;
    try {
      problem = problemOf(answer, input);
    } catch (error) {
      problem = `its answer cannot be read: ${messageOf(error)}`;
    }
    if (problem === undefined) return answer;
    return new Failure('fault', `[${this.label}] error in the plugin: ${this.#shown(problem, scope)}`);
  }
}

const UNREADABLE = 'error in the plugin: its answer throws when it is read again; return plain values, without getters';
