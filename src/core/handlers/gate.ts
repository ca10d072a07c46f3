/**
 * Everything between the engine and one handler.
 * **In**: a function of the handler, its input, the call it is for. **Out**: the answer, at once where the handler answers at
 * once. **Fails**: never by throwing; with a {@link Failure} where it is late, down, turned away or at fault.
 */
import type { Call, Log } from '../../adapters/contract.ts';
import type { HandlerMeters } from '../metrics/meters.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import { Breaker, type Turn } from './breaker.ts';
import type { CallScope } from './call-scope.ts';
import type { TimerWheel } from '../../time/timer-wheel.ts';
import { Failure, failureOf } from './failure.ts';
import { FaultLog } from './fault-log.ts';
import { HandlerCall } from './handler-call.ts';
import { OutageLog } from './outage-log.ts';
import { PendingCall } from './pending-call.ts';
import { Progress } from './progress.ts';
import { WaitingCalls } from './waiting-calls.ts';
import { messageOf } from '../../text/message-of.ts';

export type HandlerFunction<I, T> = (input: I, call: Call) => T | Promise<T>;
export type GateSpec = Pick<HandlerSpec, 'name' | 'adapter' | 'concurrency' | 'queue' | 'breaker'>;

/** So many calls at once are a burst. */
const CROWD = 32;

export class Gate {
  /** `adapter/handler`, in all messages. */
  readonly label: string;
  readonly breaker: Breaker;
  readonly meters: HandlerMeters;
  readonly deadlines: TimerWheel;
  /** Of calls that were answered in time. */
  readonly progress: Progress = new Progress();
  readonly #faults: FaultLog;
  readonly #outage: OutageLog;
  /** Why its backend could not be asked, until it answers again. */
  #downWhy: string | undefined;
  #concurrency: number;
  #queue: number;
  #sent = 0;
  /** Its last answer was a promise: the time of its calls counts from when each is asked. */
  #answersLater = false;
  /** Calls whose promise has not settled, those that were given up among them: the backend still works for them. */
  #running = 0;
  /** Since when those have had no answer, none of them, in the loop's time. */
  silentSinceLoopMs = 0;
  readonly #waiting = new WaitingCalls();
  readonly #idle: (() => void)[] = [];

  readonly #crowdSilenceMs: number;

