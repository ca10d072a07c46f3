/** Two Envoys that speak mutual TLS by the secrets of agents: one calls the other for each request that it gets in cleartext. */
import { any, httpOptions, type Json, secretFrom, seconds, socketAddress } from '../../../src/mesh/envoy/parts.ts';
import { ROOTS_SECRET, WORKLOAD_SECRET } from '../../../src/identity/contract.ts';

const TLS = 'envoy.extensions.transport_sockets.tls.v3';
const AGENT = { cluster: 'sds-grpc' };

export interface EnvoyOptions {
  readonly adminPort: number;
  readonly socketPath: string;
  readonly port: number;
}

const common = (names: readonly Json[]): Json => ({
  tls_certificate_sds_secret_configs: [secretFrom(AGENT, WORKLOAD_SECRET)],
  tls_params: { tls_maximum_protocol_version: 'TLSv1_3' },
  combined_validation_context: {
    default_validation_context: {
      match_typed_subject_alt_names: names.map((matcher) => ({ san_type: 'URI', matcher })),
    },
    validation_context_sds_secret_config: secretFrom(AGENT, ROOTS_SECRET),
  },
});

const socket = (context: string, fields: Json): Json => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: any(`${TLS}.${context}`, fields),
});

const clusterTo = (name: string, address: Json, extra: Json = {}): Json => ({
  name,
  type: 'STATIC',
  connect_timeout: seconds(5000),
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  ...extra,
});

/** A line of output for each answer of 5xx, with Envoy's reason. */
const FAILURES: Json = {
  name: 'failures',
  filter: {
    status_code_filter: { comparison: { op: 'GE', value: { default_value: 500, runtime_key: 'failures.from' } } },
  },
  typed_config: any('envoy.extensions.access_loggers.stream.v3.StdoutAccessLog', {
    log_format: {
      text_format_source: {
        inline_string:
          '%START_TIME% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %DURATION% ms %UPSTREAM_HOST% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n',
      },
    },
  }),
};

function bootstrap({ adminPort, socketPath, port }: EnvoyOptions, chain: Json, upstream: Json): Json {
  const http2 = httpOptions({ explicit_http_config: { http2_protocol_options: {} } });
  return {
    node: { id: `sidecar~127.0.0.1~p${port}.default~default.svc.cluster.local`, cluster: 'test' },
    admin: { address: socketAddress('127.0.0.1', adminPort) },
    static_resources: {
      listeners: [
        {
          name: 'in',
          address: socketAddress('127.0.0.1', port),
          filter_chains: [
            {
              ...chain,
              filters: [
                {
                  name: 'http',
                  typed_config: any(
                    'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                    {
                      stat_prefix: 'in',
                      access_log: [FAILURES],
                      route_config: {
                        name: 'all',
                        virtual_hosts: [
                          {
                            name: 'all',
                            domains: ['*'],
                            routes: [{ match: { prefix: '/' }, route: { cluster: 'to' } }],
                          },
                        ],
                      },
                      http_filters: [
                        { name: 'router', typed_config: any('envoy.extensions.filters.http.router.v3.Router') },
                      ],
                    },
                  ),
                },
              ],
            },
          ],
        },
      ],
      clusters: [
        upstream,
        clusterTo('sds-grpc', { pipe: { path: socketPath } }, { typed_extension_protocol_options: http2 }),
      ],
    },
  };
}

export const servingEnvoy = (options: EnvoyOptions, upstreamPort: number): Json =>
  bootstrap(
    options,
    {
      transport_socket: socket('DownstreamTlsContext', {
        common_tls_context: common([{ prefix: 'spiffe://cluster.local/' }]),
        require_client_certificate: true,
      }),
    },
    clusterTo('to', socketAddress('127.0.0.1', upstreamPort)),
  );

/** A connection carries few requests, so that handshakes never stop. */
export const callingEnvoy = (options: EnvoyOptions, server: { readonly port: number; readonly uri: string }): Json =>
  bootstrap(
    options,
    {},
    clusterTo('to', socketAddress('127.0.0.1', server.port), {
      transport_socket: socket('UpstreamTlsContext', { common_tls_context: common([{ exact: server.uri }]) }),
      typed_extension_protocol_options: httpOptions({
        explicit_http_config: { http_protocol_options: {} },
        common_http_protocol_options: { max_requests_per_connection: 5 },
      }),
    }),
  );
