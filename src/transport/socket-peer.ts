import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { addressText } from './address.ts';
import type { Peer } from './exchange.ts';

/** The peer of a socket, as it is while the socket is open. */
export class SocketPeer implements Peer {
  readonly address: string;
  readonly #socket: Socket | TLSSocket | undefined;
  /** `null`: not read yet. */
  #certificate: X509Certificate | undefined | null = null;

  constructor(socket: Socket | TLSSocket | undefined) {
    const { remoteAddress = 'unix:', remotePort = 0 } = socket ?? {};
    this.address = addressText({ host: remoteAddress, port: remotePort });
    this.#socket = socket;
  }

  get certificate(): X509Certificate | undefined {
    if (this.#certificate === null) this.#certificate = certificateOf(this.#socket);
    return this.#certificate;
  }
}

function certificateOf(socket: Socket | TLSSocket | undefined): X509Certificate | undefined {
  try {
    // A session that was resumed without a certificate is authorized too, and has none.
    const { authorized } = (socket ?? {}) as { readonly authorized?: boolean };
    return authorized === true ? (socket as TLSSocket).getPeerX509Certificate() : undefined;
  } catch {
    return undefined; // node:http2 throws for the socket of a closed session
  }
}
