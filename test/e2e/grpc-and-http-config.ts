/** An Envoy that asks one Sluice by gRPC and by HTTP: its two listeners differ only in how its ext_authz filter asks. */
const type = (name: string): { '@type': string } => ({ '@type': `type.googleapis.com/${name}` });
const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });
const cluster = (name: string, port: number, more: object = {}): object => ({
  name,
  type: 'STATIC',
  circuit_breakers: {
    thresholds: [{ max_requests: 100_000, max_pending_requests: 100_000, max_connections: 20_000 }],
  },
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
  },
  ...more,
});

export const PROTOCOLS = ['grpc', 'http'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** The part of docs/http.md that is tested: what the HTTP filter must be told. */
const HTTP_SERVICE = {
  path_prefix: '/envoy',
  authorization_request: {
    headers_to_add: [
      { key: 'x-sluice-peer', value: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%' },
      { key: 'x-sluice-local', value: '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%' },
      { key: 'x-sluice-local-port', value: '%DOWNSTREAM_LOCAL_PORT%' },
      { key: 'x-sluice-protocol', value: '%PROTOCOL%' },
      { key: 'x-sluice-length', value: '%REQ(CONTENT-LENGTH)%' },
      { key: 'x-sluice-principal', value: '%DOWNSTREAM_PEER_URI_SAN%' },
      { key: 'x-context-tier', value: 'gold' },
      { key: 'x-context-destination.namespace', value: 'shop' },
    ],
  },
  authorization_response: {
    allowed_upstream_headers: {
      patterns: [{ exact: 'x-user' }, { exact: 'x-many' }, { exact: 'x-new' }],
    },
    allowed_client_headers_on_success: { patterns: [{ exact: 'x-policy' }] },
    dynamic_metadata_from_headers: { patterns: [{ prefix: 'x-sluice-' }] },
  },
};
/** What the policy's server is told: which of these headers carry which attributes. */
export const ROUTE =
  '/envoy=envoy,source.ip=x-sluice-peer,destination.ip=x-sluice-local,destination.port=x-sluice-local-port,' +
  'request.protocol=x-sluice-protocol,request.size=x-sluice-length,source.principal=x-sluice-principal,extensions=x-context-';

export interface GrpcAndHttpOptions {
  readonly adminPort: number;
  readonly ports: Readonly<Record<Protocol, number>>;
  readonly sluice: Readonly<Record<Protocol, number>>;
  readonly upstreamPort: number;
  /** Of the connection manager: how it normalises paths. */
  readonly paths?: object;
  readonly failureModeAllow?: boolean;
}

export function grpcAndHttpConfig(options: GrpcAndHttpOptions): object {
  const { adminPort, ports, sluice, upstreamPort } = options;
  return {
    node: { id: 'edge-1', cluster: 'edge' },
    admin: { address: address(adminPort) },
    static_resources: {
      listeners: PROTOCOLS.map((protocol) => listener(protocol, ports[protocol], options)),
      clusters: [
        cluster('app', upstreamPort),
        cluster('sluice-http', sluice.http),
        cluster('sluice-grpc', sluice.grpc, {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              ...type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        }),
      ],
    },
  };
}

function listener(
  protocol: Protocol,
  port: number,
  { paths = {}, failureModeAllow = false }: GrpcAndHttpOptions,
): object {
  const timeout = '2s';
  const asks =
    protocol === 'grpc'
      ? { grpc_service: { envoy_grpc: { cluster_name: 'sluice-grpc' }, timeout } }
      : {
          http_service: { server_uri: { uri: 'http://sluice', cluster: 'sluice-http', timeout }, ...HTTP_SERVICE },
          allowed_headers: { patterns: [{ safe_regex: { regex: '.*' } }] },
          disallowed_headers: { patterns: [{ prefix: 'x-sluice-' }, { prefix: 'x-context-' }] },
        };
  const hcm = {
    ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: protocol,
    use_remote_address: true,
    delayed_close_timeout: '0.05s',
    http_protocol_options: { accept_http_10: true },
    ...paths,
    access_log: [
      {
        name: 'envoy.access_loggers.http_grpc',
        typed_config: {
          ...type('envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig'),
          common_config: {
            log_name: protocol,
            transport_api_version: 'V3',
            buffer_flush_interval: '0.1s',
            grpc_service: { envoy_grpc: { cluster_name: 'sluice-grpc' } },
          },
          additional_request_headers_to_log: ['x-mark'],
        },
      },
    ],
    http_filters: [
      {
        name: 'envoy.filters.http.ext_authz',
        typed_config: {
          ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'),
          transport_api_version: 'V3',
          failure_mode_allow: failureModeAllow,
          status_on_error: { code: 'ServiceUnavailable' },
          with_request_body: { max_request_bytes: 64, allow_partial_message: true, pack_as_bytes: true },
          stat_prefix: protocol,
          ...asks,
        },
      },
      { name: 'envoy.filters.http.router', typed_config: type('envoy.extensions.filters.http.router.v3.Router') },
    ],
    route_config: {
      virtual_hosts: [
        {
          name: 'web',
          domains: ['*'],
          ...(protocol === 'grpc'
            ? {
                typed_per_filter_config: {
                  'envoy.filters.http.ext_authz': {
                    ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'),
                    check_settings: { context_extensions: { 'destination.namespace': 'shop', tier: 'gold' } },
                  },
                },
              }
            : {}),
          routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }],
        },
      ],
    },
  };
  return {
    name: protocol,
    address: address(port),
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: hcm }] }],
  };
}
