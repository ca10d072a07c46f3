/**
 * The environment, as envoyproxy/ratelimit reads it (src/settings/settings.go), and our own settings beside it.
 * **In**: environment variables. **Out**: settings. **Fails**: with every variable that is wrong, and what was expected.
 */
import { OUTAGES } from '../config/tree.ts';
import { type Mogrifier, readMogrifiers } from '../metrics/mogrifiers.ts';
import { goDurationMs } from '../../time/duration.ts';

interface Setting {
  readonly name: string;
  readonly kind: 'text' | 'flag' | 'count' | 'ratio' | 'duration' | readonly string[];
  readonly is: string | number | boolean;
  readonly means: string;
}

const of = <const T extends readonly Setting[]>(...settings: T): T => settings;

/** What is honoured, with its default. docs/ratelimit.md is made from this table. Durations are Go's (`150ms`, `1h30m`), kept in ms. */
export const SETTINGS = of(
  { name: 'HOST', kind: 'text', is: '0.0.0.0', means: 'where /json and /healthcheck are' },
  { name: 'PORT', kind: 'count', is: 8080, means: 'the port of /json and /healthcheck' },
  { name: 'DEBUG_HOST', kind: 'text', is: '0.0.0.0', means: 'where /rlconfig and /stats are' },
  { name: 'DEBUG_PORT', kind: 'count', is: 6070, means: 'their port' },
  { name: 'GRPC_HOST', kind: 'text', is: '0.0.0.0', means: 'where Envoy calls' },
  { name: 'GRPC_PORT', kind: 'count', is: 8081, means: 'the port that Envoy calls' },
  { name: 'GRPC_UDS', kind: 'text', is: '', means: 'a unix socket, in place of host and port' },
  {
    name: 'SLUICE_WORKERS',
    kind: 'count',
    is: 1,
    means: 'ours: threads that answer at that port, each on a core of its own; `--workers N` says the same',
  },
  {
    name: 'GRPC_MAX_CONNECTION_AGE',
    kind: 'duration',
    is: 86_400_000,
    means: 'after it a connection is drained, so that Envoy connects anew',
  },
  { name: 'GRPC_SERVER_USE_TLS', kind: 'flag', is: false, means: 'Envoy calls over TLS' },
  { name: 'GRPC_SERVER_TLS_CERT', kind: 'text', is: '', means: 'a PEM file' },
  { name: 'GRPC_SERVER_TLS_KEY', kind: 'text', is: '', means: 'a PEM file' },
  {
    name: 'GRPC_CLIENT_TLS_CACERT',
    kind: 'text',
    is: '',
    means: 'a PEM file: callers have to show a certificate of this authority',
  },
  { name: 'LOG_LEVEL', kind: 'text', is: 'WARN', means: 'of our own log: debug, info, warn, error' },
  { name: 'LOG_FORMAT', kind: ['text', 'json'], is: 'text', means: 'of our own log' },
  { name: 'RUNTIME_ROOT', kind: 'text', is: '/srv/runtime_data/current', means: 'the root of the runtime folder' },
  { name: 'RUNTIME_SUBDIRECTORY', kind: 'text', is: '', means: 'a folder in it' },
  { name: 'RUNTIME_APPDIRECTORY', kind: 'text', is: 'config', means: 'the folder with the files, in that' },
  { name: 'RUNTIME_IGNOREDOTFILES', kind: 'flag', is: false, means: 'names that begin with a point are no files' },
  {
    name: 'RUNTIME_WATCH_ROOT',
    kind: 'flag',
    is: true,
    means: 'files change by a swap of the link RUNTIME_ROOT; false: in place',
  },
  { name: 'MERGE_DOMAIN_CONFIG', kind: 'flag', is: false, means: 'several files may add to one domain' },
  {
    name: 'CONFIG_TYPE',
    kind: ['FILE', 'GRPC_XDS_SOTW'],
    is: 'FILE',
    means: 'where limits come from: files, or a control plane (ADS, state of the world)',
  },
  {
    name: 'FORCE_START_WITHOUT_INITIAL_CONFIG',
    kind: 'flag',
    is: false,
    means: 'serves before the control plane has sent anything; files are never waited for',
  },
  { name: 'CONFIG_GRPC_XDS_NODE_ID', kind: 'text', is: 'default', means: 'who the control plane takes us for' },
  { name: 'CONFIG_GRPC_XDS_NODE_METADATA', kind: 'text', is: '', means: 'NAME=VALUE,...: told with it' },
  { name: 'CONFIG_GRPC_XDS_SERVER_URL', kind: 'text', is: 'localhost:18000', means: 'where the control plane is' },
  {
    name: 'CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS',
    kind: 'text',
    is: '',
    means: 'NAME:VALUE,...: sent as metadata',
  },
  { name: 'CONFIG_GRPC_XDS_SERVER_USE_TLS', kind: 'flag', is: false, means: 'it is called over TLS' },
  { name: 'CONFIG_GRPC_XDS_CLIENT_TLS_CERT', kind: 'text', is: '', means: 'a PEM file: who we are' },
  { name: 'CONFIG_GRPC_XDS_CLIENT_TLS_KEY', kind: 'text', is: '', means: 'its key' },
  { name: 'CONFIG_GRPC_XDS_SERVER_TLS_CACERT', kind: 'text', is: '', means: 'a PEM file: whom to trust' },
  {
    name: 'CONFIG_GRPC_XDS_SERVER_TLS_SAN',
    kind: 'text',
    is: '',
    means: 'the name in its certificate, where that is not its host',
  },
  {
    name: 'XDS_CLIENT_BACKOFF_INITIAL_INTERVAL',
    kind: 'duration',
    is: 10_000,
    means: 'before a stream that ended is begun again',
  },
  {
    name: 'XDS_CLIENT_BACKOFF_MAX_INTERVAL',
    kind: 'duration',
    is: 60_000,
    means: 'the same, after many that ended; it doubles',
  },
  {
    name: 'BACKEND_TYPE',
    kind: ['redis', 'memory'],
    is: 'redis',
    means: 'where is counted; memory (ours): in this process alone',
  },
  { name: 'EXPIRATION_JITTER_MAX_SECONDS', kind: 'count', is: 300, means: 'added to each expiry, at random' },
  {
    name: 'LOCAL_CACHE_SIZE_IN_BYTES',
    kind: 'count',
    is: 0,
    means: 'for counters that are over, so that Redis is not asked; 0: none',
  },
  { name: 'NEAR_LIMIT_RATIO', kind: 'ratio', is: 0.8, means: 'hits beyond this part of a limit are counted as near' },
  { name: 'CACHE_KEY_PREFIX', kind: 'text', is: '', means: 'what every key in Redis begins with' },
  {
    name: 'STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT',
    kind: 'flag',
    is: false,
    means: 'a request that one limit refuses is not charged to the others, as far as a look before tells',
  },
  {
    name: 'SLUICE_IETF_HEADERS',
    kind: 'flag',
    is: false,
    means:
      'ours: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10) in each answer, and Retry-After where it refuses',
  },
  { name: 'LIMIT_RESPONSE_HEADERS_ENABLED', kind: 'flag', is: false, means: 'three headers in each answer' },
  { name: 'LIMIT_LIMIT_HEADER', kind: 'text', is: 'RateLimit-Limit', means: 'the name of the first' },
  { name: 'LIMIT_REMAINING_HEADER', kind: 'text', is: 'RateLimit-Remaining', means: 'of the second' },
  { name: 'LIMIT_RESET_HEADER', kind: 'text', is: 'RateLimit-Reset', means: 'of the third: seconds' },
  {
    name: 'RESPONSE_DYNAMIC_METADATA',
    kind: 'flag',
    is: false,
    means: 'the request, and the metadata of rules, in each answer',
  },
  {
    name: 'USE_CALENDAR_MONTH_RATE_LIMIT',
    kind: 'flag',
    is: false,
    means: 'unit: month is a month of the calendar in UTC, in place of 30 days',
  },
  { name: 'SHADOW_MODE', kind: 'flag', is: false, means: 'nothing is refused, only counted' },
  { name: 'QUOTA_MODE', kind: 'flag', is: false, means: 'every limit is a quota' },
  {
    name: 'HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED',
    kind: 'flag',
    is: false,
    means: 'unhealthy until files have been loaded',
  },
  { name: 'REDIS_SOCKET_TYPE', kind: ['unix', 'tcp'], is: 'unix', means: 'how Redis is reached' },
  { name: 'REDIS_TYPE', kind: ['SINGLE', 'SENTINEL', 'CLUSTER'], is: 'SINGLE', means: 'what it is' },
  {
    name: 'REDIS_URL',
    kind: 'text',
    is: '/var/run/nutcracker/ratelimit.sock',
    means:
      '[SCHEME://[USER:PASSWORD@]]HOST:PORT, or a path; SENTINEL: MASTER,HOST:PORT,...; CLUSTER: HOST:PORT,... SCHEME is redis, or rediss for TLS; user and password are percent-encoded',
  },
  { name: 'REDIS_AUTH', kind: 'text', is: '', means: 'PASSWORD or USER:PASSWORD' },
  { name: 'REDIS_SENTINEL_AUTH', kind: 'text', is: '', means: 'the same, of the sentinels' },
  { name: 'REDIS_TLS', kind: 'flag', is: false, means: 'Redis over TLS' },
  { name: 'REDIS_TLS_CLIENT_CERT', kind: 'text', is: '', means: 'a PEM file: who we are' },
  { name: 'REDIS_TLS_CLIENT_KEY', kind: 'text', is: '', means: 'its key' },
  { name: 'REDIS_TLS_CACERT', kind: 'text', is: '', means: 'a PEM file: whom to trust' },
  {
    name: 'REDIS_TLS_SKIP_HOSTNAME_VERIFICATION',
    kind: 'flag',
    is: false,
    means: "any name will do in Redis' certificate",
  },
  { name: 'REDIS_TIMEOUT', kind: 'duration', is: 10_000, means: 'how long a connection may take' },
  {
    name: 'REDIS_PERSECOND',
    kind: 'flag',
    is: false,
    means: 'windows of a second are counted in a Redis of their own',
  },
  { name: 'REDIS_PERSECOND_SOCKET_TYPE', kind: ['unix', 'tcp'], is: 'unix', means: 'how that is reached' },
  { name: 'REDIS_PERSECOND_TYPE', kind: ['SINGLE', 'SENTINEL', 'CLUSTER'], is: 'SINGLE', means: 'what it is' },
  {
    name: 'REDIS_PERSECOND_URL',
    kind: 'text',
    is: '/var/run/nutcracker/ratelimitpersecond.sock',
    means: 'where it is',
  },
  { name: 'REDIS_PERSECOND_AUTH', kind: 'text', is: '', means: 'PASSWORD or USER:PASSWORD' },
  { name: 'REDIS_PERSECOND_SENTINEL_AUTH', kind: 'text', is: '', means: 'the same, of its sentinels' },
  { name: 'REDIS_PERSECOND_TLS', kind: 'flag', is: false, means: 'over TLS' },
  { name: 'USE_STATSD', kind: 'flag', is: true, means: 'counters go to statsd over TCP; off where another sink is on' },
  { name: 'STATSD_HOST', kind: 'text', is: 'localhost', means: 'where statsd is' },
  { name: 'STATSD_PORT', kind: 'count', is: 8125, means: 'its port' },
  { name: 'USE_DOG_STATSD', kind: 'flag', is: false, means: 'counters go to DogStatsD over UDP, at the same address' },
  {
    name: 'USE_DOG_STATSD_MOGRIFIERS',
    kind: 'text',
    is: '',
    means:
      'N,...: names that DogStatsD is told are rewritten by the first that fits: `DOG_STATSD_MOGRIFIER_N_PATTERN` (RE2), `DOG_STATSD_MOGRIFIER_N_NAME` (`$1` is a group) and `DOG_STATSD_MOGRIFIER_N_TAGS` (`TAG:$2,...`)',
  },
  { name: 'USE_PROMETHEUS', kind: 'flag', is: false, means: 'counters are a page for Prometheus' },
  { name: 'PROMETHEUS_ADDR', kind: 'text', is: ':9090', means: 'where the page is' },
  { name: 'PROMETHEUS_PATH', kind: 'text', is: '/metrics', means: 'its path' },
  {
    name: 'PROMETHEUS_MAPPER_YAML',
    kind: 'text',
    is: '',
    means: 'a file that maps paths to names and labels, as statsd_exporter does, in place of the built-in one',
  },
  { name: 'STATS_FLUSH_INTERVAL', kind: 'duration', is: 10_000, means: 'how often statsd is told' },
  { name: 'DISABLE_STATS', kind: 'flag', is: false, means: 'tells nobody' },
  {
    name: 'SANITIZE_DESCRIPTOR_METRIC_DOTS',
    kind: 'flag',
    is: false,
    means: 'a point within a key or a value is _ in names of metrics, where points part levels',
  },
  { name: 'EXTRA_TAGS', kind: 'text', is: '', means: 'NAME:VALUE,...: tags of every counter that statsd is told' },
  {
    name: 'TRACING_ENABLED',
    kind: 'flag',
    is: false,
    means: 'spans go to an OpenTelemetry collector; where and how is said by OTEL_EXPORTER_OTLP_...',
  },
  { name: 'TRACING_SERVICE_NAME', kind: 'text', is: 'RateLimit', means: 'service.name of every span' },
  { name: 'TRACING_SERVICE_NAMESPACE', kind: 'text', is: '', means: 'service.namespace' },
  {
    name: 'TRACING_SERVICE_INSTANCE_ID',
    kind: 'text',
    is: '',
    means: 'service.instance.id, such as the name of the pod; a uuid where none is set',
  },
  {
    name: 'TRACING_EXPORTER_PROTOCOL',
    kind: ['http', 'grpc'],
    is: 'http',
    means: 'how the collector is told: OTLP over HTTP (protobuf) or gRPC',
  },
  {
    name: 'TRACING_SAMPLING_RATE',
    kind: 'ratio',
    is: 1,
    means: "of traces that begin here, this part; a caller's are traced if the caller traces them",
  },
  {
    name: 'SLUICE_REDIS_DEADLINE',
    kind: 'duration',
    is: 15,
    means: 'ours: how long Redis may take to answer; Envoy gives 20 ms by default',
  },
  {
    name: 'SLUICE_OUTAGE',
    kind: OUTAGES,
    is: 'error',
    means:
      "ours: what a limit answers when Redis does not; error: gRPC's UNKNOWN, as the reference; open, closed; local: counted here, up to a share of the limit. `rate_limit: { sluice: { outage: WORD } }` says so for one",
  },
  {
    name: 'SLUICE_REPLICAS',
    kind: 'count',
    is: 1,
    means: 'ours: how many processes share a limit while it is counted locally: each has its part',
  },
  {
    name: 'SLUICE_ESCROW',
    kind: 'flag',
    is: false,
    means:
      'ours: units are taken from Redis in chunks and spent here, so that most answers need no trip; a refused request is not charged',
  },
  {
    name: 'SLUICE_MAX_KEYS',
    kind: 'count',
    is: 1_000_000,
    means:
      'ours: how many counters are kept with BACKEND_TYPE=memory, each of at most 600 bytes; where all are in use, a call with a new key is answered as SLUICE_OUTAGE says, unless its limit has less than its share of them',
  },
  {
    name: 'SLUICE_SAFE',
    kind: 'flag',
    is: false,
    means:
      'ours: parts of a key are told apart, and a request that is refused is charged to no limit; not together with replicas of envoyproxy/ratelimit',
  },
);

