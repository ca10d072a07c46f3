import type { Call } from '../../adapters/contract.ts';
import type { CallScope } from './call-scope.ts';

/** The {@link Call} of a plugin. Its signal is created when first read. */
export class HandlerCall implements Call {
  readonly #scope: CallScope;
  readonly #endsAtMs: number;
  #controller: AbortController | undefined;
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
    return Math.max(0, this.#endsAtMs - performance.now());
  }

  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    const controller = (this.#controller = new AbortController());
    if (this.#whyEnded !== undefined) controller.abort(this.#whyEnded);
    else if (!this.#isDone) {
      const caller = this.#scope.caller.signal;
      const gone = (this.#onCallerGone = (): void => controller.abort(caller?.reason));
      if (caller?.aborted === true) gone();
      else caller?.addEventListener('abort', gone, { once: true });
    }
    return controller.signal;
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
  }
}
