import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { addressText } from './address.ts';
import type { Stranger } from './transport.ts';

/** Longest drain of a connection that has reached its maximum age. */
export const MAX_AFTER_AGE_MS = 60_000;
/** Timeout of a TLS handshake, however many bytes of it arrive. */
const HANDSHAKE_MS = 10_000;

/**
 * All sockets of a server, including those in their TLS handshake: a closing server waits for each socket, and only this class knows the
 * ones whose handshake never ends.
 */
export class RawSockets {
  readonly #all = new Set<Socket>();
  /** Sockets in their handshake with its deadline, by the address of the peer. Peers at a unix socket have neither. */
  readonly #handshakes = new Map<string, { readonly socket: Socket; readonly untilMs: number }>();

  /** Sockets closed during their handshake; by the time the TLS socket reports it, it no longer knows its peer. */
  readonly #cut: { readonly peer: string | undefined; readonly hasSpoken: boolean }[] = [];
  #isDraining = false;
  #isDestroyed = false;

  constructor(server: Server, secured: 'secureConnection' | undefined, onStranger?: (stranger: Stranger) => void) {
    server.on('connection', (socket: Socket) => {
      if (this.#isDestroyed) return void socket.destroy();
      this.#all.add(socket);
      const peer = peerOf(socket);
      const shown = secured === undefined ? undefined : peerText(socket);
      if (secured !== undefined && peer !== undefined)
        this.#handshakes.set(peer, { socket, untilMs: performance.now() + HANDSHAKE_MS });
      socket.once('close', () => {
        this.#all.delete(socket);
        if (peer === undefined || this.#handshakes.get(peer)?.socket !== socket) return;
        this.#handshakes.delete(peer);
        if (onStranger !== undefined) this.#wasCut(shown, socket.bytesRead > 0);
      });
    });
    if (secured === undefined) return;
    server.on(secured, (socket: Socket) => void this.#handshakes.delete(peerOf(socket) ?? ''));
    server.on('tlsClientError', (error: TlsFailure, socket: TLSSocket) => {
      const stranger = onStranger === undefined || this.#isDraining ? undefined : this.#strangerOf(error, socket);
      socket.destroy();
      if (stranger !== undefined) onStranger?.(stranger);
    });
  }

  /** The TLS socket reports it within this turn of the event loop, or never. */
  #wasCut(peer: string | undefined, hasSpoken: boolean): void {
    const cut = { peer, hasSpoken };
    this.#cut.push(cut);
    setImmediate(() => {
      const at = this.#cut.indexOf(cut);
      if (at >= 0) this.#cut.splice(at, 1);
    });
  }

  #strangerOf({ code, reason, message }: TlsFailure, socket: TLSSocket): Stranger | undefined {
    const refusal = socket.authorizationError as Error | string | null | undefined; // a code, whatever its type says
    const cut = code === 'ECONNRESET' ? this.#cut.shift() : undefined;
    if (cut?.hasSpoken === false) return undefined;
    const peer = cut?.peer ?? peerText(socket);
    if (code !== undefined && OF_CLEARTEXT.has(code)) return { kind: 'cleartext', peer };
    return {
      kind: 'handshake',
      peer,
      why:
        refusal === null || refusal === undefined
          ? (reason ?? message)
          : `its certificate was rejected: ${String(refusal)}`,
    };
  }

  tick(nowMs: number): void {
    for (const { socket, untilMs } of this.#handshakes.values()) if (nowMs > untilMs) socket.destroy();
  }

  /** Ends the handshakes; a client that has not finished its own has sent no calls. */
  drain(): void {
    this.#isDraining = true;
    for (const { socket } of this.#handshakes.values()) socket.destroy();
  }

  /** And sockets that are accepted later. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const socket of this.#all) socket.destroy();
  }
}

type TlsFailure = Error & { readonly code?: string; /** In OpenSSL's words. */ readonly reason?: string };

/** OpenSSL's codes for a first byte that is not TLS. */
const OF_CLEARTEXT: ReadonlySet<string> = new Set([
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
  'ERR_SSL_WRONG_VERSION_NUMBER',
]);

/** `undefined` once the socket is closed, and at a unix socket. */
export const peerText = ({ remoteAddress, remotePort }: Socket): string | undefined =>
  remoteAddress === undefined || remotePort === undefined
    ? undefined
    : addressText({ host: remoteAddress, port: remotePort });

const peerOf = ({ remoteAddress, remotePort }: Socket): string | undefined =>
  remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`;
