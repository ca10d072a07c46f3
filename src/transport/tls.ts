import type { Server } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import type { TlsOptions, TransportOptions } from './transport.ts';

export const MIN_TLS = 'TLSv1.2';

/** The settings of a server of node:tls. */
export const tlsSettings = (tls: TlsOptions) =>
  ({
    ...tls,
    minVersion: MIN_TLS,
    requestCert: tls.ca !== undefined,
    // Node has no mode that refuses a bad certificate and takes none; `refusedCertificate` completes this one.
    rejectUnauthorized: tls.clientCertificate !== 'optional',
  }) as const;

/** Why the certificate of a client does not verify; `undefined` if it does, or if the client has none. */
export function refusedCertificate(socket: TLSSocket): string | undefined {
  if (socket.authorized || socket.getPeerX509Certificate() === undefined) return undefined;
  return `its certificate was rejected: ${String(socket.authorizationError)}`; // a code, whatever its type says
}

/** Uses this certificate for new connections. Throws and changes nothing if certificate and key do not match. */
export function renewTls(server: Server, tls: TlsOptions): void {
  if (!('setSecureContext' in server)) throw new Error('this server uses cleartext and has no certificate to renew');
  (server as TlsServer).setSecureContext({ ...tls, minVersion: MIN_TLS });
}

/** The event by which a server hands out a socket after its TLS handshake; `undefined` in cleartext. */
export const tlsEvent = ({ tls }: TransportOptions): 'secureConnection' | undefined =>
  tls === undefined ? undefined : 'secureConnection';
