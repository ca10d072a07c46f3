import type { ServerSurfaceCall } from '@grpc/grpc-js/build/src/server-call.js';
import { GrpcError, Status, type CallContext } from './transport.ts';

/** What a handler learns of its call; what costs something is made when first asked for. */
export class GrpcJsContext implements CallContext {
  readonly draining: AbortSignal;
  readonly #call: ServerSurfaceCall;
  readonly #deadline: number;
  #signal: AbortSignal | undefined;
  #answered = false;

  constructor(call: ServerSurfaceCall, draining: AbortSignal) {
    this.#call = call;
    this.draining = draining;
    this.#deadline = Number(call.getDeadline());
  }

  get peer(): string {
    return this.#call.getPeer();
  }

  /** Whether nobody waits for an answer any more. */
  get gone(): boolean {
    return this.#call.cancelled;
  }

  get signal(): AbortSignal {
    return this.#signal ??= this.#watch();
  }

  remainingMs(): number | undefined {
    return this.#deadline === Infinity ? undefined : Math.max(0, this.#deadline - Date.now());
  }

  metadata(key: string): string | undefined {
    const value = this.#call.metadata.get(key)[0];
    return typeof value === 'object' ? value.toString('base64') : value;
  }

  /** From here on the end of the call is no cancellation (grpc-js says `cancelled` after each answer). */
  answered(): void {
    this.#answered = true;
  }

  #watch(): AbortSignal {
    const controller = new AbortController();
    const abort = (): void => {
      if (this.#answered) return;
      const late = this.#deadline <= Date.now();
      controller.abort(new GrpcError(late ? Status.DEADLINE_EXCEEDED : Status.CANCELLED, late ? 'the deadline has passed' : 'the caller is gone'));
    };
    if (this.#call.cancelled) abort();
    else this.#call.once('cancelled', abort);
    return controller.signal;
  }
}
