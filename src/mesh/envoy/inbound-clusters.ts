/**
 * The clusters of a proxy's own application.
 * **In**: what a proxy sees of the mesh. **Out**: a cluster for each inbound port. **Fails**: never.
 *
 * Intercepted calls go on to the address that they were for, as with today's Istio. Under the rules of Istio 1.0 they would come back from
 * there; they arrive at other listeners, whose clusters lead to 127.0.0.1.
 */
import { CLUSTER } from '../../xds/index.ts';
import { originText } from '../model/model.ts';
import { type InboundPort, inboundPorts } from '../resolve/inbound-ports.ts';
import { innerSourceOf, isIntercepted, loopbackOf } from '../resolve/interception.ts';
import type { Member } from '../resolve/proxy.ts';
import type { Scope } from '../resolve/scope.ts';
import { policyFor, withDefaults } from '../resolve/traffic-policy.ts';
import type { PortPolicy } from '../rules/destination-rule.ts';
import { circuitBreakers, keepalive, protocolOptions } from './connection-policy.ts';
import { addressOf } from './endpoints.ts';
import { type Made, made } from './made.ts';
import { INBOUND_PASSTHROUGH, inboundCluster } from './names.ts';
import { ANY_HTTP, compact, CONNECT_MS, type Json, ORIGINAL_DESTINATION, seconds } from './parts.ts';

export function inboundClusters(scope: Scope): readonly Made[] {
  const { member } = scope;
  const clusters = inboundPorts(scope).flatMap((port) => {
    const common = commonOf(port, scope);
    const named = (name: string, where: Json): Made =>
      made(CLUSTER, compact({ name, ...where, ...common }), originText(port.origin));
    const at = endpointOf(port, scope);
    const [name, oldName] = [inboundCluster(port.number), oldInboundCluster(port, scope)];
    const now = named(
      name,
      at === undefined ? { ...ORIGINAL_DESTINATION, ...fromInside(member) } : staticAt(name, at, member),
    );
    if (!isIntercepted(member) || oldName === name) return [now];
    return [
      now,
      named(oldName, staticAt(oldName, { address: loopbackOf(member), port: at?.port ?? port.number }, member)),
    ];
  });
  return isIntercepted(member) ? [...clusters, made(CLUSTER, passthrough(member))] : clusters;
}

/** The cluster of calls under the rules of Istio 1.0; that of today's where it does not lead out of the loopback interface. */
export function oldInboundCluster(port: InboundPort, scope: Scope): string {
  const { member } = scope;
  const at = endpointOf(port, scope);
  if (at !== undefined && !isOwnAddress(at, member)) return inboundCluster(port.number);
  const { target, origin } = port;
  return target === undefined
    ? inboundCluster(port.number, `${origin.name}.${origin.namespace}`)
    : inboundCluster(target.port.number, target.service.host);
}

interface At {
  readonly address: string;
  /** 0 of a unix socket. */
  readonly port: number;
}

const isOwnAddress = ({ address }: At, member: Member): boolean => address === member.address;

/** `undefined`: the address that the call was for. */
function endpointOf({ endpoint, number, isBound }: InboundPort, { mesh, member }: Scope): At | undefined {
  const isLocal = isBound || mesh.settings.inbound === 'LOCALHOST';
  if (endpoint === undefined) return isLocal ? { address: loopbackOf(member), port: number } : undefined;
  if (endpoint.startsWith('unix://')) return { address: endpoint, port: 0 };
  const colon = endpoint.lastIndexOf(':');
  const [host, port] = [endpoint.slice(0, colon).replace(/^\[|\]$/g, ''), Number(endpoint.slice(colon + 1))];
  return { address: host === '0.0.0.0' || host === '::' ? member.address : host, port };
}

/** Ports that no service has. */
const passthrough = (member: Member): Json => ({
  name: INBOUND_PASSTHROUGH,
  connect_timeout: seconds(CONNECT_MS),
  ...ORIGINAL_DESTINATION,
  ...fromInside(member),
  circuit_breakers: circuitBreakers({}),
  typed_extension_protocol_options: ANY_HTTP,
});

const fromInside = (member: Member): Json => ({
  upstream_bind_config: { source_address: { address: innerSourceOf(member), port_value: 0 } },
});

/** The name of a local application is stable, since a chain that names a new cluster would answer 503 while it warms. */
const staticAt = (name: string, at: At, member: Member): Json => ({
  type: 'STATIC',
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: addressOf(at.address, at.port) } }] }],
  },
  ...(isOwnAddress(at, member) && isIntercepted(member) ? fromInside(member) : {}),
});

/** A server takes as many connections and requests as its Sidecar says, or else as the rule of its service lets clients send. */
function commonOf({ number, protocol, target }: InboundPort, scope: Scope): Json {
  const { ingress = [], inboundConnectionPool } = scope.sidecar?.spec ?? {};
  const pool =
    ingress.find(({ port }) => port.number === number)?.connectionPool ??
    inboundConnectionPool ??
    (target === undefined
      ? undefined
      : withDefaults(
          policyFor(scope.inboundRule(target.service.host)?.spec, target.port.number),
          target.service,
          scope.mesh.settings,
        ).connectionPool);
  const policy: PortPolicy = {
    connectionPool:
      pool === undefined
        ? undefined
        : { ...pool, http: pool.http && { ...pool.http, h2UpgradePolicy: undefined, useClientProtocol: undefined } },
  };
  return compact({
    connect_timeout: seconds(pool?.tcp?.connectTimeout ?? CONNECT_MS),
    circuit_breakers: circuitBreakers(policy),
    upstream_connection_options: keepalive(policy),
    typed_extension_protocol_options: protocolOptions({ protocol }, policy),
  });
}
