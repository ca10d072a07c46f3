/** Small Envoys that get all from a control plane, and the resources that tests give them. */
import { encodeEnvoyJson, digestOf } from '../../src/envoy-json/encode.ts';
import { CLUSTER, ENDPOINTS, LISTENER, type Resource, ROUTES } from '../../src/xds/index.ts';

export const resource = (typeUrl: string, name: string, json: object, origin?: string): Resource => {
  const value = encodeEnvoyJson(typeUrl, json as never);
  return { name, version: digestOf(value), value, ...(origin === undefined ? {} : { origin }) };
};

const ADS = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });

export function bootstrap(options: {
  readonly id: string;
  readonly xdsPort: number;
  readonly adminPort: number;
  readonly api?: 'GRPC' | 'DELTA_GRPC';
}): object {
  return {
    node: { id: options.id, cluster: 'test' },
    admin: { address: address(options.adminPort) },
    dynamic_resources: {
      ads_config: {
        api_type: options.api ?? 'GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
      cds_config: ADS,
      lds_config: ADS,
    },
    layered_runtime: {
      layers: [
        { name: 'patterns', static_layer: { 're2.max_program_size.error_level': 32_768 } },
        { name: 'admin', admin_layer: {} },
      ],
    },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connect_timeout: '1s',
          load_assignment: {
            cluster_name: 'xds',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(options.xdsPort) } }] }],
          },
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        },
      ],
    },
  };
}

export const cluster = (name: string, extra: object = {}): Resource =>
  resource(CLUSTER, name, {
    name,
    type: 'EDS',
    connect_timeout: '1s',
    eds_cluster_config: { eds_config: ADS },
    ...extra,
  });

export const endpoints = (name: string, ports: readonly number[]): Resource =>
  resource(ENDPOINTS, name, {
    cluster_name: name,
    endpoints: [{ lb_endpoints: ports.map((port) => ({ endpoint: { address: address(port) } })) }],
  });

/** `filters`: of HTTP, before the router. */
export const listener = (name: string, port: number, routes: string, filters: readonly object[] = []): Resource =>
  resource(LISTENER, name, {
    name,
    address: address(port),
    filter_chains: [
      {
        filters: [
          {
            name: 'http',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: name,
              rds: { config_source: ADS, route_config_name: routes },
              http_filters: [
                ...filters,
                {
                  name: 'router',
                  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                },
              ],
            },
          },
        ],
      },
    ],
  });

export const routes = (name: string, to: string, origin?: string): Resource =>
  resource(
    ROUTES,
    name,
    {
      name,
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: to } }] }],
    },
    origin,
  );

export const byName = (all: readonly Resource[]): ReadonlyMap<string, Resource> =>
  new Map(all.map((one) => [one.name, one]));
