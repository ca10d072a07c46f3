import type { Server } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import type { TlsOptions } from './transport.ts';

export const MIN_TLS = 'TLSv1.2';

/** For new connections. Throws where it is no certificate and its key: then nothing changes. */
export function renewTls(server: Server, tls: TlsOptions): void {
  if (!('setSecureContext' in server)) throw new Error('this server speaks cleartext: it has no certificate to renew');
  (server as TlsServer).setSecureContext({ ...tls, minVersion: MIN_TLS });
}
