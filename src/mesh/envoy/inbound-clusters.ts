/**
 * The clusters of a proxy's own application.
 * **In**: what a proxy sees of the mesh. **Out**: a cluster for each inbound port. **Fails**: never.
 */
import { originText } from '../model/model.ts';
import type { Scope } from '../resolve/scope.ts';
import { CLUSTER } from '../../xds/index.ts';
import { circuitBreakers, HTTP2 } from './connection-policy.ts';
import { addressOf } from './endpoints.ts';
import { type Made, made } from './made.ts';
import { inboundCluster } from './names.ts';
import { compact, CONNECT_MS, httpOptions, type Json, seconds } from './parts.ts';

export function inboundClusters({ sidecar }: Scope): readonly Made[] {
  if (sidecar === undefined) return [];
  return sidecar.spec.ingress.map(({ port, defaultEndpoint }) =>
    made(CLUSTER, inbound(port.number, port.protocol, defaultEndpoint), originText(sidecar.origin)),
  );
}

/** The name of a local application is stable, since a chain that names a new cluster would answer 503 while it warms. */
function inbound(port: number, protocol: string, endpoint: string | undefined): Json {
  const name = inboundCluster(port);
  const at = endpoint ?? `127.0.0.1:${port}`;
  const colon = at.lastIndexOf(':');
  const own = at.startsWith('unix://')
    ? { address: at, port: 0 }
    : { address: at.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(at.slice(colon + 1)) };
  return compact({
    name,
    type: 'STATIC',
    connect_timeout: seconds(CONNECT_MS),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: addressOf(own.address, own.port) } }] }],
    },
    circuit_breakers: circuitBreakers({}),
    typed_extension_protocol_options:
      protocol === 'HTTP2' || protocol === 'GRPC'
        ? httpOptions({ explicit_http_config: { http2_protocol_options: HTTP2 } })
        : undefined,
  });
}
