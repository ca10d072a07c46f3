/**
 * **In**: the services that a proxy sees, and the rules for them. **Out**: its clusters, and their endpoints. **Fails**: never.
 */
import { CLUSTER, ENDPOINTS } from '../../xds/index.ts';
import { originText, type Origin, type Resolution, type Service, type ServicePort } from '../model/model.ts';
import type { PortPolicy } from '../rules/destination-rule.ts';
import { isIntercepted } from '../resolve/interception.ts';
import type { Member } from '../resolve/proxy.ts';
import type { Scope } from '../resolve/scope.ts';
import { policyFor } from '../resolve/traffic-policy.ts';
import { circuitBreakers, keepalive, lbPolicy, outlierDetection, protocolOptions } from './connection-policy.ts';
import { type EndpointAt, endpointsOf, loadAssignment } from './endpoints.ts';
import { type Made, made } from './made.ts';
import { BLACK_HOLE, outboundCluster, PASSTHROUGH } from './names.ts';
import { ANY_HTTP, compact, CONNECT_MS, FROM_ADS, type Json, madeOf, ORIGINAL_DESTINATION, seconds } from './parts.ts';
import { upstreamSocket } from './tls.ts';

export interface Clusters {
  readonly clusters: readonly Made[];
  readonly endpoints: readonly Made[];
}

/** Of no service. */
export const fixedClusters = (): readonly Made[] => [made(CLUSTER, blackHole()), made(CLUSTER, passthrough())];

/** Of one service that a proxy sees. */
export function serviceClusters(service: Service, scope: Scope): Clusters {
  const clusters: Made[] = [];
  const endpoints: Made[] = [];
  const rule = scope.destinationRule(service.host);
  for (const port of service.ports) {
    if (port.protocol === 'udp') continue;
    for (const subset of [undefined, ...(rule?.spec.subsets ?? [])]) {
      const policy = policyFor(rule?.spec, port.number, subset);
      const name = outboundCluster(port.number, subset?.name, service.host);
      const own = endpointsOf(scope, service, port, subset);
      const origin = rule?.origin ?? service.origin;
      clusters.push(
        made(CLUSTER, outbound(name, service, port, policy, own, origin, scope.member), originText(origin)),
      );
      if (discoveryOf(service, policy, scope.member) === 'endpoints')
        endpoints.push(made(ENDPOINTS, loadAssignment(name, own), originText(service.origin)));
    }
  }
  return { clusters, endpoints };
}

/** As the service says, but for those whose clients choose an endpoint by its address; only intercepted calls still have it. */
function discoveryOf({ resolution, isHeadless }: Service, { loadBalancer }: PortPolicy, member: Member): Resolution {
  if (loadBalancer?.simple === 'PASSTHROUGH' || (isHeadless && isIntercepted(member))) return 'original';
  return resolution === 'original' && member.type === 'router' ? 'endpoints' : resolution;
}

const blackHole = (): Json => ({ name: BLACK_HOLE, type: 'STATIC', connect_timeout: seconds(CONNECT_MS) });
const passthrough = (): Json => ({
  name: PASSTHROUGH,
  connect_timeout: seconds(CONNECT_MS),
  ...ORIGINAL_DESTINATION,
  typed_extension_protocol_options: ANY_HTTP,
});

function outbound(
  name: string,
  service: Service,
  port: ServicePort,
  policy: PortPolicy,
  endpoints: readonly EndpointAt[],
  origin: Origin,
  member: Member,
): Json {
  const { connectionPool: pool } = policy;
  const discovery = discoveryOf(service, policy, member);
  return compact({
    name,
    connect_timeout: seconds(pool?.tcp?.connectTimeout ?? CONNECT_MS),
    ...(discovery === 'original'
      ? ORIGINAL_DESTINATION
      : discovery === 'dns'
        ? { type: 'STRICT_DNS', load_assignment: loadAssignment(name, endpoints), ...lbPolicy(policy) }
        : { type: 'EDS', eds_cluster_config: { eds_config: FROM_ADS, service_name: name }, ...lbPolicy(policy) }),
    circuit_breakers: circuitBreakers(policy),
    outlier_detection: outlierDetection(policy),
    common_lb_config: { healthy_panic_threshold: { value: policy.outlierDetection?.minHealthPercent ?? 0 } },
    upstream_connection_options: keepalive(policy),
    typed_extension_protocol_options: protocolOptions(port, policy),
    transport_socket: upstreamSocket(service.host, port, policy),
    metadata: madeOf(origin),
  });
}
