/** An Envoy that answers each request itself and logs it to several Sluices: as little as possible beside the access log. */
const type = (name: string): { '@type': string } => ({ '@type': `type.googleapis.com/${name}` });
const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });

export interface LogEnvoyOptions {
  readonly adminPort: number;
  readonly httpPort: number;
  readonly sluicePorts: readonly number[];
  readonly accessLog: readonly object[];
  readonly statsSinks?: readonly object[];
}

export const logEnvoyConfig = ({
  adminPort,
  httpPort,
  sluicePorts,
  accessLog,
  statsSinks,
}: LogEnvoyOptions): object => ({
  node: { id: 'edge-1', cluster: 'edge' },
  admin: { address: address(adminPort) },
  ...(statsSinks === undefined ? {} : { stats_sinks: statsSinks, stats_flush_interval: '0.2s' }),
  static_resources: {
    listeners: [
      {
        address: address(httpPort),
        filter_chains: [
          {
            filters: [
              {
                name: 'http',
                typed_config: {
                  ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
                  stat_prefix: 'in',
                  access_log: accessLog,
                  http_filters: [
                    { name: 'router', typed_config: type('envoy.extensions.filters.http.router.v3.Router') },
                  ],
                  route_config: {
                    virtual_hosts: [
                      {
                        name: 'web',
                        domains: ['*'],
                        routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
                      },
                    ],
                  },
                },
              },
            ],
          },
        ],
      },
    ],
    clusters: [
      {
        name: 'sluice',
        type: 'STATIC',
        load_assignment: {
          cluster_name: 'sluice',
          endpoints: [{ lb_endpoints: sluicePorts.map((port) => ({ endpoint: { address: address(port) } })) }],
        },
        typed_extension_protocol_options: {
          'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
            ...type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
            explicit_http_config: { http2_protocol_options: {} },
          },
        },
      },
    ],
  },
});

export const grpcAccessLog = (common: Readonly<Record<string, unknown>> = {}): object => ({
  name: 'envoy.access_loggers.http_grpc',
  typed_config: {
    ...type('envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig'),
    common_config: {
      log_name: 'edge',
      transport_api_version: 'V3',
      buffer_flush_interval: '0.2s',
      buffer_size_bytes: 16_384,
      grpc_service: { envoy_grpc: { cluster_name: 'sluice' } },
      ...common,
    },
  },
});
