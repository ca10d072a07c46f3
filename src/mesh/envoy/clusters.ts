/**
 * **In**: the services that a proxy sees, and the rules for them. **Out**: its clusters, and their endpoints. **Fails**: never.
 */
import { CLUSTER, ENDPOINTS } from '../../xds/index.ts';
import { hasLabels } from '../model/mesh.ts';
import {
  type Endpoint,
  isHttp,
  isHttp2,
  originText,
  type Origin,
  type Service,
  type ServicePort,
} from '../model/model.ts';
import type { PortPolicy, Subset } from '../rules/destination-rule.ts';
import type { Scope } from '../resolve/scope.ts';
import { policyFor } from '../resolve/traffic-policy.ts';
import { type Made, made } from './made.ts';
import { BLACK_HOLE, inboundCluster, outboundCluster, PASSTHROUGH } from './names.ts';
import { compact, FROM_ADS, httpOptions, type Json, madeOf, seconds, socketAddress } from './parts.ts';
import { upstreamSocket } from './tls.ts';

const CONNECT_MS = 10_000;
const NO_LIMIT = 4_294_967_295;

export function clustersOf(scope: Scope): { readonly clusters: readonly Made[]; readonly endpoints: readonly Made[] } {
  const clusters: Made[] = [made(CLUSTER, blackHole()), made(CLUSTER, passthrough())];
  const endpoints: Made[] = [];
  for (const service of scope.services.values()) {
    const rule = scope.destinationRule(service.host);
    for (const port of service.ports) {
      if (port.protocol === 'udp') continue;
      for (const subset of [undefined, ...(rule?.spec.subsets ?? [])]) {
        const policy = policyFor(rule?.spec, port.number, subset);
        const name = outboundCluster(port.number, subset?.name, service.host);
        const own = endpointsOf(scope, service, port, subset);
        const origin = rule?.origin ?? service.origin;
        clusters.push(made(CLUSTER, outbound(name, service, port, policy, own, origin), originText(origin)));
        if (isByEndpoints(service, policy))
          endpoints.push(made(ENDPOINTS, loadAssignment(name, own), originText(service.origin)));
      }
    }
  }
  for (const { port, defaultEndpoint } of scope.sidecar?.spec.ingress ?? [])
    clusters.push(
      made(
        CLUSTER,
        inbound(port.number, port.protocol, defaultEndpoint),
        originText((scope.sidecar as { origin: Origin }).origin),
      ),
    );
  return { clusters, endpoints };
}

const isByEndpoints = ({ resolution }: Service, { loadBalancer }: PortPolicy): boolean =>
  resolution === 'endpoints' && loadBalancer?.simple !== 'PASSTHROUGH';

function endpointsOf(
  { mesh }: Scope,
  { host }: Service,
  { number }: ServicePort,
  subset: Subset | undefined,
): readonly (Endpoint & { readonly port: number })[] {
  return (mesh.endpoints.get(host) ?? []).flatMap((endpoint) => {
    const port = endpoint.ports.get(number);
    return port === undefined || (subset !== undefined && !hasLabels(endpoint.labels, subset.labels))
      ? []
      : [{ ...endpoint, port }];
  });
}

// ---------------------------------------------------------- endpoints

export function loadAssignment(name: string, endpoints: readonly (Endpoint & { readonly port: number })[]): Json {
  const byLocality = Map.groupBy(endpoints, ({ locality = '' }) => locality);
  return {
    cluster_name: name,
    endpoints: [...byLocality]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([locality, own]) =>
        compact({
          locality: localityOf(locality),
          lb_endpoints: own.toSorted(byAddress).map(({ address, port, weight }) =>
            compact({
              endpoint: { address: addressOf(address, port) },
              load_balancing_weight: weight === undefined || weight === 0 ? undefined : weight,
            }),
          ),
        }),
      ),
  };
}

const addressOf = (address: string, port: number): Json =>
  address.startsWith('unix://') ? { pipe: { path: address.slice('unix://'.length) } } : socketAddress(address, port);

const byAddress = (
  a: { readonly address: string; readonly port: number },
  b: { readonly address: string; readonly port: number },
): number => (a.address < b.address ? -1 : Number(a.address > b.address)) || a.port - b.port;

function localityOf(text: string): Json | undefined {
  if (text === '') return undefined;
  const [region = '', zone = '', subZone = ''] = text.split('/');
  return compact({ region, zone: zone === '' ? undefined : zone, sub_zone: subZone === '' ? undefined : subZone });
}

// ---------------------------------------------------------- clusters

const blackHole = (): Json => ({ name: BLACK_HOLE, type: 'STATIC', connect_timeout: seconds(CONNECT_MS) });
const passthrough = (): Json => ({
  name: PASSTHROUGH,
  type: 'ORIGINAL_DST',
  connect_timeout: seconds(CONNECT_MS),
  lb_policy: 'CLUSTER_PROVIDED',
});

