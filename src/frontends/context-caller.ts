import type { Caller } from '../core/call.ts';
import type { CallContext } from '../transport/transport.ts';

/** Asks the transport only where the engine asks: most calls need no signal. */
export class ContextCaller implements Caller {
  readonly #context: CallContext;

  constructor(context: CallContext) {
    this.#context = context;
  }

  get remainingMs(): number | undefined {
    return this.#context.remainingMs();
  }

  get arrivedAtMs(): number {
    return this.#context.arrivedAtMs;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }
}