/** Threads beyond the cores of any machine are a slip of the finger. */
const MOST_WORKERS = 256;

/** Of the reference, and without meaning here. */
export const NOT_HONOURED: ReadonlyMap<string, string> = new Map([
  ['GRPC_MAX_CONNECTION_AGE_GRACE', 'calls that are on their way are always answered'],
  [
    'CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL',
    'XDS_CLIENT_BACKOFF_INITIAL_INTERVAL says when a stream is begun again',
  ],
  ['XDS_CLIENT_BACKOFF_RANDOM_FACTOR', 'pauses double'],
  ['XDS_CLIENT_BACKOFF_JITTER', 'pauses always vary by a quarter'],
  ['XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES', 'messages of any size are taken'],
  ['GRPC_CLIENT_TLS_SAN', 'callers are known by their authority alone'],
  ['REDIS_POOL_SIZE', 'one connection carries all, in pipelines'],
  ['REDIS_PERSECOND_POOL_SIZE', 'one connection carries all, in pipelines'],
  ['REDIS_PIPELINE_WINDOW', 'what comes in one turn of the event loop goes out in one write'],
  ['REDIS_PIPELINE_LIMIT', 'what comes in one turn of the event loop goes out in one write'],
  ['REDIS_POOL_ON_EMPTY_BEHAVIOR', 'there is no pool'],
  ['REDIS_HEALTH_CHECK_ACTIVE_CONNECTION', 'health always follows the connection'],
  ['REDIS_PERSECOND_PIPELINE_WINDOW', 'what comes in one turn of the event loop goes out in one write'],
  ['REDIS_PERSECOND_PIPELINE_LIMIT', 'what comes in one turn of the event loop goes out in one write'],
  ['REDIS_CLUSTER_PIPELINE_PARALLELISM', 'all nodes of a cluster are asked at once'],
  ['REDIS_PERSECOND_CLUSTER_PIPELINE_PARALLELISM', 'all nodes of a cluster are asked at once'],
  ['REDIS_PERSECOND_POOL_ON_EMPTY_BEHAVIOR', 'there is no pool'],
  ['REDIS_PERSECOND_TIMEOUT', 'REDIS_TIMEOUT holds for both'],
  ['REDIS_STARTUP_INITIAL_INTERVAL', 'it serves while Redis is away, and connects as soon as it can'],
  ['REDIS_STARTUP_MAX_INTERVAL', 'it serves while Redis is away, and connects as soon as it can'],
  ['REDIS_STARTUP_MAX_ELAPSED_TIME', 'it serves while Redis is away, and connects as soon as it can'],
  ['REDIS_AUTH_FILE', 'the password is REDIS_AUTH, or stands in REDIS_URL'],
  ['REDIS_AWS_IAM_AUTH', 'the password is REDIS_AUTH, or stands in REDIS_URL'],
  ['PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS', 'response times are told in seconds'],
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
  ].map((name) => [`MEMCACHE_${name}`, 'memcached is not spoken; use Redis, or BACKEND_TYPE=memory'] as const),
]);