function outbound(
  name: string,
  service: Service,
  port: ServicePort,
  policy: PortPolicy,
  endpoints: readonly (Endpoint & { readonly port: number })[],
  origin: Origin,
): Json {
  const { connectionPool: pool, loadBalancer } = policy;
  const isOriginal = service.resolution === 'original' || loadBalancer?.simple === 'PASSTHROUGH';
  return compact({
    name,
    connect_timeout: seconds(pool?.tcp?.connectTimeout ?? CONNECT_MS),
    ...(isOriginal
      ? { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' }
      : service.resolution === 'dns'
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

const HTTP2: Json = { max_concurrent_streams: 1_073_741_824 };

/** A service is asked in the protocol of its port, whatever the client speaks. */
function protocolOptions({ protocol }: ServicePort, { connectionPool }: PortPolicy): Json | undefined {
  if (!isHttp(protocol)) return undefined;
  const { http } = connectionPool ?? {};
  const common = compact({
    idle_timeout: http?.idleTimeout === undefined ? undefined : seconds(http.idleTimeout),
    max_connection_duration:
      connectionPool?.tcp?.maxConnectionDuration === undefined
        ? undefined
        : seconds(connectionPool.tcp.maxConnectionDuration),
    max_requests_per_connection: http?.maxRequestsPerConnection === 0 ? undefined : http?.maxRequestsPerConnection,
  });
  const http2 = {
    http2_protocol_options: {
      max_concurrent_streams: http?.maxConcurrentStreams ?? HTTP2['max_concurrent_streams'] ?? 1,
    },
  };
  return httpOptions(
    compact({
      common_http_protocol_options: Object.keys(common).length === 0 ? undefined : common,
      ...(http?.useClientProtocol === true
        ? { use_downstream_protocol_config: { http_protocol_options: {}, ...http2 } }
        : {
            explicit_http_config:
              isHttp2(protocol) || http?.h2UpgradePolicy === 'UPGRADE' ? http2 : { http_protocol_options: {} },
          }),
    }),
  );
}

function lbPolicy({ loadBalancer }: PortPolicy): Json {
  const hash = loadBalancer?.consistentHash;
  if (hash?.maglev !== undefined)
    return compact({
      lb_policy: 'MAGLEV',
      maglev_lb_config: hash.maglev.tableSize === undefined ? undefined : { table_size: hash.maglev.tableSize },
    });
  if (hash !== undefined)
    return {
      lb_policy: 'RING_HASH',
      ring_hash_lb_config: { minimum_ring_size: hash.ringHash?.minimumRingSize ?? hash.minimumRingSize ?? 1024 },
    };
  switch (loadBalancer?.simple) {
    case 'ROUND_ROBIN':
      return { lb_policy: 'ROUND_ROBIN' };
    case 'RANDOM':
      return { lb_policy: 'RANDOM' };
    default:
      return { lb_policy: 'LEAST_REQUEST' };
  }
}

function circuitBreakers({ connectionPool }: PortPolicy): Json {
  const { tcp, http } = connectionPool ?? {};
  return {
    thresholds: [
      {
        max_connections: tcp?.maxConnections ?? NO_LIMIT,
        max_pending_requests: positive(http?.http1MaxPendingRequests) ?? NO_LIMIT,
        max_requests: positive(http?.http2MaxRequests) ?? NO_LIMIT,
        max_retries: positive(http?.maxRetries) ?? NO_LIMIT,
        track_remaining: true,
      },
    ],
  };
}

/** 0 stands for the default. */
const positive = (count: number | undefined): number | undefined => (count === 0 ? undefined : count);

function keepalive({ connectionPool }: PortPolicy): Json | undefined {
  const own = connectionPool?.tcp?.tcpKeepalive;
  if (own === undefined) return undefined;
  return {
    tcp_keepalive: compact({
      keepalive_probes: own.probes,
      keepalive_time: own.time === undefined ? undefined : Math.round(own.time / 1000),
      keepalive_interval: own.interval === undefined ? undefined : Math.round(own.interval / 1000),
    }),
  };
}

function outlierDetection({ outlierDetection: own }: PortPolicy): Json | undefined {
  if (own === undefined) return undefined;
  const { http } = own;
  // Those of 1.0.2 count errors of gateways alone.
  const gatewayErrors = own.consecutiveGatewayErrors ?? own.consecutiveErrors ?? http?.consecutiveErrors;
  const errors = own.consecutive5xxErrors;
  const isOld = own.consecutiveErrors !== undefined || http?.consecutiveErrors !== undefined;
  const interval = own.interval ?? http?.interval;
  const base = own.baseEjectionTime ?? http?.baseEjectionTime;
  return compact({
    ...(errors === undefined
      ? isOld
        ? { enforcing_consecutive_5xx: 0 }
        : {}
      : { consecutive_5xx: errors, enforcing_consecutive_5xx: errors === 0 ? 0 : 100 }),
    ...(gatewayErrors === undefined
      ? {}
      : {
          consecutive_gateway_failure: gatewayErrors,
          enforcing_consecutive_gateway_failure: gatewayErrors === 0 ? 0 : 100,
        }),
    enforcing_success_rate: 0,
    interval: interval === undefined ? undefined : seconds(interval),
    base_ejection_time: base === undefined ? undefined : seconds(base),
    max_ejection_percent: own.maxEjectionPercent ?? http?.maxEjectionPercent,
    split_external_local_origin_errors: own.splitExternalLocalOriginErrors,
    consecutive_local_origin_failure: own.consecutiveLocalOriginFailures,
  });
}
