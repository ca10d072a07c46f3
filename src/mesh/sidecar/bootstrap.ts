/**
 * The bootstrap of a member's Envoy.
 * **In**: who the workload is, and where the control plane and Sluice are. **Out**: Envoy's configuration, as JSON. **Fails**: never.
 */
import { compact, FROM_ADS, httpOptions, type Json, seconds, socketAddress } from '../envoy/parts.ts';

export interface MemberIdentity {
  readonly type: 'sidecar' | 'router';
  /** Of the machine or pod. */
  readonly address: string;
  readonly pod: string;
  readonly namespace: string;
  /** `default.svc.cluster.local` */
  readonly domain: string;
  /** Name of the service, for logs and statistics of Envoy. */
  readonly serviceCluster: string;
  /** Istio's: LABELS, INTERCEPTION_MODE, SERVICE_ACCOUNT ... */
  readonly metadata: Json;
}

export interface BootstrapOptions {
  readonly member: MemberIdentity;
  readonly discovery: { readonly host: string; readonly port: number };
  /** Where `sluice serve` is; absent: no cluster for it. */
  readonly sluice?: { readonly host: string; readonly port: number } | undefined;
  readonly adminPort: number;
  readonly connectMs: number;
  /** Differences instead of the state of the world. */
  readonly isDelta: boolean;
}

export const nodeId = ({ type, address, pod, namespace, domain }: MemberIdentity): string =>
  [type, address, `${pod}.${namespace}`, domain].join('~');

export function bootstrapOf({ member, discovery, sluice, adminPort, connectMs, isDelta }: BootstrapOptions): Json {
  const { namespace, pod, serviceCluster, metadata } = member;
  return {
    node: {
      id: nodeId(member),
      cluster: serviceCluster,
      metadata: { NAMESPACE: namespace, WORKLOAD_NAME: pod, ...metadata },
    },
    admin: { address: socketAddress('127.0.0.1', adminPort) },
    dynamic_resources: {
      ads_config: {
        api_type: isDelta ? 'DELTA_GRPC' : 'GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
      cds_config: FROM_ADS,
      lds_config: FROM_ADS,
    },
    static_resources: {
      clusters: [
        grpcCluster('xds', discovery, connectMs),
        ...(sluice === undefined ? [] : [grpcCluster('sluice', sluice, connectMs)]),
      ],
    },
  };
}

/** With pings, so that a dead server is noticed. */
function grpcCluster(
  name: string,
  { host, port }: { readonly host: string; readonly port: number },
  connectMs: number,
): Json {
  return compact({
    name,
    type: /^[\d.]+$|:/.test(host) ? 'STATIC' : 'STRICT_DNS',
    connect_timeout: seconds(connectMs),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(host, port) } }] }],
    },
    typed_extension_protocol_options: httpOptions({
      explicit_http_config: {
        http2_protocol_options: { connection_keepalive: { interval: seconds(30_000), timeout: seconds(5000) } },
      },
    }),
  });
}
