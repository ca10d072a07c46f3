/** Our own HTTP/2 on Node's sockets, cleartext (prior knowledge) or TLS. */
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { bound, listening } from '../address.ts';
import { MIN_TLS, renewTls, tlsEvent } from '../tls.ts';
import { grpcServer, STREAMS_SHARE } from '../grpc/serve.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { peerText, RawSockets, TICK_MS } from '../raw-sockets.ts';
import type { Listen, Transport, TransportOptions } from '../transport.ts';
import { SocketConnection } from './socket-connection.ts';
import { reportStranger } from './strangers.ts';

/** How long a peer may take to acknowledge the drain. */
const ANNOUNCE_MS = 500;

export const listen: Listen = async (methods, options) => {
  const grpc = grpcServer(methods, options);
  const connections = new Set<SocketConnection>();
  const take = (socket: Socket): void => {
    const connection = new SocketConnection(socket, {
      serve: grpc.serve,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      onFault: (error) => options.onFault('HTTP/2', error),
      onClose: () => connections.delete(connection),
      ...(options.maxConnectionAgeMs === undefined ? {} : { maxAgeMs: options.maxConnectionAgeMs }),
    });
    connections.add(connection);
    if (options.onStranger !== undefined && options.tls === undefined)
      reportStranger(socket, connection.peer, options.onStranger);
  };
  const server = serverOf(options, take);
  const raw = new RawSockets(server, tlsEvent(options), options.onStranger);
  await listening(server, options);
  const ticking = setInterval(() => {
    const nowMs = performance.now();
    raw.tick(nowMs);
    for (const connection of connections) connection.tick(nowMs);
  }, TICK_MS);
  ticking.unref();

  let drained: Promise<void> | undefined;
  const drain = async (graceMs: number): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    const timers = [
      setTimeout(
        () => {
          for (const connection of connections) connection.finishDrain();
        },
        Math.min(ANNOUNCE_MS, graceMs / 2),
      ),
      setTimeout(() => grpc.endStreams(), graceMs * STREAMS_SHARE),
      setTimeout(() => raw.destroy(), graceMs),
    ];
    grpc.drain();
    raw.drain();
    for (const connection of connections) connection.drain();
    await closed;
    for (const timer of timers) clearTimeout(timer);
    clearInterval(ticking);
  };
  const transport: Transport = {
    ...bound(server, options),
    drain: (graceMs) => (drained ??= drain(graceMs)),
    renewTls: (tls) => renewTls(server, tls),
  };
  return transport;
};

function serverOf({ tls, onStranger }: TransportOptions, take: (socket: Socket) => void): Server {
  if (tls === undefined) return createServer({ noDelay: true }, take);
  return createTlsServer(
    { noDelay: true, ALPNProtocols: ['h2'], minVersion: MIN_TLS, ...tls, requestCert: tls.ca !== undefined },
    (socket: TLSSocket) => {
      if (socket.alpnProtocol === 'h2') return take(socket);
      onStranger?.({ kind: 'handshake', peer: peerText(socket), why: 'the client does not offer h2 by ALPN' });
      socket.destroy();
    },
  );
}
