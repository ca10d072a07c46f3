/** The fallback, and what our own HTTP/2 is compared with: Node's, which is nghttp2. */
import { createSecureServer, createServer, type Http2Server, type ServerHttp2Session, type ServerOptions } from 'node:http2';
import type { Server } from 'node:net';
import { bound, listening } from '../address.ts';
import { MIN_TLS, renewTls } from '../renew-tls.ts';
import { grpcServer, STREAMS_SHARE } from '../grpc/serve.ts';
import { DEFAULT_LIMITS } from '../h2/limits.ts';
import type { Receiver } from '../exchange.ts';
import { RawSockets, TICK_MS, tlsEvent } from '../raw-sockets.ts';
import type { Listen, TransportOptions } from '../transport.ts';
import { NodeExchange, NodeHead } from './exchange.ts';

export const listenHttp2: Listen = async (methods, options) => {
  const grpc = grpcServer(methods, options);
  const sessions = new Set<ServerHttp2Session>();
  const receivers = new Set<Receiver>();
  const server = serverOf(options);
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
    session.on('close', () => sessions.delete(session));
    const { maxConnectionAgeMs } = options;
    if (maxConnectionAgeMs === undefined) return;
    const timer = setTimeout(() => session.close(), maxConnectionAgeMs * (0.95 + Math.random() / 10));
    session.on('close', () => clearTimeout(timer));
  });
  server.on('stream', (stream, headers, flags) => {
    const exchange = new NodeExchange(stream);
    const receiver = grpc.serve(exchange, new NodeHead(headers), (flags & 1) !== 0);
    exchange.attach(receiver);
    receivers.add(receiver);
    stream.on('close', () => receivers.delete(receiver));
  });
  const raw = new RawSockets(server as Server, tlsEvent(options));
  await listening(server as Server, options);
  const ticking = setInterval(() => {
    const nowMs = performance.now();
    raw.tick(nowMs);
    for (const receiver of receivers) receiver.tick(nowMs);
  }, TICK_MS);
  ticking.unref();

  let drained: Promise<void> | undefined;
  const drain = async (graceMs: number): Promise<void> => {
    const closed = new Promise<void>((resolve) => { server.close(() => resolve()); });
    const timers = [
      setTimeout(() => grpc.endStreams(), graceMs * STREAMS_SHARE),
      setTimeout(() => {
        for (const session of sessions) session.destroy();
        raw.destroy();
      }, graceMs),
    ];
    grpc.drain();
    raw.drain();
    for (const session of sessions) session.close();
    await closed;
    for (const timer of timers) clearTimeout(timer);
    clearInterval(ticking);
  };
  return { ...bound(server as Server, options), drain: (graceMs) => drained ??= drain(graceMs), renewTls: (tls) => renewTls(server as Server, tls) };
};

function serverOf({ tls, limits }: TransportOptions): Http2Server {
  const { maxStreams, maxHeaderListBytes, streamWindowBytes } = { ...DEFAULT_LIMITS, ...limits };
  const settings: ServerOptions = { settings: { maxConcurrentStreams: maxStreams, maxHeaderListSize: maxHeaderListBytes, initialWindowSize: streamWindowBytes, enableConnectProtocol: false } };
  if (tls === undefined) return createServer(settings);
  return createSecureServer({ ...settings, ...tls, minVersion: MIN_TLS, requestCert: tls.ca !== undefined });
}
