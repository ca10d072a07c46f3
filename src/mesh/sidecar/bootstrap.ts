/**
 * The bootstrap of a member's Envoy.
 * **In**: who the workload is, and where the control plane and Sluice are. **Out**: Envoy's configuration, as JSON. **Fails**: never.
 */
import { isIP } from 'node:net';
import { ROOTS_SECRET, WORKLOAD_SECRET } from '../../identity/contract.ts';
import { any, compact, FROM_ADS, httpOptions, type Json, secretFrom, seconds, socketAddress } from '../envoy/parts.ts';

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
  /** An agent that gives certificates; absent: the proxy has none, and its stream to the control plane is in cleartext. */
  readonly agent?: BootstrapAgent | undefined;
}

export interface BootstrapAgent {
  readonly socketPath: string;
  /** Whether the control plane is called by mutual TLS. */
  readonly isDiscoverySecure: boolean;
}

export const nodeId = ({ type, address, pod, namespace, domain }: MemberIdentity): string =>
  [type, address, `${pod}.${namespace}`, domain].join('~');

/** Istio's name of the cluster of an agent; a control plane knows by the metadata that the proxy has one. */
const AGENT = 'sds-grpc';

export function bootstrapOf({
  member,
  discovery,
  sluice,
  adminPort,
  connectMs,
  isDelta,
  agent,
}: BootstrapOptions): Json {
  const { namespace, pod, serviceCluster, metadata } = member;
  return {
    node: {
      id: nodeId(member),
      cluster: serviceCluster,
      metadata: {
        NAMESPACE: namespace,
        WORKLOAD_NAME: pod,
        ...metadata,
        ...(agent === undefined ? {} : { SDS_CLUSTER: AGENT }),
      },
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
    layered_runtime: {
      layers: [
        { name: 'patterns', static_layer: { 're2.max_program_size.error_level': MAX_PATTERN } },
        { name: 'admin', admin_layer: {} },
      ],
    },
    static_resources: {
      clusters: [
        grpcCluster('xds', discovery, {
          connectMs,
          transport_socket: agent?.isDiscoverySecure === true ? mutualTls(discovery.host) : undefined,
        }),
        ...(agent === undefined ? [] : [agentCluster(agent.socketPath, connectMs)]),
        ...(sluice === undefined ? [] : [grpcCluster('sluice', sluice, { connectMs })]),
      ],
    },
  };
}

/** Instructions of a pattern of RE2, as with Istio; Envoy's own 100 are few for `[a-z]{1,63}`, and it refuses a table for one pattern. */
const MAX_PATTERN = 32_768;

/** With pings, so that a dead server is noticed. */
const PINGS = httpOptions({
  explicit_http_config: {
    http2_protocol_options: { connection_keepalive: { interval: seconds(30_000), timeout: seconds(5000) } },
  },
});

function grpcCluster(
  name: string,
  { host, port }: { readonly host: string; readonly port: number },
  { connectMs, transport_socket }: { readonly connectMs: number; readonly transport_socket?: Json | undefined },
): Json {
  return compact({
    name,
    type: isIP(host) === 0 ? 'STRICT_DNS' : 'STATIC',
    connect_timeout: seconds(connectMs),
    load_assignment: assignment(name, socketAddress(host, port)),
    typed_extension_protocol_options: PINGS,
    transport_socket,
  });
}

const agentCluster = (path: string, connectMs: number): Json => ({
  name: AGENT,
  type: 'STATIC',
  connect_timeout: seconds(connectMs),
  load_assignment: assignment(AGENT, { pipe: { path } }),
  typed_extension_protocol_options: PINGS,
});

const assignment = (name: string, address: Json): Json => ({
  cluster_name: name,
  endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
});

/** The name of the server is verified, since any member of the mesh has a certificate by the same roots. */
const mutualTls = (host: string): Json => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: any('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
    ...(isIP(host) === 0 ? { sni: host } : {}),
    common_tls_context: {
      alpn_protocols: ['h2'],
      tls_params: { tls_maximum_protocol_version: 'TLSv1_3' },
      tls_certificate_sds_secret_configs: [secretFrom({ cluster: AGENT }, WORKLOAD_SECRET)],
      combined_validation_context: {
        default_validation_context: {
          match_typed_subject_alt_names: [
            { san_type: isIP(host) === 0 ? 'DNS' : 'IP_ADDRESS', matcher: { exact: host } },
          ],
        },
        validation_context_sds_secret_config: secretFrom({ cluster: AGENT }, ROOTS_SECRET),
      },
    },
  }),
});
