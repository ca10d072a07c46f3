import type { Call } from '../../adapters/contract.ts';
import type { CallerObserver } from '../call.ts';
import type { CallScope } from './call-scope.ts';

/** Learns that a call was abandoned before it was answered. */
interface CallObserver {
  abandoned(why: string): void;
}

/** The {@link Call} of a plugin. Its signal is created when first read; a handler that runs elsewhere observes the call instead. */
export class HandlerCall implements Call, CallerObserver {
  readonly #scope: CallScope;
  readonly #endsAtMs: number;
  #controller: AbortController | undefined;
  #observer: CallObserver | undefined;
  #onCallerGone: (() => void) | undefined;
  #isDone = false;
  #whyEnded: Error | undefined;

  constructor(scope: CallScope, endsAtMs: number) {
    this.#scope = scope;
    this.#endsAtMs = endsAtMs;
  }

  /** It was answered or abandoned. */
  get isOver(): boolean {
    return this.#isDone;
  }

  get id(): string {
    return this.#scope.id;
  }

  get remainingMs(): number {
    return Math.max(0, Math.floor(this.#endsAtMs - performance.now()));
  }

  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    const controller = (this.#controller = new AbortController());
    if (this.#whyEnded !== undefined) controller.abort(this.#whyEnded);
    else if (!this.#isDone) {
      const caller = this.#scope.caller.signal;
      if (caller !== undefined) this.#watch(caller, () => controller.abort(caller.reason));
    }
    return controller.signal;
  }

  #watch(caller: AbortSignal, gone: (why: string) => void): void {
    const listener = (this.#onCallerGone = (): void => gone('the caller has gone'));
    if (caller.aborted) listener();
    else caller.addEventListener('abort', listener, { once: true });
  }

  /** Cheaper than the signal; one observer. */
  observe(observer: CallObserver): void {
    this.#observer = observer;
    const { caller } = this.#scope;
    if (caller.observe !== undefined) caller.observe(this);
    else if (caller.signal !== undefined) this.#watch(caller.signal, (why) => this.callerGone(why));
  }

  callerGone(why: string): void {
    if (!this.#isDone) this.#observer?.abandoned(why);
  }

  /** The call was answered; removes the listener. */
  done(): void {
    this.#isDone = true;
    if (this.#onCallerGone !== undefined) this.#scope.caller.signal?.removeEventListener('abort', this.#onCallerGone);
  }

  /** The call was abandoned; the plugin may stop working on it. */
  abort(why: string): void {
    this.done();
    this.#whyEnded = new Error(why);
    this.#controller?.abort(this.#whyEnded);
    this.#observer?.abandoned(why);
  }
}
