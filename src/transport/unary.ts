import type { handleUnaryCall } from '@grpc/grpc-js';
import { GrpcJsContext } from './call-context.ts';
import { isOurFault, statusOf } from './grpc-status.ts';
import type { UnaryHandler } from './transport.ts';

/** Answers in the same turn where the handler does. */
export function unaryCall(handle: UnaryHandler, draining: AbortSignal, onFault: (error: unknown) => void): handleUnaryCall<Buffer, Uint8Array> {
  return (call, callback) => {
    const context = new GrpcJsContext(call, draining);
    const answer = (reply: Uint8Array): void => {
      if (!(reply instanceof Uint8Array)) return fail(new TypeError(`a handler answered with ${typeof reply} where bytes are due`));
      context.answered();
      callback(null, reply);
    };
    const fail = (error: unknown): void => {
      // Where nobody waits any more, what a handler throws is most likely its way to stop; a fault of our own is told all the same.
      if (isOurFault(error) && !(context.gone && isAbort(error))) onFault(error);
      context.answered();
      callback(statusOf(error));
    };
    let reply: Uint8Array | Promise<Uint8Array>;
    try {
      reply = handle(call.request, context);
    } catch (error) {
      fail(error);
      return;
    }
    if (reply instanceof Promise) reply.then(answer, fail);
    else answer(reply);
  };
}

const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';
