import { table } from './setting.ts';

export const METRICS = table(
  {
    name: 'USE_STATSD',
    kind: 'flag',
    default: true,
    means: 'send metrics to statsd over TCP; off where DogStatsD or Prometheus is on',
  },
  { name: 'USE_DOG_STATSD', kind: 'flag', means: 'send metrics to DogStatsD over UDP, at the address of statsd' },
  { name: 'STATSD_HOST', kind: 'text', default: 'localhost', means: 'host of statsd or DogStatsD' },
  { name: 'STATSD_PORT', kind: 'count', default: 8125, means: 'its port' },
  {
    name: 'STATS_FLUSH_INTERVAL',
    kind: 'duration',
    default: 10_000,
    means: 'interval at which changed metrics are sent to statsd or DogStatsD',
  },
  { name: 'EXTRA_TAGS', kind: 'text', means: 'NAME:VALUE,...: tags of every metric that statsd or DogStatsD is sent' },
  {
    name: 'USE_DOG_STATSD_MOGRIFIERS',
    kind: 'text',
    means:
      'N,...: rewrite names for DogStatsD by the first pattern that matches: `DOG_STATSD_MOGRIFIER_N_PATTERN` (RE2), ' +
      '`DOG_STATSD_MOGRIFIER_N_NAME` (`$1` is a group) and `DOG_STATSD_MOGRIFIER_N_TAGS` (`TAG:$2,...`)',
  },
  { name: 'USE_PROMETHEUS', kind: 'flag', means: 'serve a page for Prometheus' },
  { name: 'PROMETHEUS_ADDR', kind: 'text', default: ':9090', means: 'HOST:PORT of the page' },
  { name: 'PROMETHEUS_PATH', kind: 'text', default: '/metrics', means: 'path of the page' },
  {
    name: 'PROMETHEUS_MAPPER_YAML',
    kind: 'text',
    means: 'file that maps paths to names and labels, as statsd_exporter does; replaces the built-in mapping',
  },
  {
    name: 'SANITIZE_DESCRIPTOR_METRIC_DOTS',
    kind: 'flag',
    means: 'write a dot within a key or a value as _ in metric names, where dots separate levels',
  },
  { name: 'DISABLE_STATS', kind: 'flag', means: 'export no metrics' },
);

export const TRACING = table(
  {
    name: 'TRACING_ENABLED',
    kind: 'flag',
    means: 'export spans to an OpenTelemetry collector; OTEL_EXPORTER_OTLP_... say where',
  },
  { name: 'TRACING_SERVICE_NAME', kind: 'text', default: 'RateLimit', means: 'service.name' },
  { name: 'TRACING_SERVICE_NAMESPACE', kind: 'text', means: 'service.namespace' },
  {
    name: 'TRACING_SERVICE_INSTANCE_ID',
    kind: 'text',
    means: 'service.instance.id, such as the name of the pod; by default a random UUID',
  },
  {
    name: 'TRACING_EXPORTER_PROTOCOL',
    kind: ['http', 'grpc'],
    default: 'http',
    means: 'OTLP over HTTP (protobuf) or gRPC',
  },
  {
    name: 'TRACING_SAMPLING_RATE',
    kind: 'ratio',
    default: 1,
    means: "part of the traces that begin here which is sampled; a caller's trace keeps the caller's decision",
  },
);
