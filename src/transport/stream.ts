import { once } from 'node:events';
import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import { GrpcJsContext } from './call-context.ts';
import { endOf, readOneAhead } from './grpc-js-inside.ts';
import { isOurFault, statusOf } from './grpc-status.ts';
import { GrpcError, Status, type StreamHandler } from './transport.ts';

/** How long a client has to be quiet before a draining server ends its stream: nothing that is under way is cut off. */
const QUIET_MS = 100;

type DuplexCall = ServerDuplexStream<Buffer, Uint8Array>;

export interface StreamCallOptions {
  readonly draining: AbortSignal;
  /** After this, streams of requests end however busy they are. */
  readonly endStreams: AbortSignal;
  readonly onFault: (error: unknown) => void;
}

export function streamCall(handle: StreamHandler, options: StreamCallOptions): handleBidiStreamingCall<Buffer, Uint8Array> {
  return (call) => {
    readOneAhead(call);
    void run(call, handle, options);
  };
}

async function run(call: DuplexCall, handle: StreamHandler, options: StreamCallOptions): Promise<void> {
  const context = new GrpcJsContext(call, options.draining);
  try {
    for await (const reply of handle(requests(call, context, options), context)) {
      if (context.gone) return;
      if (!call.write(reply)) await room(call);
    }
    context.answered();
    call.end();
  } catch (error) {
    const theirs = context.gone && (error instanceof GrpcError || (error instanceof Error && error.name === 'AbortError'));
    if (!theirs && isOurFault(error)) options.onFault(error);
    context.answered();
    // grpc-js ends the call with the status that an error on the stream carries.
    if (!context.gone) call.emit('error', statusOf(error));
  }
}

/** The messages, each read when it is asked for. Throws CANCELLED where the client is gone. */
async function* requests(call: DuplexCall, context: GrpcJsContext, { draining, endStreams }: StreamCallOptions): AsyncGenerator<Buffer, void, undefined> {
  // The iterator must not destroy the call when a handler stops reading: its status is still to be sent.
  const messages: AsyncIterator<Buffer> = call.iterator({ destroyOnReturn: false });
  // One listener a stream and one promise a message: racing against a promise that stays would keep a reaction for each message.
  let wake: (nothing: undefined) => void = () => {};
  const onSignal = (): void => wake(undefined);
  const orWoken = (next: Promise<IteratorResult<Buffer>>): Promise<IteratorResult<Buffer> | undefined> => new Promise((resolve, reject) => {
    wake = resolve;
    next.then(resolve, reject);
    if (endStreams.aborted) wake(undefined);
    else if (draining.aborted) setTimeout(wake, QUIET_MS, undefined);
  });
  draining.addEventListener('abort', onSignal);
  endStreams.addEventListener('abort', onSignal);
  try {
    for (;;) {
      const next = read(messages, context);
      const wasDraining = draining.aborted;
      let result = await orWoken(next);
      if (result === undefined && !wasDraining) result = await orWoken(next); // what is on its way is still read
      if (result === undefined) return;
      if (result.done === true) break;
      yield result.value;
    }
  } finally {
    draining.removeEventListener('abort', onSignal);
    endStreams.removeEventListener('abort', onSignal);
  }
  const end = endOf(call);
  if (end === 'gone') throw new GrpcError(Status.CANCELLED, 'the caller is gone');
  if (end === 'inside a message') throw new GrpcError(Status.INTERNAL, 'the stream ended inside a message');
}

async function read(messages: AsyncIterator<Buffer>, context: GrpcJsContext): Promise<IteratorResult<Buffer>> {
  try {
    return await messages.next();
  } catch (error) {
    throw context.gone ? new GrpcError(Status.CANCELLED, 'the caller is gone', { cause: error }) : error;
  }
}

async function room(call: DuplexCall): Promise<void> {
  const over = new AbortController();
  try {
    await Promise.race([once(call, 'drain', { signal: over.signal }), once(call, 'close', { signal: over.signal })]);
  } finally {
    over.abort();
  }
}
