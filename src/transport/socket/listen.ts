/** Our own HTTP/2 on Node's sockets, cleartext (prior knowledge) or TLS. */
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { refusedCertificate, tlsSettings } from '../tls.ts';
import { grpcServer } from '../grpc/serve.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { peerText } from '../raw-sockets.ts';
import { runServer } from '../run-server.ts';
import type { Listen, TransportOptions } from '../transport.ts';
import { SocketConnection } from './socket-connection.ts';
import { strangerKind } from './strangers.ts';

export const listen: Listen = async (methods, options) => {
  const grpc = grpcServer(methods, options);
  const connections = new Set<SocketConnection>();
  let isDraining = false;
  const take = (socket: Socket): void => {
    const connection = new SocketConnection(socket, {
      serve: grpc.serve,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      onFault: (error) => options.onFault('HTTP/2', error),
      onClose: () => connections.delete(connection),
      ...(options.maxConnectionAgeMs === undefined ? {} : { maxAgeMs: options.maxConnectionAgeMs }),
      onFirstBytes: (first, peer) => {
        const kind = options.tls === undefined ? strangerKind(first) : undefined;
        if (kind !== undefined) options.onStranger?.({ kind, peer });
      },
    });
    connections.add(connection);
    if (isDraining) connection.drain();
  };
  return runServer(serverOf(options, take), options, grpc, {
    tick: (nowMs) => {
      for (const connection of connections) connection.tick(nowMs);
    },
    drain: () => {
      isDraining = true;
      for (const connection of connections) connection.drain();
    },
    finishDrain: () => {
      for (const connection of connections) connection.finishDrain();
    },
    destroy: () => {
      for (const connection of connections) connection.destroy();
    },
  });
};

function serverOf({ tls, onStranger }: TransportOptions, take: (socket: Socket) => void): Server {
  if (tls === undefined) return createServer({ noDelay: true }, take);
  return createTlsServer({ noDelay: true, ALPNProtocols: ['h2'], ...tlsSettings(tls) }, (socket: TLSSocket) => {
    const why = socket.alpnProtocol === 'h2' ? refusedCertificate(socket) : 'the client does not offer h2 by ALPN';
    if (why === undefined) return take(socket);
    onStranger?.({ kind: 'handshake', peer: peerText(socket), why });
    socket.destroy();
  });
}
