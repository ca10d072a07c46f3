/** The stream of a proxy without an agent: it goes over TLS, and proves the identity of its workload by a token. */
const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';

/** Changes the bootstrap, whose cluster `xds` is at `localhost` by its certificate. */
export function provenBy(token: string, rootsFile: string, config: object): object {
  const { dynamic_resources: dynamic, static_resources: fixed } = config as {
    dynamic_resources: { ads_config: { grpc_services: Record<string, unknown>[] } };
    static_resources: { clusters: Record<string, unknown>[] };
  };
  Object.assign(dynamic.ads_config.grpc_services[0] as object, {
    initial_metadata: [{ key: 'authorization', value: `Bearer ${token}` }],
  });
  Object.assign(fixed.clusters.find((one) => one['name'] === 'xds') as object, {
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': TLS,
        sni: 'localhost',
        common_tls_context: { validation_context: { trusted_ca: { filename: rootsFile } } },
      },
    },
  });
  return config;
}
