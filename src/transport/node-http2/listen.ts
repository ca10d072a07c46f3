/** Node's HTTP/2 (nghttp2): the fallback, and what our own is compared with. */
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerOptions,
} from 'node:http2';
import type { Server } from 'node:net';
import { bound, listening } from '../address.ts';
import { MIN_TLS, renewTls, tlsEvent } from '../tls.ts';
import { grpcServer, STREAMS_SHARE } from '../grpc/serve.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { Receiver } from '../exchange.ts';
import { MAX_AFTER_AGE_MS, RawSockets, TICK_MS } from '../raw-sockets.ts';
import type { Listen, TransportOptions } from '../transport.ts';
import { NodeExchange, NodeHead } from './exchange.ts';

export const listenHttp2: Listen = async (methods, options) => {
  const grpc = grpcServer(methods, options);
  /** The open streams of each. */
  const sessions = new Map<ServerHttp2Session, Set<Receiver>>();
  const server = serverOf(options);
  server.on('session', (session) => {
    const receivers = new Set<Receiver>();
    sessions.set(session, receivers);
    session.on('error', () => {});
    session.on('close', () => sessions.delete(session));
    const { maxConnectionAgeMs } = options;
    if (maxConnectionAgeMs === undefined) return;
    const ageMs = maxConnectionAgeMs * (0.95 + Math.random() / 10);
    const timers = [
      setTimeout(() => {
        session.close();
        for (const receiver of receivers) receiver.drain();
      }, ageMs),
      setTimeout(() => session.destroy(), ageMs + Math.min(maxConnectionAgeMs, MAX_AFTER_AGE_MS)),
    ];
    session.on('close', () => {
      for (const timer of timers) clearTimeout(timer);
    });
  });
  server.on('stream', (stream, headers, flags) => {
    const exchange = new NodeExchange(stream);
    const receiver = grpc.serve(exchange, new NodeHead(headers), (flags & 1) !== 0);
    exchange.attach(receiver);
    const receivers = stream.session === undefined ? undefined : sessions.get(stream.session as ServerHttp2Session);
    receivers?.add(receiver);
    stream.on('close', () => receivers?.delete(receiver));
  });
  const raw = new RawSockets(server as Server, tlsEvent(options), options.onStranger);
  await listening(server as Server, options);
  const ticking = setInterval(() => {
    const nowMs = performance.now();
    raw.tick(nowMs);
    for (const receivers of sessions.values()) for (const receiver of receivers) receiver.tick(nowMs);
  }, TICK_MS);
  ticking.unref();

  let drained: Promise<void> | undefined;
  const drain = async (graceMs: number): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    const timers = [
      setTimeout(() => grpc.endStreams(), graceMs * STREAMS_SHARE),
      setTimeout(() => {
        for (const session of sessions.keys()) session.destroy();
        raw.destroy();
      }, graceMs),
    ];
    grpc.drain();
    raw.drain();
    for (const session of sessions.keys()) session.close();
    await closed;
    for (const timer of timers) clearTimeout(timer);
    clearInterval(ticking);
  };
  return {
    ...bound(server as Server, options),
    drain: (graceMs) => (drained ??= drain(graceMs)),
    renewTls: (tls) => renewTls(server as Server, tls),
  };
};

function serverOf({ tls, limits }: TransportOptions): Http2Server {
  const { maxStreams, maxHeaderListBytes, streamWindowBytes } = { ...DEFAULT_LIMITS, ...limits };
  const settings: ServerOptions = {
    settings: {
      maxConcurrentStreams: maxStreams,
      maxHeaderListSize: maxHeaderListBytes,
      initialWindowSize: streamWindowBytes,
      enableConnectProtocol: false,
    },
  };
  if (tls === undefined) return createServer(settings);
  return createSecureServer({ ...settings, ...tls, minVersion: MIN_TLS, requestCert: tls.ca !== undefined });
}
