/**
 * Calls that wait for an answer from the other side.
 * **In**: calls, answers, failures. **Out**: each call's promise settles once. **Fails**: a call that is never answered is rejected some
 * time after its end; answers without a call are reported and ignored.
 */
import { type Call, Unavailable } from '../contract.ts';
import { faultOfPlugin } from './error-fields.ts';
import type { AnswerKind, CallFields, CallNumber } from './protocol.ts';

/** Learns that a call was abandoned: its time is over, or its caller has gone. */
export interface CallObserver {
  abandoned(why: string): void;
}
/** A call that tells so without an AbortSignal, which would cost more than the rest of the call. The host's own calls do. */
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
  readonly onAbandoned: (number: CallNumber, why: string) => void;
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

  /** `settledAfterMs`: how long after its end an answer is waited for, to the second. */
  add(call: Call, expects: AnswerKind, settledAfterMs: number = SETTLED_AFTER_MS): PendingAnswer {
    const { id, remainingMs } = call;
    const fields = { number: ++this.#lastNumber, id, remainingMs };
    const pending = new PendingAnswer(fields, expects, performance.now() + remainingMs + settledAfterMs, this.#options);
    this.#calls.set(pending.fields.number, pending);
    if (isObservable(call)) call.observe(pending);
    else pending.watch(call.signal);
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    return pending;
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

  failAll(error: Error): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(error);
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
  readonly fields: CallFields;
  readonly expects: AnswerKind;
  /** When it is no longer waited for, by `performance.now()`. */
  readonly settledAtMs: number;
  readonly promise: Promise<unknown>;
  readonly #options: PendingAnswersOptions;
  readonly #resolve: (answer: unknown) => void;
  readonly #reject: (error: Error) => void;
  #isOver = false;
  #unwatch: (() => void) | undefined;

  constructor(fields: CallFields, expects: AnswerKind, settledAtMs: number, options: PendingAnswersOptions) {
    this.fields = fields;
    this.expects = expects;
    this.settledAtMs = settledAtMs;
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  watch(signal: AbortSignal): void {
    const gone = (): void => this.abandoned(signal.reason instanceof Error ? signal.reason.message : 'it was aborted');
    signal.addEventListener('abort', gone, { once: true });
    this.#unwatch = () => signal.removeEventListener('abort', gone);
    if (signal.aborted) queueMicrotask(gone); // the call itself is sent first
  }

  abandoned(why: string): void {
    if (this.#isOver) return;
    this.#over();
    this.#options.onAbandoned(this.fields.number, why);
  }

  resolve(answer: unknown): void {
    this.#over();
    this.#resolve(answer);
  }

  reject(error: Error): void {
    this.#over();
    this.#reject(error);
  }

  #over(): void {
    this.#isOver = true;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }
}

const isObservable = (call: Call): call is ObservableCall =>
  typeof (call as Partial<ObservableCall>).observe === 'function';
