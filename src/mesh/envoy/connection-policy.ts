/**
 * How connections and requests reach the endpoints of a cluster, as Envoy has it.
 * **In**: the policy of a port. **Out**: parts of its cluster. **Fails**: never.
 */
import { isHttp, isHttp2, type ServicePort } from '../model/model.ts';
import type { PortPolicy } from '../rules/destination-rule.ts';
import { compact, httpOptions, type Json, seconds } from './parts.ts';

const NO_LIMIT = 4_294_967_295;
export const HTTP2: Json = { max_concurrent_streams: 1_073_741_824 };

/** By its name in TLS (ALPN); `undefined`: no HTTP, or that of the client. */
export function httpProtocol(
  { protocol }: Pick<ServicePort, 'protocol'>,
  { connectionPool }: PortPolicy,
): 'h2' | 'http/1.1' | undefined {
  const { useClientProtocol, h2UpgradePolicy } = connectionPool?.http ?? {};
  if (!isHttp(protocol) || useClientProtocol === true) return undefined;
  return isHttp2(protocol) || h2UpgradePolicy === 'UPGRADE' ? 'h2' : 'http/1.1';
}

/** A service is asked in the protocol of its port, whatever the client speaks. `names`: how calls name their server in TLS. */
export function protocolOptions(
  port: Pick<ServicePort, 'protocol'>,
  policy: PortPolicy,
  names?: Json,
): Json | undefined {
  if (!isHttp(port.protocol)) return undefined;
  const { connectionPool } = policy;
  const { http } = connectionPool ?? {};
  const common = compact({
    idle_timeout: http?.idleTimeout === undefined ? undefined : seconds(http.idleTimeout),
    max_connection_duration:
      connectionPool?.tcp?.maxConnectionDuration === undefined
        ? undefined
        : seconds(connectionPool.tcp.maxConnectionDuration),
    max_requests_per_connection: http?.maxRequestsPerConnection === 0 ? undefined : http?.maxRequestsPerConnection,
  });
  const pings = http?.http2KeepAlive;
  const http2 = {
    http2_protocol_options: compact({
      max_concurrent_streams: http?.maxConcurrentStreams ?? HTTP2['max_concurrent_streams'] ?? 1,
      connection_keepalive: pings && { interval: seconds(pings.interval), timeout: seconds(pings.timeout) },
    }),
  };
  return httpOptions(
    compact({
      common_http_protocol_options: Object.keys(common).length === 0 ? undefined : common,
      upstream_http_protocol_options: names,
      ...(http?.useClientProtocol === true
        ? { use_downstream_protocol_config: { http_protocol_options: {}, ...http2 } }
        : {
            explicit_http_config: httpProtocol(port, policy) === 'h2' ? http2 : { http_protocol_options: {} },
          }),
    }),
  );
}

export function lbPolicy({ loadBalancer }: PortPolicy): Json {
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
  const slowStart = slowStartOf(loadBalancer);
  switch (loadBalancer?.simple) {
    case 'ROUND_ROBIN':
      return compact({ lb_policy: 'ROUND_ROBIN', round_robin_lb_config: slowStart });
    case 'RANDOM':
      return { lb_policy: 'RANDOM' };
    default:
      return compact({ lb_policy: 'LEAST_REQUEST', least_request_lb_config: slowStart });
  }
}

/** A new endpoint gets its share of calls little by little. */
function slowStartOf(loadBalancer: PortPolicy['loadBalancer']): Json | undefined {
  const { warmup } = loadBalancer ?? {};
  const window = warmup?.duration ?? loadBalancer?.warmupDurationSecs;
  if (window === undefined) return undefined;
  return {
    slow_start_config: compact({
      slow_start_window: seconds(window),
      aggression:
        warmup?.aggression === undefined
          ? undefined
          : { default_value: warmup.aggression, runtime_key: 'sluice.warmup.aggression' },
      min_weight_percent: warmup?.minimumPercent === undefined ? undefined : { value: warmup.minimumPercent },
    }),
  };
}

export function circuitBreakers({ connectionPool, retryBudget: budget }: PortPolicy): Json {
  const { tcp, http } = connectionPool ?? {};
  return {
    thresholds: [
      compact({
        max_connections: tcp?.maxConnections ?? NO_LIMIT,
        max_pending_requests: positive(http?.http1MaxPendingRequests) ?? NO_LIMIT,
        max_requests: positive(http?.http2MaxRequests) ?? NO_LIMIT,
        max_retries: positive(http?.maxRetries) ?? NO_LIMIT,
        track_remaining: true,
        retry_budget: budget && {
          budget_percent: { value: budget.percent },
          min_retry_concurrency: positive(budget.minRetryConcurrency) ?? 3,
        },
      }),
    ],
  };
}

/** 0 stands for the default. */
const positive = (count: number | undefined): number | undefined => (count === 0 ? undefined : count);

export function keepalive({ connectionPool }: PortPolicy): Json | undefined {
  const own = connectionPool?.tcp?.tcpKeepalive;
  if (own === undefined) return undefined;
  return {
    tcp_keepalive: compact({
      keepalive_probes: own.probes,
      // The kernel takes whole seconds, and none of 0.
      keepalive_time: own.time === undefined ? undefined : Math.ceil(own.time / 1000),
      keepalive_interval: own.interval === undefined ? undefined : Math.ceil(own.interval / 1000),
    }),
  };
}

/** Errors of connections, apart from answers; Envoy would eject by their rate, too. */
const localOrigin = (failures: number | undefined): Json =>
  compact({
    split_external_local_origin_errors: true,
    consecutive_local_origin_failure: positive(failures),
    enforcing_consecutive_local_origin_failure: positive(failures) === undefined ? undefined : 100,
    enforcing_local_origin_success_rate: 0,
  });

export function outlierDetection({ outlierDetection: own }: PortPolicy): Json | undefined {
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
    max_ejection_percent: positive(own.maxEjectionPercent ?? http?.maxEjectionPercent),
    ...(own.splitExternalLocalOriginErrors === true ? localOrigin(own.consecutiveLocalOriginFailures) : {}),
  });
}
