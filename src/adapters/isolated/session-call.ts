import type { Call } from '../contract.ts';
import type { CallFields } from './protocol.ts';

/** A call as the handler sees it. Its signal is created when first read. */
export class SessionCall implements Call {
  readonly id: string;
  /** By `performance.now()`. */
  readonly #endsAtMs: number;
  #controller: AbortController | undefined;
  #whyEnded: Error | undefined;

  constructor({ id, remainingMs }: CallFields) {
    this.id = id;
    this.#endsAtMs = performance.now() + remainingMs;
  }

  get remainingMs(): number {
    return Math.max(0, Math.floor(this.#endsAtMs - performance.now()));
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#whyEnded !== undefined) this.#controller.abort(this.#whyEnded);
    return this.#controller.signal;
  }

  abort(why: string): void {
    this.#whyEnded ??= new Error(why);
    this.#controller?.abort(this.#whyEnded);
  }
}
