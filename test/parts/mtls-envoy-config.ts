/**
 * An Envoy with mutual TLS: an edge for requests, which forwards those with the header x-inner to a listener without TLS behind it,
 * and a listener for connections. All ask ext_authz with the peer's certificate and the TLS session, and log to Sluice.
 */
const type = (name: string): { '@type': string } => ({ '@type': `type.googleapis.com/${name}` });
const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });

export interface MtlsEnvoyOptions {
  readonly adminPort: number;
  readonly edgePort: number;
  readonly innerPort: number;
  readonly tcpPort: number;
  readonly sluicePort: number;
  readonly upstreamPort: number;
  readonly tcpUpstreamPort: number;
  /** Files of the authority, and of Envoy's own certificate. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const SLUICE = { envoy_grpc: { cluster_name: 'sluice' }, timeout: '5s' };
const CHECK = {
  transport_api_version: 'V3',
  failure_mode_allow: false,
  include_peer_certificate: true,
  include_tls_session: true,
  grpc_service: SLUICE,
};
const log = (name: string): object => ({
  log_name: name,
  transport_api_version: 'V3',
  buffer_flush_interval: '0.1s',
  grpc_service: SLUICE,
});

export function mtlsEnvoyConfig(options: MtlsEnvoyOptions): object {
  const { adminPort, edgePort, innerPort, tcpPort, sluicePort, upstreamPort, tcpUpstreamPort } = options;
  const transport_socket = {
    name: 'tls',
    typed_config: {
      ...type('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
      // A client without a certificate is let in, so that rules decide about it.
      require_client_certificate: false,
      common_tls_context: {
        tls_certificates: [{ certificate_chain: { filename: options.cert }, private_key: { filename: options.key } }],
        validation_context: { trusted_ca: { filename: options.ca } },
      },
    },
  };
  const toInner = {
    match: { prefix: '/', headers: [{ name: 'x-inner', string_match: { exact: 'yes' } }] },
    route: { cluster: 'inner' },
  };
  return {
    node: { id: 'edge-1', cluster: 'edge' },
    admin: { address: address(adminPort) },
    static_resources: {
      listeners: [
        {
          name: 'edge',
          address: address(edgePort),
          filter_chains: [
            {
              transport_socket,
              filters: [
                http([toInner, TO_APP], {
                  forward_client_cert_details: 'SANITIZE_SET',
                  set_current_client_cert_details: { subject: true, uri: true, dns: true },
                }),
              ],
            },
          ],
        },
        {
          name: 'inner',
          address: address(innerPort),
          filter_chains: [{ filters: [http([TO_APP], { forward_client_cert_details: 'ALWAYS_FORWARD_ONLY' })] }],
        },
        {
          name: 'tcp',
          address: address(tcpPort),
          listener_filters: [
            {
              name: 'tls_inspector',
              typed_config: type('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector'),
            },
          ],
          filter_chains: [{ transport_socket, filters: TCP_FILTERS }],
        },
      ],
      clusters: [
        cluster('app', upstreamPort),
        cluster('tcp-app', tcpUpstreamPort),
        cluster('inner', innerPort),
        {
          ...cluster('sluice', sluicePort),
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              ...type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        },
      ],
    },
  };
}

const cluster = (name: string, port: number): object => ({
  name,
  type: 'STATIC',
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
});

const TO_APP = { match: { prefix: '/' }, route: { cluster: 'app' } };

const http = (routes: readonly object[], forwarding: object): object => ({
  name: 'http',
  typed_config: {
    ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'in',
    ...forwarding,
    access_log: [
      {
        name: 'log',
        typed_config: {
          ...type('envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig'),
          common_config: log('http'),
          additional_request_headers_to_log: ['x-forwarded-client-cert'],
        },
      },
    ],
    http_filters: [
      {
        name: 'envoy.filters.http.ext_authz',
        typed_config: { ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'), ...CHECK },
      },
      { name: 'router', typed_config: type('envoy.extensions.filters.http.router.v3.Router') },
    ],
    route_config: { virtual_hosts: [{ name: 'web', domains: ['*'], routes }] },
  },
});

const TCP_FILTERS = [
  {
    name: 'envoy.filters.network.ext_authz',
    typed_config: {
      ...type('envoy.extensions.filters.network.ext_authz.v3.ExtAuthz'),
      stat_prefix: 'tcp',
      ...CHECK,
    },
  },
  {
    name: 'tcp',
    typed_config: {
      ...type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
      stat_prefix: 'tcp',
      cluster: 'tcp-app',
      access_log: [
        {
          name: 'log',
          typed_config: {
            ...type('envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig'),
            common_config: log('tcp'),
          },
        },
      ],
    },
  },
];
