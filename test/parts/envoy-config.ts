/**
 * An Envoy config with all of Sluice's frontends: ext_authz on HTTP and TCP, ratelimit by route actions, access logs of both.
 * Fields are explained in Envoy's docs of the filters, numbers and traps in docs/envoy.md.
 */
const type = (name: string): { '@type': string } => ({ '@type': `type.googleapis.com/${name}` });
const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });
const endpoint = (cluster: string, port: number): object => ({
  cluster_name: cluster,
  endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
});

export interface EnvoyConfigOptions {
  readonly adminPort: number;
  readonly httpPort: number;
  readonly tcpPort: number;
  readonly sluicePort: number;
  /** Port of the rate-limit server, if it is another one; it alone then decides about requests. */
  readonly ratelimitPort?: number;
  readonly upstreamPort: number;
  readonly tcpUpstreamPort: number;
  /** Timeout of ext_authz and ratelimit; a test machine is slower than a mesh. */
  readonly timeout?: string;
}

export function envoyConfig(options: EnvoyConfigOptions): object {
  const timeout = options.timeout ?? '1s';
  const engine = { envoy_grpc: { cluster_name: 'sluice' }, timeout };
  const grpcLog = (logName: string): object => ({
    log_name: logName,
    transport_api_version: 'V3',
    buffer_flush_interval: '0.1s',
    buffer_size_bytes: 1_048_576,
    grpc_service: { envoy_grpc: { cluster_name: 'sluice' } },
    custom_tags: [{ tag: 'zone', literal: { value: 'test-zone' } }],
  });
  return {
    node: { id: 'edge-1', cluster: 'edge', metadata: { labels: { app: 'web', version: 'v1' } } },
    admin: { address: address(options.adminPort) },
    static_resources: {
      listeners: [
        httpListener(options, engine, grpcLog('http.inbound'), timeout),
        tcpListener(options, engine, grpcLog('tcp.inbound')),
      ],
      clusters: [
        { name: 'app', type: 'STATIC', ...UNBOUNDED, load_assignment: endpoint('app', options.upstreamPort) },
        { name: 'tcp-app', type: 'STATIC', load_assignment: endpoint('tcp-app', options.tcpUpstreamPort) },
        grpcCluster('sluice', options.sluicePort),
        ...(options.ratelimitPort === undefined ? [] : [grpcCluster('ratelimit', options.ratelimitPort)]),
      ],
    },
  };
}

/** Above Envoy's default circuit breaker of 1024 requests, which would answer the rest of a burst itself. */
const UNBOUNDED = {
  circuit_breakers: { thresholds: [{ max_requests: 100_000, max_pending_requests: 100_000, max_connections: 10_000 }] },
};

const grpcCluster = (name: string, port: number): object => ({
  name,
  type: 'STATIC',
  ...UNBOUNDED,
  load_assignment: endpoint(name, port),
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      ...type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
});

function httpListener(options: EnvoyConfigOptions, engine: object, log: object, timeout: string): object {
  const perRoute = (extensions: Record<string, string>): object => ({
    'envoy.filters.http.ext_authz': {
      ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'),
      check_settings: { context_extensions: extensions },
    },
  });
  const user = { request_headers: { header_name: 'x-user', descriptor_key: 'user' } };
  const lease = [
    { request_headers: { header_name: 'x-user', descriptor_key: 'tenant' } },
    { request_headers: { header_name: 'x-request-id', descriptor_key: 'request' } },
  ];
  const hcm = {
    ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'in',
    use_remote_address: true,
    normalize_path: true,
    access_log: [
      {
        name: 'envoy.access_loggers.http_grpc',
        typed_config: {
          ...type('envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig'),
          common_config: log,
          additional_request_headers_to_log: ['x-user'],
          additional_response_headers_to_log: ['content-type', 'x-ratelimit-limit'],
        },
      },
    ],
    http_filters: [
      {
        name: 'envoy.filters.http.ext_authz',
        typed_config: {
          ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'),
          transport_api_version: 'V3',
          failure_mode_allow: false,
          status_on_error: { code: 'ServiceUnavailable' },
          with_request_body: { max_request_bytes: 4096, allow_partial_message: true },
          bootstrap_metadata_labels_key: 'labels',
          grpc_service: engine,
        },
      },
      {
        name: 'envoy.filters.http.ratelimit',
        typed_config: {
          ...type('envoy.extensions.filters.http.ratelimit.v3.RateLimit'),
          domain: 'edge',
          timeout,
          enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
          rate_limit_service: {
            transport_api_version: 'V3',
            grpc_service:
              options.ratelimitPort === undefined ? engine : { envoy_grpc: { cluster_name: 'ratelimit' }, timeout },
          },
          failure_mode_deny: options.ratelimitPort !== undefined,
        },
      },
      { name: 'envoy.filters.http.router', typed_config: type('envoy.extensions.filters.http.router.v3.Router') },
    ],
    route_config: {
      virtual_hosts: [
        {
          name: 'web',
          domains: ['*'],
          typed_per_filter_config: perRoute({ 'destination.namespace': 'shop', tier: 'gold' }),
          routes: [
            {
              match: { prefix: '/limited' },
              route: {
                cluster: 'app',
                rate_limits: [
                  { actions: [user] },
                  { actions: [user, { request_headers: { header_name: ':path', descriptor_key: 'path' } }] },
                ],
              },
            },
            {
              match: { prefix: '/leased' },
              route: {
                cluster: 'app',
                rate_limits: [
                  { actions: lease },
                  {
                    actions: [...lease, { generic_key: { descriptor_key: 'stream_done', descriptor_value: 'yes' } }],
                    apply_on_stream_done: true,
                  },
                ],
              },
            },
            { match: { prefix: '/' }, route: { cluster: 'app' } },
          ],
        },
      ],
    },
  };
  return {
    name: 'http',
    address: address(options.httpPort),
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: hcm }] }],
  };
}

function tcpListener(options: EnvoyConfigOptions, engine: object, log: object): object {
  return {
    name: 'tcp',
    address: address(options.tcpPort),
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.ext_authz',
            typed_config: {
              ...type('envoy.extensions.filters.network.ext_authz.v3.ExtAuthz'),
              stat_prefix: 'tcp',
              transport_api_version: 'V3',
              failure_mode_allow: false,
              grpc_service: engine,
            },
          },
          {
            name: 'envoy.filters.network.tcp_proxy',
            typed_config: {
              ...type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
              stat_prefix: 'tcp',
              cluster: 'tcp-app',
              access_log: [
                {
                  name: 'envoy.access_loggers.tcp_grpc',
                  typed_config: {
                    ...type('envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig'),
                    common_config: log,
                  },
                },
              ],
            },
          },
        ],
      },
    ],
  };
}
