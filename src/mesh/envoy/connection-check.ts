/**
 * The check of connections that are no HTTP.
 * **In**: a filter chain of a server. **Out**: the same, which asks Sluice first. **Fails**: never; what cannot be asked about is closed.
 */
import { CONTEXT_HEADER, contextHeader } from '../../text/context-header.ts';
import type { Scope } from '../resolve/scope.ts';
import { callFacts, sluiceService } from './http-manager.ts';
import { tcpChain } from './listener.ts';
import { BLACK_HOLE } from './names.ts';
import { any, type Json } from './parts.ts';

const EXT_AUTHZ = 'envoy.extensions.filters.network.ext_authz.v3.ExtAuthz';

/** Sluice takes 16 KB of headers; Envoy refuses a listener that has a longer one. */
const MAX_HEADER_BYTES = 15 * 1024;

/** `port`: at which the workload is called; 0 is any without a service. */
export function checkedChain(chain: Json, port: number, direction: 'inbound' | 'gateway', scope: Scope): Json {
  const { sluice } = scope.mesh.settings;
  if (sluice === undefined) return chain;
  const value = contextHeader(callFacts(scope, port));
  if (value.length > MAX_HEADER_BYTES) return { ...chain, ...tcpChain(BLACK_HOLE, direction, scope) };
  const { filters, ...others } = chain as { filters: Json[] };
  const filter = {
    name: 'envoy.filters.network.ext_authz',
    typed_config: any(EXT_AUTHZ, {
      stat_prefix: `${direction}_${port}`,
      grpc_service: {
        ...sluiceService(sluice, sluice.checkTimeoutMs),
        initial_metadata: [{ key: CONTEXT_HEADER, value }],
      },
      transport_api_version: 'V3',
      failure_mode_allow: sluice.failOpen,
      include_peer_certificate: true,
      include_tls_session: true,
    }),
  };
  return { ...others, filters: [filter, ...filters] };
}
