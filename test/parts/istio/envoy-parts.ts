/** Parts of Envoy's configuration that the comparisons with its own filters share. */

export const type = (name: string): { '@type': string } => ({ '@type': `type.googleapis.com/${name}` });
export const address = (host: string, port: number): object => ({
  socket_address: { address: host, port_value: port },
});

/** A server with these listeners, and Sluice as the cluster `sluice`. */
export const withSluice = (
  adminPort: number,
  sluicePort: number,
  listeners: readonly object[],
  clusters: readonly object[] = [],
): object => ({
  admin: { address: address('127.0.0.1', adminPort) },
  static_resources: {
    listeners,
    clusters: [
      ...clusters,
      {
        name: 'sluice',
        type: 'STATIC',
        load_assignment: {
          cluster_name: 'sluice',
          endpoints: [{ lb_endpoints: [{ endpoint: { address: address('127.0.0.1', sluicePort) } }] }],
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

export const extAuthz = (more: object = {}): object => ({
  name: 'ext-authz',
  typed_config: {
    ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'),
    transport_api_version: 'V3',
    status_on_error: { code: 'InternalServerError' },
    include_peer_certificate: true,
    include_tls_session: true,
    encode_raw_headers: true,
    grpc_service: { envoy_grpc: { cluster_name: 'sluice' }, timeout: '10s' },
    ...more,
  },
});

/** Answers 200 for each workload whose number stands in `x-case`, if the filters pass; `perRoute` configures them for a workload. */
export const connectionManager = (
  workloads: number,
  filters: readonly object[],
  perRoute: (workload: number) => object = contextOf,
): object => ({
  ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
  stat_prefix: 'in',
  use_remote_address: true,
  xff_num_trusted_hops: 1,
  normalize_path: true,
  http_filters: [...filters, { name: 'router', typed_config: type('envoy.extensions.filters.http.router.v3.Router') }],
  route_config: {
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: Array.from({ length: workloads }, (_, at) => ({
          match: { prefix: '/', headers: [{ name: 'x-case', string_match: { exact: String(at) } }] },
          direct_response: { status: 200 },
          typed_per_filter_config: perRoute(at),
        })),
      },
    ],
  },
});

/** Tells Sluice the namespace of a workload. */
export const contextOf = (workload: number, more: Readonly<Record<string, string>> = {}): object => ({
  'ext-authz': {
    ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'),
    check_settings: { context_extensions: { 'destination.namespace': `case-${workload}`, ...more } },
  },
});

/** Of a listener that asks for a certificate, and takes connections without. */
export const serverTls = ({ cert, key }: { readonly cert: string; readonly key: string }, ca: string): object => ({
  name: 'tls',
  typed_config: {
    ...type('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
    common_tls_context: {
      tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
      validation_context: { trusted_ca: { filename: ca } },
    },
  },
});
