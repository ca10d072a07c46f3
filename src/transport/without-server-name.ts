import type { ConnectionOptions } from 'node:tls';
import type { ChannelCredentials } from '@grpc/grpc-js';

/**
 * Credentials for a server whose name is an IP address: grpc-js would put it into the handshake (SNI), which RFC 6066 forbids and Node
 * warns of (DEP0123). The certificate is still verified to be for that address.
 */
export function withoutServerName(made: ChannelCredentials): ChannelCredentials {
  const create = made._createSecureConnector.bind(made);
  made._createSecureConnector = (...args) => {
    const connector: { connectionOptions?: ConnectionOptions } & ReturnType<typeof create> = create(...args);
    if (connector.connectionOptions !== undefined) connector.connectionOptions.servername = '';
    return connector;
  };
  return made;
}
