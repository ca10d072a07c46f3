/**
 * The common part of both HTTP/2 stacks: a server that listens, checks its connections every second, and drains.
 * **In**: a server that does not listen yet, and its stack. **Out**: the transport. **Fails**: rejects if the address cannot be bound.
 */
import type { Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { acceptWaiting } from './accept-waiting.ts';
import { bound, listening } from './address.ts';
import { type GrpcServer, STREAMS_SHARE } from './grpc/serve.ts';
import { settlesWithin } from '../time/settles-within.ts';
import { RawSockets } from './raw-sockets.ts';
import { renewTls, tlsEvent } from './tls.ts';
import type { Transport, TransportOptions } from './transport.ts';

/** The connections of a server, as their stack keeps them. */
export interface Stack {
  /** Ends requests and connections that take too long. */
  tick(nowMs: number): void;
  /** Announces the drain to every peer, and to those whose handshake ends later. */
  drain(): void;
  /** The peers know about the drain: refuses later requests. */
  finishDrain(): void;
  destroy(): void;
}

const TICK_MS = 1000;
/** Longest time in which connections that wait in the kernel's queue are accepted. */
const ACCEPT_MS = 2000;
/** How long a peer may take to acknowledge the drain, or to finish its TLS handshake. */
const ANNOUNCE_MS = 500;
/** By then every thread that shares the port has stopped listening. */
const UNBOUND_MS = 100;
/** How long clients may take to end their streams of records before connections are drained. */
const RECORDS_MS = 1000;

export async function runServer(
  server: Server,
  options: TransportOptions,
  grpc: GrpcServer,
  stack: Stack,
): Promise<Transport> {
  const raw = new RawSockets(server, tlsEvent(options), options.onStranger);
  await listening(server, options);
  const ticking = setInterval(() => {
    const nowMs = performance.now();
    raw.tick(nowMs);
    stack.tick(nowMs);
  }, TICK_MS);
  ticking.unref();

  let drained: Promise<void> | undefined;
  const drain = async (graceMs: number): Promise<void> => {
    const endsAtMs = performance.now() + graceMs;
    const timers = [
      setTimeout(() => grpc.endStreams(), graceMs * STREAMS_SHARE),
      setTimeout(() => {
        stack.destroy();
        raw.destroy();
      }, graceMs),
    ];
    if (graceMs > 0) await acceptWaiting(server, Math.min(ACCEPT_MS, graceMs / 4)); // else all ends in this turn
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    // A client that reconnects must not reach another thread of this process that is about to stop listening.
    if (options.reusePort === true) await sleep(Math.min(UNBOUND_MS, graceMs / 4));
    // A client would go on using a stream of records on a connection that it knows to end, and lose what it sends when that closes.
    await settlesWithin(Math.min(RECORDS_MS, graceMs / 4), grpc.drain());
    stack.drain();
    const finish = (): void => {
      raw.drain();
      stack.finishDrain();
    };
    timers.push(setTimeout(finish, Math.min(ANNOUNCE_MS, graceMs / 2)));
    await closed;
    await settlesWithin(Math.max(1, endsAtMs - performance.now()), grpc.recordsRead());
    for (const timer of timers) clearTimeout(timer);
    clearInterval(ticking);
  };
  return {
    ...bound(server, options),
    drain: (graceMs) => (drained ??= drain(graceMs)),
    renewTls: (tls) => renewTls(server, tls),
  };
}
