import type { Server, Socket } from 'node:net';
import type { TransportOptions } from './transport.ts';

/** How often connections are looked after. */
export const TICK_MS = 1000;
/** How long what is left of a connection may live, at most, once it is drained for its age. */
export const MOST_AFTER_AGE_MS = 60_000;
/** How long a TLS handshake may take, however many octets of it come. */
const HANDSHAKE_MS = 10_000;

/** What a server emits once a socket is ready to be spoken on. */
export const tlsEvent = ({ tls }: TransportOptions): 'secureConnection' | undefined => (tls === undefined ? undefined : 'secureConnection');

/**
 * The sockets of a server, from before their TLS handshake: a server that closes waits for each of them, and nobody else knows those
 * whose handshake never ends.
 */
export class RawSockets {
  readonly #all = new Set<Socket>();
  /** By the address of their peer: those whose handshake is not done, and by when it has to be. Peers at a unix socket have none, and no limit. */
  readonly #handshakes = new Map<string, { readonly socket: Socket; readonly untilMs: number }>();

  constructor(server: Server, secured: 'secureConnection' | undefined) {
    server.on('connection', (socket: Socket) => {
      this.#all.add(socket);
      const peer = peerOf(socket);
      if (secured !== undefined && peer !== undefined) this.#handshakes.set(peer, { socket, untilMs: performance.now() + HANDSHAKE_MS });
      socket.once('close', () => {
        this.#all.delete(socket);
        if (peer !== undefined && this.#handshakes.get(peer)?.socket === socket) this.#handshakes.delete(peer);
      });
    });
    if (secured === undefined) return;
    server.on(secured, (socket: Socket) => void this.#handshakes.delete(peerOf(socket) ?? ''));
    server.on('tlsClientError', (_error, socket: Socket) => socket.destroy());
  }

  tick(nowMs: number): void {
    for (const { socket, untilMs } of this.#handshakes.values()) if (nowMs > untilMs) socket.destroy();
  }

  /** Whoever has not finished its handshake has asked for nothing. */
  drain(): void {
    for (const { socket } of this.#handshakes.values()) socket.destroy();
  }

  destroy(): void {
    for (const socket of this.#all) socket.destroy();
  }
}

const peerOf = ({ remoteAddress, remotePort }: Socket): string | undefined => (remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`);
