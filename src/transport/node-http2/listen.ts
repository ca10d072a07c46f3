/** Node's HTTP/2 (nghttp2): the fallback, and the reference for our own. */
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerOptions,
} from 'node:http2';
import type { Server } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { refusedCertificate, tlsSettings } from '../tls.ts';
import { grpcServer } from '../grpc/serve.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { Receiver } from '../exchange.ts';
import { MAX_AFTER_AGE_MS, peerText } from '../raw-sockets.ts';
import { runServer } from '../run-server.ts';
import type { Listen, TransportOptions } from '../transport.ts';
import { NodeExchange, NodeHead } from './exchange.ts';

export const listenHttp2: Listen = async (methods, options) => {
  const grpc = grpcServer(methods, options);
  /** The open streams of each. */
  const sessions = new Map<ServerHttp2Session, Set<Receiver>>();
  let isDraining = false;
  const server = serverOf(options);
  server.on('session', (session) => {
    session.on('error', () => {});
    const why = session.encrypted === true ? refusedCertificate(session.socket as TLSSocket) : undefined;
    if (why !== undefined) {
      options.onStranger?.({ kind: 'handshake', peer: peerText(session.socket), why });
      return session.destroy();
    }
    const receivers = new Set<Receiver>();
    sessions.set(session, receivers);
    session.on('close', () => sessions.delete(session));
    if (isDraining) return session.close();
    const { maxConnectionAgeMs } = options;
    if (maxConnectionAgeMs === undefined) return;
    const ageMs = maxConnectionAgeMs * (0.95 + Math.random() / 10);
    let timer = setTimeout(() => {
      session.close();
      for (const receiver of receivers) receiver.drain();
      timer = setTimeout(() => session.destroy(), Math.min(maxConnectionAgeMs, MAX_AFTER_AGE_MS));
    }, ageMs);
    session.on('close', () => clearTimeout(timer));
  });
  server.on('stream', (stream, headers, flags) => {
    const exchange = new NodeExchange(stream);
    const receiver = grpc.serve(exchange, new NodeHead(headers), (flags & 1) !== 0);
    exchange.attach(receiver);
    const receivers = stream.session === undefined ? undefined : sessions.get(stream.session as ServerHttp2Session);
    receivers?.add(receiver);
    stream.on('close', () => receivers?.delete(receiver));
  });
  return runServer(server as Server, options, grpc, {
    tick: (nowMs) => {
      for (const receivers of sessions.values()) for (const receiver of receivers) receiver.tick(nowMs);
    },
    drain: () => {
      isDraining = true;
      for (const session of sessions.keys()) session.close();
    },
    finishDrain: () => {}, // a closed session refuses new streams
    destroy: () => {
      for (const session of sessions.keys()) session.destroy();
    },
  });
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
  return createSecureServer({ ...settings, ...tlsSettings(tls) });
}