type Value<S extends Setting> = S['kind'] extends 'flag'
  ? boolean
  : S['kind'] extends 'count' | 'ratio' | 'duration'
    ? number
    : string;
export type Settings = { readonly [S in (typeof SETTINGS)[number] as S['name']]: Value<S> };

export interface ReadSettings {
  readonly settings: Settings;
  /** Of names that DogStatsD is told; absent where none is set, or nothing is told. */
  readonly mogrifier: Mogrifier | undefined;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

export function readSettings(env: Readonly<Record<string, string | undefined>>): ReadSettings {
  const problems: string[] = [];
  const values: Record<string, string | number | boolean> = {};
  for (const { name, kind, is } of SETTINGS as readonly Setting[]) {
    const text = env[name];
    if (text === undefined || text === '') {
      values[name] = is;
      continue;
    }
    const value = valueOf(kind, text);
    if (value === undefined) problems.push(`${name} is "${text}"; ${EXPECTED(kind)} is expected`);
    values[name] = value ?? is;
  }
  const settings = values as unknown as Settings;
  if (settings.GRPC_SERVER_USE_TLS && (settings.GRPC_SERVER_TLS_CERT === '' || settings.GRPC_SERVER_TLS_KEY === ''))
    problems.push('GRPC_SERVER_USE_TLS needs GRPC_SERVER_TLS_CERT and GRPC_SERVER_TLS_KEY');
  if ((settings.REDIS_TLS_CLIENT_CERT === '') !== (settings.REDIS_TLS_CLIENT_KEY === ''))
    problems.push('REDIS_TLS_CLIENT_CERT and REDIS_TLS_CLIENT_KEY go together');
  if (settings.SLUICE_WORKERS < 1 || settings.SLUICE_WORKERS > MOST_WORKERS)
    problems.push(
      `SLUICE_WORKERS is "${settings.SLUICE_WORKERS}"; a whole number from 1 to ${MOST_WORKERS} is expected`,
    );
  if (settings.SLUICE_WORKERS > 1 && settings.GRPC_UDS !== '')
    problems.push(
      'SLUICE_WORKERS and GRPC_UDS do not go together: workers share a port, and a unix socket cannot be shared; take GRPC_HOST and GRPC_PORT, or one worker',
    );
  const warnings = [...NOT_HONOURED]
    .filter(([name]) => (env[name] ?? '') !== '')
    .map(([name, why]) => `${name} has no effect: ${why}`);
  if (settings.USE_DOG_STATSD_MOGRIFIERS === '') return { settings, mogrifier: undefined, problems, warnings };
  if (!settings.USE_DOG_STATSD || settings.DISABLE_STATS)
    return {
      settings,
      mogrifier: undefined,
      problems,
      warnings: [...warnings, 'USE_DOG_STATSD_MOGRIFIERS has no effect: DogStatsD is not told anything'],
    };
  const mogrifiers = readMogrifiers(settings.USE_DOG_STATSD_MOGRIFIERS, env);
  return { settings, mogrifier: mogrifiers.mogrifier, problems: [...problems, ...mogrifiers.problems], warnings };
}

/** As Go's strconv.ParseBool. */
const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((text) => [text, false] as const),
]);

function valueOf(kind: Setting['kind'], text: string): string | number | boolean | undefined {
  switch (kind) {
    case 'text':
      return text;
    case 'flag':
      return FLAGS.get(text);
    case 'count':
      return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    case 'ratio':
      return /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
    case 'duration':
      return text.startsWith('-') ? undefined : goDurationMs(text);
    default:
      return kind.find((word) => word.toUpperCase() === text.toUpperCase());
  }
}

const EXPECTED = (kind: Setting['kind']): string => {
  switch (kind) {
    case 'text':
      return 'text';
    case 'flag':
      return 'true or false';
    case 'count':
      return 'a whole number';
    case 'ratio':
      return 'a number such as 0.8';
    case 'duration':
      return 'a duration such as 150ms or 24h';
    default:
      return `one of ${kind.join(', ')}`;
  }
};
