import type { handleUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { GrpcJsContext } from './call-context.ts';
import { isOurFault, statusOf } from './grpc-status.ts';
import type { UnaryHandler } from './transport.ts';

type Callback = sendUnaryData<Uint8Array>;
type OnFault = (error: unknown) => void;

/** Answers in the same turn where the handler does. */
export function unaryCall(handle: UnaryHandler, draining: AbortSignal, onFault: OnFault): handleUnaryCall<Buffer, Uint8Array> {
  return (call, callback) => {
    const context = new GrpcJsContext(call, draining);
    let reply: Uint8Array | Promise<Uint8Array>;
    try {
      reply = handle(call.request, context);
    } catch (error) {
      fail(error, context, callback, onFault);
      return;
    }
    if (reply instanceof Promise) {
      reply.then((bytes) => answer(bytes, context, callback, onFault), (error: unknown) => fail(error, context, callback, onFault));
    } else {
      answer(reply, context, callback, onFault);
    }
  };
}

function answer(reply: Uint8Array, context: GrpcJsContext, callback: Callback, onFault: OnFault): void {
  if (!(reply instanceof Uint8Array)) {
    fail(new TypeError(`a handler answered with ${typeof reply} where bytes are due`), context, callback, onFault);
    return;
  }
  context.answered();
  callback(null, reply);
}

function fail(error: unknown, context: GrpcJsContext, callback: Callback, onFault: OnFault): void {
  // Where nobody waits any more, an AbortError is a handler's way to stop; a fault of our own is told all the same.
  const isStop = context.gone && error instanceof Error && error.name === 'AbortError';
  if (isOurFault(error) && !isStop) onFault(error);
  context.answered();
  callback(statusOf(error));
}
