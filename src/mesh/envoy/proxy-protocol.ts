/**
 * Connections that begin with the address of their client (PROXY protocol).
 * **In**: the fields of a cluster that say how its connections are encrypted. **Out**: the same within this protocol, if the policy has it.
 * **Fails**: never.
 */
import type { PortPolicy } from '../rules/destination-rule.ts';
import { RAW_BUFFER } from './mutual-tls.ts';
import { any, type Json } from './parts.ts';

const TRANSPORT = 'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport';

export function withClientAddress(sockets: Json, { proxyProtocol }: PortPolicy): Json {
  if (proxyProtocol === undefined) return sockets;
  const within = (socket: unknown): Json => ({
    name: 'envoy.transport_sockets.upstream_proxy_protocol',
    typed_config: any(TRANSPORT, { config: { version: proxyProtocol.version }, transport_socket: socket as Json }),
  });
  const { transport_socket_matches: matches } = sockets;
  if (!Array.isArray(matches))
    return { ...sockets, transport_socket: within(sockets['transport_socket'] ?? RAW_BUFFER) };
  return {
    ...sockets,
    transport_socket_matches: (matches as readonly Json[]).map((one) => ({
      ...one,
      transport_socket: within(one['transport_socket']),
    })),
  };
}
