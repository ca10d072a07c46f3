/**
 * The environment in which Envoy Gateway starts its limiter, but for ports and the backend of REDIS_URL:
 * internal/infrastructure/kubernetes/ratelimit/testdata/deployments/default.yaml. `/certs` is a Secret.
 */
export const gatewayLimiterEnv = (certs = '/certs', controlPlane = 'envoy-gateway:18001'): Record<string, string> => ({
  RUNTIME_ROOT: '/data',
  RUNTIME_SUBDIRECTORY: 'ratelimit',
  RUNTIME_IGNOREDOTFILES: 'true',
  RUNTIME_WATCH_ROOT: 'false',
  LOG_LEVEL: 'info',
  USE_STATSD: 'false',
  CONFIG_TYPE: 'GRPC_XDS_SOTW',
  CONFIG_GRPC_XDS_SERVER_URL: controlPlane,
  CONFIG_GRPC_XDS_NODE_ID: 'envoy-ratelimit',
  GRPC_SERVER_USE_TLS: 'true',
  GRPC_SERVER_TLS_CERT: `${certs}/tls.crt`,
  GRPC_SERVER_TLS_KEY: `${certs}/tls.key`,
  GRPC_SERVER_TLS_CA_CERT: `${certs}/ca.crt`,
  CONFIG_GRPC_XDS_SERVER_USE_TLS: 'true',
  CONFIG_GRPC_XDS_CLIENT_TLS_CERT: `${certs}/tls.crt`,
  CONFIG_GRPC_XDS_CLIENT_TLS_KEY: `${certs}/tls.key`,
  CONFIG_GRPC_XDS_SERVER_TLS_CACERT: `${certs}/ca.crt`,
  FORCE_START_WITHOUT_INITIAL_CONFIG: 'true',
  REDIS_SOCKET_TYPE: 'tcp',
  USE_PROMETHEUS: 'true',
});
