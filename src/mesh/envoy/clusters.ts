/**
 * **In**: the services that a proxy sees, and the rules for them. **Out**: its clusters, and their endpoints. **Fails**: never.
 */
import { CLUSTER, ENDPOINTS } from '../../xds/index.ts';
import { originText, type Origin, type Resolution, type Service } from '../model/model.ts';
import type { PortPolicy } from '../rules/destination-rule.ts';
import { isIntercepted } from '../resolve/interception.ts';
import type { Member } from '../resolve/proxy.ts';
import type { Scope } from '../resolve/scope.ts';
import { policyFor } from '../resolve/traffic-policy.ts';
import {
  circuitBreakers,
  httpProtocol,
  keepalive,
  lbPolicy,
  outlierDetection,
  protocolOptions,
} from './connection-policy.ts';
import { endpointsOf, loadAssignment } from './endpoints.ts';
import { type Made, made } from './made.ts';
import { type Upstream, upstreamTls } from './mutual-tls.ts';
import { BLACK_HOLE, outboundCluster, PASSTHROUGH } from './names.ts';
import { ANY_HTTP, compact, CONNECT_MS, FROM_ADS, type Json, madeOf, ORIGINAL_DESTINATION, seconds } from './parts.ts';

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
      const discovery = discoveryOf(service, policy, scope.member);
      const to: Upstream = {
        service,
        port,
        subset: subset?.name,
        endpoints: own,
        isByAddress: discovery === 'original',
        alpn: httpProtocol(port, policy),
      };
      const tls = upstreamTls(to, policy.tls, scope);
      if (tls === undefined) {
        clusters.push(made(CLUSTER, { ...blackHole(), name, metadata: madeOf(origin) }, originText(origin)));
        continue;
      }
      clusters.push(made(CLUSTER, outbound(name, to, discovery, policy, origin, tls), originText(origin)));
      if (discovery === 'endpoints')
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
  { port, endpoints }: Upstream,
  discovery: Resolution,
  policy: PortPolicy,
  origin: Origin,
  tls: Json,
): Json {
  const { connectionPool: pool } = policy;
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
    ...tls,
    metadata: madeOf(origin),
  });
}
