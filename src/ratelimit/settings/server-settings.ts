import { table } from './setting.ts';

export const LISTENERS = table(
  { name: 'GRPC_HOST', kind: 'text', default: '0.0.0.0', means: 'address of the gRPC service that Envoy calls' },
  { name: 'GRPC_PORT', kind: 'count', default: 8081, means: 'its port' },
  { name: 'GRPC_UDS', kind: 'text', means: 'unix socket of the gRPC service, in place of host and port' },
  {
    name: 'GRPC_MAX_CONNECTION_AGE',
    kind: 'duration',
    default: 86_400_000,
    means: 'age at which a connection is drained, so that Envoy reconnects',
  },
  { name: 'GRPC_SERVER_USE_TLS', kind: 'flag', means: 'serve gRPC over TLS' },
  { name: 'GRPC_SERVER_TLS_CERT', kind: 'text', means: 'PEM file of the certificate' },
  { name: 'GRPC_SERVER_TLS_KEY', kind: 'text', means: 'PEM file of its key' },
  {
    name: 'GRPC_CLIENT_TLS_CACERT',
    kind: 'text',
    means: 'PEM file of a certificate authority; clients must present a certificate that it signed',
  },
  { name: 'HOST', kind: 'text', default: '0.0.0.0', means: 'address of /json and /healthcheck' },
  { name: 'PORT', kind: 'count', default: 8080, means: 'their port' },
  { name: 'DEBUG_HOST', kind: 'text', default: '0.0.0.0', means: 'address of /rlconfig, /stats and /limits' },
  { name: 'DEBUG_PORT', kind: 'count', default: 6070, means: 'their port' },
  { name: 'HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED', kind: 'flag', means: 'unhealthy until limits have been loaded' },
  {
    name: 'SLUICE_WORKERS',
    kind: 'count',
    default: 1,
    means: 'worker threads, one CPU core each; same as `--workers N`',
  },
  { name: 'LOG_LEVEL', kind: 'text', default: 'WARN', means: 'debug, info, warn or error' },
  { name: 'LOG_FORMAT', kind: ['text', 'json'], default: 'text', means: 'format of the log' },
);

export const LIMIT_FILES = table(
  {
    name: 'CONFIG_TYPE',
    kind: ['FILE', 'GRPC_XDS_SOTW'],
    default: 'FILE',
    means: 'source of the limits: FILE, or GRPC_XDS_SOTW, a control plane (ADS, state of the world)',
  },
  { name: 'RUNTIME_ROOT', kind: 'text', default: '/srv/runtime_data/current', means: 'root of the runtime folder' },
  { name: 'RUNTIME_SUBDIRECTORY', kind: 'text', means: 'folder below the root' },
  { name: 'RUNTIME_APPDIRECTORY', kind: 'text', default: 'config', means: 'folder below that, with the files' },
  { name: 'RUNTIME_IGNOREDOTFILES', kind: 'flag', means: 'ignore names that begin with a dot' },
  {
    name: 'RUNTIME_WATCH_ROOT',
    kind: 'flag',
    default: true,
    means: 'files change when the link RUNTIME_ROOT is swapped; false: in place',
  },
  { name: 'MERGE_DOMAIN_CONFIG', kind: 'flag', means: 'several files may add to one domain' },
);

export const CONTROL_PLANE = table(
  {
    name: 'CONFIG_GRPC_XDS_SERVER_URL',
    kind: 'text',
    default: 'localhost:18000',
    means: 'HOST:PORT of the control plane',
  },
  { name: 'CONFIG_GRPC_XDS_NODE_ID', kind: 'text', default: 'default', means: 'node id sent to the control plane' },
  { name: 'CONFIG_GRPC_XDS_NODE_METADATA', kind: 'text', means: 'NAME=VALUE,...: node metadata' },
  {
    name: 'CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS',
    kind: 'text',
    means: 'NAME:VALUE,...: gRPC metadata of the stream',
  },
  { name: 'CONFIG_GRPC_XDS_SERVER_USE_TLS', kind: 'flag', means: 'connect over TLS' },
  { name: 'CONFIG_GRPC_XDS_CLIENT_TLS_CERT', kind: 'text', means: 'PEM file of the client certificate' },
  { name: 'CONFIG_GRPC_XDS_CLIENT_TLS_KEY', kind: 'text', means: 'PEM file of its key' },
  { name: 'CONFIG_GRPC_XDS_SERVER_TLS_CACERT', kind: 'text', means: 'PEM file of the certificate authority to trust' },
  {
    name: 'CONFIG_GRPC_XDS_SERVER_TLS_SAN',
    kind: 'text',
    means: 'name expected in the server certificate, where that is not its host',
  },
  {
    name: 'FORCE_START_WITHOUT_INITIAL_CONFIG',
    kind: 'flag',
    means: 'serve before the control plane has sent limits; files are never waited for',
  },
  {
    name: 'XDS_CLIENT_BACKOFF_INITIAL_INTERVAL',
    kind: 'duration',
    default: 10_000,
    means: 'first back-off after a stream has ended; it doubles',
  },
  { name: 'XDS_CLIENT_BACKOFF_MAX_INTERVAL', kind: 'duration', default: 60_000, means: 'longest back-off' },
);
