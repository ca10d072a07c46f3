/**
 * gRPC over any HTTP/2.
 * **In**: requests. **Out**: calls of methods, and their replies. **Fails**: with a status; what is no gRPC gets an answer in words.
 */
import { type Exchange, type Head, NO_RECEIVER, type Receiver, type Serve } from '../exchange.ts';
import type { Methods } from '../transport.ts';
import { type CallHead, callHead, type Refusal } from './call-head.ts';
import type { CallHost } from './call.ts';
import { RefusedCall } from './refused-call.ts';
import { StreamCall } from './stream-call.ts';
import { TimerWheel } from '../../time/timer-wheel.ts';
import { UnaryCall } from './unary-call.ts';
import { Unpacker } from './unpacker.ts';

/** Of a drain's grace: what busy streams may use before they are ended, so that their handlers have the rest. */
export const STREAMS_SHARE = 0.8;

export interface GrpcServer {
  readonly serve: Serve;
  /** Streams end once their clients are quiet. */
  drain(): void;
  /** Streams read what has come, and end. */
  endStreams(): void;
}

export function grpcServer(methods: Methods, options: Pick<CallHost, 'maxMessageBytes' | 'onFault'>): GrpcServer {
  const draining = new AbortController();
  const ending = new AbortController();
  const host: CallHost = {
    ...options,
    wheel: new TimerWheel(),
    unpacker: new Unpacker(options.maxMessageBytes),
    draining: draining.signal,
    ending: ending.signal,
  };
  const streams = new Set<StreamCall>();
  const forget = (call: StreamCall): void => void streams.delete(call);

  function serve(exchange: Exchange, head: Head, isEnd: boolean): Receiver {
    const made = (head.memo ??= callHead(head, methods)) as CallHead | Refusal;
    if ('kind' in made) {
      if (made.kind === 'grpc') exchange.end(made.code, made.details);
      else if (isEnd) exchange.refuse(made.status, made.text);
      else return new RefusedCall(exchange, made, host.wheel);
      return NO_RECEIVER;
    }
    const { method } = made;
    const call =
      method.kind === 'unary'
        ? new UnaryCall(exchange, head, made, method.handle, host)
        : new StreamCall(exchange, head, made, host, forget);
    if (isEnd) call.data(NO_BYTES, 0, 0, true);
    if (method.kind === 'stream' && call instanceof StreamCall && !call.isOver) {
      streams.add(call);
      void call.run(method.handle);
    }
    return call;
  }

  return {
    serve,
    drain: () => {
      draining.abort();
      for (const call of streams) call.drain();
    },
    endStreams: () => {
      ending.abort();
      for (const call of streams) call.endRequests();
    },
  };
}

const NO_BYTES = new Uint8Array(0);
