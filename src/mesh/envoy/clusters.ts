/**
 * **In**: the services that a proxy sees, and the rules for them. **Out**: its clusters, and their endpoints. **Fails**: never.
 */
import { isIPv6 } from 'node:net';
import { CLUSTER, ENDPOINTS } from '../../xds/index.ts';
import { originText, type Origin, type Resolution, type Service } from '../model/model.ts';
import type { PortPolicy } from '../rules/destination-rule.ts';
import type { LocalityLbSetting } from '../rules/locality.ts';
import { isIntercepted } from '../resolve/interception.ts';
import { type LocalityGroup, localityGroups } from '../resolve/locality-groups.ts';
import type { Member } from '../resolve/proxy.ts';
import type { Scope } from '../resolve/scope.ts';
import { policyFor, withDefaults } from '../resolve/traffic-policy.ts';
import { namedByCalls } from './client-tls.ts';
import {
  circuitBreakers,
  httpProtocol,
  keepalive,
  lbPolicy,
  outlierDetection,
  protocolOptions,
} from './connection-policy.ts';
import { type EndpointAt, endpointsOf, loadAssignment } from './endpoints.ts';
import { type Made, made } from './made.ts';
import { type Upstream, upstreamTls } from './mutual-tls.ts';
import { withClientAddress } from './proxy-protocol.ts';
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
      const policy = withDefaults(policyFor(rule?.spec, port.number, subset), service, scope.mesh.settings);
      const name = outboundCluster(port.number, subset?.name, service.host);
      const own = endpointsOf(scope, service, port, subset);
      const near = nearestFirst(own, policy, scope);
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
      if (typeof tls === 'string') {
        clusters.push(made(CLUSTER, { ...blackHole(), name, metadata: refused(origin, tls) }, originText(origin)));
        continue;
      }
      clusters.push(
        made(
          CLUSTER,
          outbound(
            name,
            to,
            whereOf(discovery, scope.member, own),
            policy,
            near,
            origin,
            withClientAddress(tls, policy),
          ),
          originText(origin),
        ),
      );
      if (discovery === 'endpoints')
        endpoints.push(made(ENDPOINTS, loadAssignment(name, near.groups, near.isWeighted), originText(service.origin)));
    }
  }
  return { clusters, endpoints };
}

interface Located {
  readonly groups: readonly LocalityGroup<EndpointAt>[];
  /** Localities have shares; without, Envoy spreads calls over the endpoints of one priority. */
  readonly isWeighted: boolean;
}

function nearestFirst(endpoints: readonly EndpointAt[], policy: PortPolicy, { mesh, member }: Scope): Located {
  const asked = policy.loadBalancer?.localityLbSetting ?? mesh.settings.localityLb ?? NEAREST;
  const setting = asked.enabled === false ? undefined : asked;
  const ejectsOutliers = policy.outlierDetection !== undefined;
  return {
    groups: localityGroups(endpoints, { member, setting, ejectsOutliers }),
    isWeighted:
      setting !== undefined &&
      (setting.distribute.length > 0 ||
        (ejectsOutliers && setting.failover.length + setting.failoverPriority.length > 0)),
  };
}

const NEAREST: LocalityLbSetting = { distribute: [], failover: [], failoverPriority: [] };

/** As the service says, but for those whose clients choose an endpoint by its address; only intercepted calls still have it. */
function discoveryOf({ resolution, isHeadless }: Service, { loadBalancer }: PortPolicy, member: Member): Resolution {
  if (loadBalancer?.simple === 'PASSTHROUGH' || (isHeadless && isIntercepted(member))) return 'original';
  return resolution === 'original' && member.type === 'router' ? 'endpoints' : resolution;
}

const blackHole = (): Json => ({ name: BLACK_HOLE, type: 'STATIC', connect_timeout: seconds(CONNECT_MS) });

/** For dumps: why it leads nowhere. */
const refused = (origin: Origin, why: string): Json => ({
  filter_metadata: { ...(madeOf(origin)['filter_metadata'] as Json), sluice: { refused: why } },
});

const passthrough = (): Json => ({
  name: PASSTHROUGH,
  connect_timeout: seconds(CONNECT_MS),
  ...ORIGINAL_DESTINATION,
  circuit_breakers: circuitBreakers({}),
  typed_extension_protocol_options: ANY_HTTP,
});

type Where = Exclude<Resolution, 'dns' | 'dns-first'> | Json;

/** Addresses of the proxy's own family: it may have no route to others. */
const whereOf = (discovery: Resolution, { address }: Member, endpoints: readonly EndpointAt[]): Where =>
  discovery === 'dns' || discovery === 'dns-first'
    ? {
        type: discovery === 'dns-first' && endpoints.length === 1 ? 'LOGICAL_DNS' : 'STRICT_DNS', // of one name alone
        dns_lookup_family: isIPv6(address) ? 'V6_ONLY' : 'V4_ONLY',
        dns_refresh_rate: seconds(60_000),
        respect_dns_ttl: true,
      }
    : discovery;

function outbound(
  name: string,
  to: Upstream,
  where: Where,
  policy: PortPolicy,
  { groups, isWeighted }: Located,
  origin: Origin,
  tls: Json,
): Json {
  const { connectionPool: pool } = policy;
  return compact({
    name,
    connect_timeout: seconds(pool?.tcp?.connectTimeout ?? CONNECT_MS),
    ...(where === 'original'
      ? ORIGINAL_DESTINATION
      : where !== 'endpoints'
        ? { ...where, load_assignment: loadAssignment(name, groups, isWeighted), ...lbPolicy(policy) }
        : { type: 'EDS', eds_cluster_config: { eds_config: FROM_ADS, service_name: name }, ...lbPolicy(policy) }),
    circuit_breakers: circuitBreakers(policy),
    outlier_detection: outlierDetection(policy),
    common_lb_config: compact({
      healthy_panic_threshold: { value: policy.outlierDetection?.minHealthPercent ?? 0 },
      locality_weighted_lb_config: isWeighted && where !== 'original' ? {} : undefined,
    }),
    upstream_connection_options: keepalive(policy),
    typed_extension_protocol_options: protocolOptions(to.port, policy, namedByCalls(to, policy.tls)),
    ...tls,
    metadata: madeOf(origin),
  });
}
