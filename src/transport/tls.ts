import type { Server } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import type { TlsOptions, TransportOptions } from './transport.ts';

export const MIN_TLS = 'TLSv1.2';

/** Uses this certificate for new connections. Throws and changes nothing if certificate and key do not match. */
export function renewTls(server: Server, tls: TlsOptions): void {
  if (!('setSecureContext' in server)) throw new Error('this server uses cleartext and has no certificate to renew');
  (server as TlsServer).setSecureContext({ ...tls, minVersion: MIN_TLS });
}

/** The event by which a server hands out a socket after its TLS handshake; `undefined` in cleartext. */
export const tlsEvent = ({ tls }: TransportOptions): 'secureConnection' | undefined =>
  tls === undefined ? undefined : 'secureConnection';