  /** `crowdSilenceMs`: how long a handler that answers in order may be silent to a crowd; 0 for one that does not. */
  constructor(spec: GateSpec, meters: HandlerMeters, deadlines: TimerWheel, log: Log, crowdSilenceMs = 0) {
    this.#crowdSilenceMs = crowdSilenceMs;
    this.label = `${spec.adapter}/${spec.name}`;
    this.meters = meters;
    this.deadlines = deadlines;
    this.#faults = new FaultLog(log, { handler: spec.name, adapter: spec.adapter });
    this.#outage = new OutageLog(log, { handler: spec.name, adapter: spec.adapter });
    this.breaker = new Breaker(spec.breaker);
    this.#concurrency = spec.concurrency;
    this.#queue = spec.queue;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** A backend takes a crowd of commands in one go, and answers none of them before. In the loop's time; 0 where there is no crowd. */
  get crowdLateAtLoopMs(): number {
    return this.#running + this.#waiting.size < CROWD ? 0 : this.silentSinceLoopMs + this.#crowdSilenceMs;
  }

  /** A reload that keeps the handler may change how it is asked. */
  configure(spec: GateSpec): void {
    this.#concurrency = spec.concurrency;
    this.#queue = spec.queue;
    this.breaker.spec = spec.breaker;
  }

  /** `wrong` says what is wrong with an answer, if anything is. `deadlineMs`: how long the handler may be silent, from when it is asked. */
  ask<I, T>(
    ask: HandlerFunction<I, T>,
    input: I,
    scope: CallScope,
    deadlineMs: number,
    wrong: (answer: T, input: I) => string | undefined,
  ): T | Failure | Promise<T | Failure> {
    this.meters.calls++;
    const turn = this.breaker.admits();
    if (turn === undefined) {
      const {
        waitMs,
        spec: { failures },
      } = this.breaker;
      return this.failed(
        new Failure(
          'breaker',
          `[${this.label}] is not asked for ${Math.ceil(waitMs)} ms: it failed ${failures} times in a row`,
          { retryAfterMs: waitMs },
        ),
      );
    }
    const nowMs = this.#answersLater ? performance.now() : scope.nowMs;
    const silenceMs = scope.silenceMs(deadlineMs);
    if (scope.endsAtMs <= nowMs) {
      return this.settled(
        new Failure('overload', `[${this.label}] was not asked: nothing is left of the caller's time`),
        turn,
      );
    }
    if (this.#running >= this.#concurrency) return this.#enqueue(turn, nowMs, ask, input, scope, silenceMs, wrong);
    const call = new HandlerCall(scope, Math.min(nowMs + silenceMs, scope.endsAtMs));
    let answer: T | Promise<T>;
    try {
      answer = ask(input, call);
    } catch (error) {
      call.done();
      return this.settled(failureOf(error, this.label), turn);
    }
    if (!isPromise(answer)) {
      call.done();
      const problem = problemOf(answer, input, wrong);
      this.#answersLater = false;
      return this.settled(problem === undefined ? answer : this.#fault(problem), turn);
    }
    this.#answersLater = true;
    scope.waits();
    const pending = new PendingCall(this, scope, turn, nowMs, silenceMs);
    this.#follow(pending, call, answer, nowMs, input, wrong);
    this.deadlines.add(pending, nowMs);
    return pending.promise as Promise<T | Failure>;
  }

  /** A function of its own: what its closure holds would be allocated for each call that is asked. */
  #enqueue<I, T>(
    turn: Turn,
    nowMs: number,
    ask: HandlerFunction<I, T>,
    input: I,
    scope: CallScope,
    silenceMs: number,
    wrong: (answer: T, input: I) => string | undefined,
  ): T | Failure | Promise<T | Failure> {
    if (this.#waiting.size >= this.#queue) {
      return this.settled(
        new Failure(
          'overload',
          `[${this.label}] was not asked: ${this.#running} calls run and ${this.#waiting.size} wait, and no more may`,
        ),
        turn,
      );
    }
    scope.waits();
    const pending = new PendingCall(this, scope, turn, nowMs, silenceMs, (started) =>
      this.#start(started, ask, input, scope, silenceMs, wrong),
    );
    this.#waiting.add(pending);
    this.deadlines.add(pending, nowMs);
    return pending.promise as Promise<T | Failure>;
  }

  /** Its turn in the queue has come. */
  #start<I, T>(
    pending: PendingCall,
    ask: HandlerFunction<I, T>,
    input: I,
    scope: CallScope,
    silenceMs: number,
    wrong: (answer: T, input: I) => string | undefined,
  ): void {
    const nowMs = performance.now();
    const call = new HandlerCall(scope, Math.min(nowMs + silenceMs, scope.endsAtMs));
    let answer: T | Promise<T>;
    try {
      answer = ask(input, call);
    } catch (error) {
      call.done();
      pending.end(failureOf(error, this.label));
      return;
    }
    if (isPromise(answer)) {
      this.#follow(pending, call, answer, nowMs, input, wrong);
      this.deadlines.changed(pending, nowMs);
    } else {
      call.done();
      const problem = problemOf(answer, input, wrong);
      pending.end(problem === undefined ? answer : this.#fault(problem));
    }
  }

  #follow<I, T>(
    pending: PendingCall,
    call: HandlerCall,
    answer: Promise<T>,
    nowMs: number,
    input: I,
    wrong: (answer: T, input: I) => string | undefined,
  ): void {
    const loopMs = this.deadlines.loopMsAt(nowMs);
    pending.sent(call, ++this.#sent, loopMs);
    if (this.#running++ === 0) this.silentSinceLoopMs = loopMs;
    answer.then(
      (value) => {
        const problem = problemOf(value, input, wrong);
        this.#left(pending.end(problem === undefined ? value : this.#fault(problem)) ? pending : undefined);
      },
      (error: unknown) => {
        pending.end(failureOf(error, this.label));
        this.#left(undefined);
      },
    );
  }

  /** Told of each call once, with the turn that the breaker gave it. */
  settled<T>(answer: T | Failure, turn: Turn): T | Failure {
    if (!(answer instanceof Failure)) {
      this.#answered();
      return answer;
    }
    // A rejected input shows that the backend answers; what failed on this side, or whose caller has gone, says nothing of it.
    if (answer.kind === 'rejected') this.#answered();
    else if (answer.kind === 'gone' || answer.kind === 'overload') this.breaker.unknown(turn);
    else this.#unanswered(answer, this.breaker.failed(turn));
    return this.failed(answer);
  }

  #answered(): void {
    this.breaker.succeeded();
    if (this.#downWhy === undefined) return;
    this.#downWhy = undefined;
    this.#outage.succeeded('a handler answers again');
  }

  /** One call that is late says little; that the backend is away, or a breaker that opens, says that it is down. */
  #unanswered({ kind, why }: Failure, hasOpened: boolean): void {
    if (kind !== 'unavailable' && !hasOpened && this.#downWhy === undefined) return;
    this.#downWhy = why;
    this.#outage.failed(
      hasOpened
        ? 'a handler does not answer: its breaker is open, and it is not asked for a while'
        : 'a handler does not answer',
      why,
    );
  }

  /** Why its backend cannot be asked, where it failed last and is spared now. */
  get spared(): string | undefined {
    return this.breaker.state === 'open' ? `its breaker is open: ${this.#downWhy ?? 'it failed'}` : undefined;
  }

  /** What its last call failed by, until one is answered. */
  get downWhy(): string | undefined {
    return this.#downWhy;
  }

  failed(failure: Failure): Failure {
    this.meters.failures[failure.kind]++;
    if (failure.kind === 'fault') this.#faults.tell(failure.why, failure.cause);
    return failure;
  }

  /** It waits no more. */
  leavesQueue(): void {
    this.#waiting.left();
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

  /** `answered`: the call that was, in time. */
  #left(answered: PendingCall | undefined): void {
    this.#running--;
    const loopMs = this.deadlines.loopMsAt(performance.now());
    this.silentSinceLoopMs = loopMs;
    if (answered !== undefined) this.progress.answered(answered.order, loopMs);
    while (this.#running < this.#concurrency) {
      const next = this.#waiting.next();
      if (next === undefined) break;
      next.start();
    }
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #fault(problem: string): Failure {
    return new Failure('fault', `[${this.label}] a fault of the plugin: ${problem}`);
  }
}

/** An answer may be of any kind, also one that throws when it is looked at. */
function problemOf<I, T>(answer: T, input: I, wrong: (answer: T, input: I) => string | undefined): string | undefined {
  try {
    return wrong(answer, input);
  } catch (error) {
    return `its answer cannot be read: ${messageOf(error)}`;
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
