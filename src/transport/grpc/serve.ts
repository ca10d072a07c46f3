/**
 * gRPC over any HTTP/2 stack.
 * **In**: requests. **Out**: calls of methods, and their replies. **Fails**: with a gRPC status; a request that is not gRPC gets a plain
 * HTTP reply.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Exchange, type Head, NO_RECEIVER, type Receiver, type Serve } from '../exchange.ts';
import type { Methods, TransportOptions } from '../transport.ts';
import { type CallHead, callHead, type Refusal } from './call-head.ts';
import type { CallHost } from './call.ts';
import { RefusedCall } from './refused-call.ts';
import { StreamCall } from './stream-call.ts';
import { TimerWheel } from '../../time/timer-wheel.ts';
import { UnaryCall } from './unary-call.ts';
import { Decompressor } from './decompressor.ts';

/** The share of a drain's grace after which busy streams are ended, so that their handlers have the rest to finish. */
export const STREAMS_SHARE = 0.8;
/** Between looks at the open streams while draining. */
const POLL_MS = 5;

export interface GrpcServer {
  readonly serve: Serve;
  /** Ends the streams. Settles when the clients of streams of records have ended their side, so that none loses a message. */
  drain(): Promise<void>;
  /** Streams read the messages that have arrived, then end. */
  endStreams(): void;
  /** Settles when no stream of records is being read. */
  recordsRead(): Promise<void>;
}

export function grpcServer(
  methods: Methods,
  options: Pick<TransportOptions, 'maxMessageBytes' | 'onFault' | 'maxStreamAgeMs'>,
): GrpcServer {
  const draining = new AbortController();
  const ending = new AbortController();
  const host: CallHost = {
    ...options,
    maxStreamAgeMs: options.maxStreamAgeMs ?? Infinity,
    wheel: new TimerWheel(),
    decompressor: new Decompressor(options.maxMessageBytes),
    draining: draining.signal,
    ending: ending.signal,
  };
  const streams = new Set<StreamCall>();
  const forget = (call: StreamCall): void => void streams.delete(call);

  function serve(exchange: Exchange, head: Head, isEnd: boolean): Receiver {
    const parsed = (head.cached ??= callHead(head, methods)) as CallHead | Refusal;
    if ('kind' in parsed) {
      if (parsed.kind === 'grpc') exchange.end(parsed.code, parsed.details);
      else if (isEnd) exchange.refuse(parsed.status, parsed.text);
      else return new RefusedCall(exchange, parsed, host.wheel);
      return NO_RECEIVER;
    }
    const { method } = parsed;
    const call =
      method.kind === 'unary'
        ? new UnaryCall(exchange, head, parsed, method.handle, host)
        : new StreamCall(exchange, head, parsed, host, forget);
    if (isEnd) call.data(NO_BYTES, 0, 0, true);
    if (method.kind === 'stream' && call instanceof StreamCall && !call.isOver) {
      streams.add(call);
      void call.run(method.handle);
      if (draining.signal.aborted) call.drain();
    }
    return call;
  }

  return {
    serve,
    drain: async () => {
      draining.abort();
      for (const call of streams) call.drain();
      while ([...streams].some((call) => call.isRecords && call.isOpen)) await sleep(POLL_MS);
    },
    endStreams: () => {
      ending.abort();
      for (const call of streams) call.endRequests();
    },
    recordsRead: async () => {
      while ([...streams].some((call) => call.isRecords)) await sleep(POLL_MS);
    },
  };
}

const NO_BYTES = new Uint8Array(0);
