/**
 * Calls that wait for an answer from the other side.
 * **In**: calls, answers, failures. **Out**: each call's promise settles once. **Fails**: a call that is never answered is rejected some
 * time after its end; answers without a call are reported and ignored.
 */
import { type Call, Unavailable } from '../contract.ts';
import type { Attachment } from './attachment.ts';
import { faultOfPlugin } from './error-fields.ts';
import type { AnswerKind, CallFields, CallMessage, CallNumber } from './protocol.ts';
import { isRepeatable } from './repeatable.ts';

/** Learns that a call was abandoned: its time is over, or its caller has gone. */
export interface CallObserver {
  abandoned(why: string): void;
}
/** A call that reports its end without an AbortSignal, which would cost more than the rest of the call. The host's own calls do. */
interface ObservableCall extends Call {
  observe(observer: CallObserver): void;
}

/** After its end a call may still be answered, and counts as running at the handler. */
const SETTLED_AFTER_MS = 5000;
const SWEEP_MS = 1000;

/** As `sluice.plugin.v1` names them. */
const MESSAGES: Readonly<Record<AnswerKind, string>> = {
  check: 'a CheckAnswer',
  lookup: 'a LookupAnswer',
  charge: 'a ChargeAnswer',
  done: 'Done',
  look: 'a LookAnswer',
  page: 'a Page',
};

export interface PendingAnswersOptions {
  /** Called once for a call that was abandoned before it was answered. */
  readonly onAbandoned: (number: CallNumber, why: string, on: Attachment) => void;
  /** An answer to no call, or a second one. */
  readonly onIgnored: () => void;
}

export class PendingAnswers {
  readonly #options: PendingAnswersOptions;
  readonly #calls = new Map<CallNumber, PendingAnswer>();
  #lastNumber: CallNumber = 0;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: PendingAnswersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#calls.size;
  }

  /**
   * Sends a call. `on`: where; without it the call waits for {@link sendWaiting}. `settledAfterMs`: how long after its end an answer is
   * waited for, to the second.
   */
  ask(
    call: Call,
    expects: AnswerKind,
    on: Attachment | undefined,
    message: (fields: CallFields) => CallMessage,
    settledAfterMs: number = SETTLED_AFTER_MS,
  ): Promise<unknown> {
    const number = ++this.#lastNumber;
    const made = message({ number, id: call.id, remainingMs: call.remainingMs });
    const endsAtMs = performance.now() + call.remainingMs;
    const pending = new PendingAnswer(made, expects, endsAtMs, endsAtMs + settledAfterMs, (why) =>
      this.#abandoned(pending, why),
    );
    this.#calls.set(number, pending);
    if (on !== undefined) pending.send(on);
    if (isObservable(call)) call.observe(pending);
    else pending.watch(call.signal);
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    return pending.promise;
  }

  /** `by`: the kind of the answer, if the channel tells; another one than the call expects is a fault of the plugin. */
  answered(number: CallNumber, answer: unknown, by?: AnswerKind): void {
    const call = this.#take(number);
    if (by === undefined || by === call?.expects) call?.resolve(answer);
    else call?.reject(faultOfPlugin(`it answers with ${MESSAGES[by]}; ${MESSAGES[call.expects]} was expected`));
  }

  failed(number: CallNumber, error: Error): void {
    this.#take(number)?.reject(error);
  }

  /** The channel went with the calls on it. `mayRepeat`: those that may be asked twice wait to be sent once more, and do not fail. */
  cut(on: Attachment, error: Error, mayRepeat: boolean): void {
    for (const [number, call] of this.#calls) {
      if (call.on !== on || (mayRepeat && call.waitsAgain())) continue;
      this.#calls.delete(number);
      call.reject(error);
    }
  }

  sendWaiting(on: Attachment): void {
    for (const call of this.#calls.values()) if (call.on === undefined) call.send(on);
  }

  failWaiting(error: Error): void {
    for (const [number, call] of this.#calls) {
      if (call.on !== undefined) continue;
      this.#calls.delete(number);
      call.reject(error);
    }
  }

  failAll(error: Error): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(error);
  }

  #abandoned(call: PendingAnswer, why: string): void {
    const { number } = call.message.call;
    if (call.on !== undefined) return this.#options.onAbandoned(number, why, call.on);
    this.#calls.delete(number);
    call.reject(new Unavailable(`it was not asked: ${why}`));
  }

  #take(number: CallNumber): PendingAnswer | undefined {
    const call = this.#calls.get(number);
    if (call === undefined) this.#options.onIgnored();
    else this.#calls.delete(number);
    return call;
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const [number, call] of this.#calls) {
      if (nowMs < call.settledAtMs) continue;
      this.#calls.delete(number);
      call.reject(new Unavailable('it never answered the call'));
    }
    if (this.#calls.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }
}

class PendingAnswer implements CallObserver {
  readonly message: CallMessage;
  readonly expects: AnswerKind;
  /** When it is no longer waited for, by `performance.now()`. */
  readonly settledAtMs: number;
  readonly promise: Promise<unknown>;
  /** Where it was sent; `undefined`: it waits to be sent. */
  on: Attachment | undefined;
  readonly #endsAtMs: number;
  readonly #onAbandoned: (why: string) => void;
  readonly #resolve: (answer: unknown) => void;
  readonly #reject: (error: Error) => void;
  /** Answered, or abandoned. */
  #isOver = false;
  #isRepeated = false;
  #unwatch: (() => void) | undefined;

  constructor(
    message: CallMessage,
    expects: AnswerKind,
    endsAtMs: number,
    settledAtMs: number,
    onAbandoned: (why: string) => void,
  ) {
    this.message = message;
    this.expects = expects;
    this.#endsAtMs = endsAtMs;
    this.settledAtMs = settledAtMs;
    this.#onAbandoned = onAbandoned;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  send(on: Attachment): void {
    this.on = on;
    on.callBegan();
    const { message } = this;
    if (!this.#isRepeated) return on.send(message);
    const remainingMs = Math.max(1, this.#endsAtMs - performance.now());
    on.send({ ...message, call: { ...message.call, remainingMs } });
  }

  /** Whether it is sent once more. */
  waitsAgain(): boolean {
    if (this.#isOver || this.#isRepeated || !isRepeatable(this.message)) return false;
    this.#isRepeated = true;
    this.#leave();
    return true;
  }

  watch(signal: AbortSignal): void {
    const onAbort = (): void =>
      this.abandoned(signal.reason instanceof Error ? signal.reason.message : 'it was aborted');
    signal.addEventListener('abort', onAbort, { once: true });
    this.#unwatch = () => signal.removeEventListener('abort', onAbort);
    if (signal.aborted) queueMicrotask(onAbort); // the call itself is sent first
  }

  abandoned(why: string): void {
    if (this.#isOver) return;
    this.#over();
    this.#onAbandoned(why);
  }

  resolve(answer: unknown): void {
    this.#over();
    this.#leave();
    this.#resolve(answer);
  }

  reject(error: Error): void {
    this.#over();
    this.#leave();
    this.#reject(error);
  }

  #leave(): void {
    this.on?.callEnded();
    this.on = undefined;
  }

  #over(): void {
    this.#isOver = true;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }
}

const isObservable = (call: Call): call is ObservableCall =>
  typeof (call as Partial<ObservableCall>).observe === 'function';
