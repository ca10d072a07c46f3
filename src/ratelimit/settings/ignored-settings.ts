/** Settings of the reference without a counterpart here, with the reason; the log names each that is set. */
export const IGNORED_SETTINGS: ReadonlyMap<string, string> = new Map([
  ['GRPC_MAX_CONNECTION_AGE_GRACE', 'calls in flight are always answered'],
  ['GRPC_CLIENT_TLS_SAN', 'a client is authenticated by its certificate authority alone'],
  ['CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL', 'XDS_CLIENT_BACKOFF_INITIAL_INTERVAL covers connecting, too'],
  ['XDS_CLIENT_BACKOFF_RANDOM_FACTOR', 'the back-off doubles, with a fixed jitter of a quarter'],
  ['XDS_CLIENT_BACKOFF_JITTER', 'the back-off always has a jitter of a quarter'],
  ['XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES', 'messages of any size are accepted'],
  ...['REDIS_POOL_SIZE', 'REDIS_PERSECOND_POOL_SIZE'].map(
    (name) => [name, 'no pool is used; one connection carries all commands, pipelined'] as const,
  ),
  ...['REDIS_POOL_ON_EMPTY_BEHAVIOR', 'REDIS_PERSECOND_POOL_ON_EMPTY_BEHAVIOR'].map(
    (name) => [name, 'no pool is used'] as const,
  ),
  ...[
    'REDIS_PIPELINE_WINDOW',
    'REDIS_PIPELINE_LIMIT',
    'REDIS_PERSECOND_PIPELINE_WINDOW',
    'REDIS_PERSECOND_PIPELINE_LIMIT',
  ].map((name) => [name, 'commands of one turn of the event loop are sent in one write'] as const),
  ...['REDIS_CLUSTER_PIPELINE_PARALLELISM', 'REDIS_PERSECOND_CLUSTER_PIPELINE_PARALLELISM'].map(
    (name) => [name, 'all nodes of a cluster are asked in parallel'] as const,
  ),
  ['REDIS_HEALTH_CHECK_ACTIVE_CONNECTION', 'health always follows the connection'],
  ['REDIS_PERSECOND_TIMEOUT', 'REDIS_TIMEOUT covers both'],
  ...['REDIS_STARTUP_INITIAL_INTERVAL', 'REDIS_STARTUP_MAX_INTERVAL', 'REDIS_STARTUP_MAX_ELAPSED_TIME'].map(
    (name) => [name, 'the server starts even if Redis is unavailable, and connects as soon as it can'] as const,
  ),
  ...['REDIS_AUTH_FILE', 'REDIS_AWS_IAM_AUTH'].map(
    (name) => [name, 'the password is in REDIS_AUTH or REDIS_URL'] as const,
  ),
  ['PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS', 'response times are in seconds'],
  ...[
    'HOST_PORT',
    'MAX_IDLE_CONNS',
    'SRV',
    'SRV_REFRESH',
    'TLS',
    'TLS_CACERT',
    'TLS_CLIENT_CERT',
    'TLS_CLIENT_KEY',
    'TLS_SKIP_HOSTNAME_VERIFICATION',
  ].map((name) => [`MEMCACHE_${name}`, 'memcached is not supported; use Redis, or BACKEND_TYPE=memory'] as const),
]);
