/**
 * What is counted, as the built-in mapper of envoyproxy/ratelimit names it for Prometheus (src/stats/prom/default_mapper.yaml): a
 * domain, the first key and the second are labels, what is below is added up; what the mapper does not know is named by its path.
 */
import { RESPONSE_TIME_BUCKETS_S, type RatelimitMetrics } from './metrics.ts';

const MAPPED = new Set(['near_limit', 'over_limit', 'total_hits', 'within_limit', 'shadow_mode']);
const RULE = 'ratelimit.service.rate_limit.';
const ERROR = 'ratelimit.service.call.should_rate_limit.';

export function prometheusPage(metrics: RatelimitMetrics): string {
  const families = new Map<string, { readonly kind: 'counter' | 'gauge'; readonly samples: Map<string, number> }>();
  const add = (kind: 'counter' | 'gauge', name: string, labels: Readonly<Record<string, string>>, value: number): void => {
    const family = families.get(name) ?? { kind, samples: new Map<string, number>() };
    families.set(name, family);
    const text = labelText(labels);
    family.samples.set(text, (family.samples.get(text) ?? 0) + value);
  };
  for (const [name, value] of metrics.counters()) {
    const { family, labels } = mapped(name);
    add('counter', family, labels, value);
  }
  for (const [name, read] of metrics.gauges) add('gauge', plainName(name), {}, read());
  const lines: string[] = [];
  for (const [name, { kind, samples }] of families) {
    lines.push(`# TYPE ${name} ${kind}`);
    for (const [labels, value] of samples) lines.push(`${name}${labels} ${value}`);
  }
  return `${[...lines, ...responseTimes(metrics)].join('\n')}\n`;
}

function mapped(name: string): { readonly family: string; readonly labels: Readonly<Record<string, string>> } {
  if (name.startsWith(ERROR)) return { family: 'ratelimit_service_should_rate_limit_error', labels: { err_type: name.slice(ERROR.length) } };
  if (name === 'ratelimit_server.ShouldRateLimit.total_requests') return { family: 'ratelimit_service_total_requests', labels: { grpc_method: 'ShouldRateLimit' } };
  const parts = name.startsWith(RULE) ? name.slice(RULE.length).split('.') : [];
  const counter = parts.pop() ?? '';
  const [domain, key1, key2] = parts;
  if (!MAPPED.has(counter) || domain === undefined || key1 === undefined) return { family: plainName(name), labels: {} };
  return { family: `ratelimit_service_rate_limit_${counter}`, labels: key2 === undefined ? { domain, key1 } : { domain, key1, key2 } };
}

function* responseTimes({ responseTimes: counts, responseTimeSumS, service }: RatelimitMetrics): Generator<string> {
  const name = 'ratelimit_service_response_time_seconds';
  yield `# TYPE ${name} histogram`;
  let sum = 0;
  for (const [at, most] of [...RESPONSE_TIME_BUCKETS_S, '+Inf'].entries()) {
    sum += counts[at] ?? 0;
    yield `${name}_bucket{grpc_method="ShouldRateLimit",le="${most}"} ${sum}`;
  }
  yield `${name}_sum{grpc_method="ShouldRateLimit"} ${responseTimeSumS}`;
  yield `${name}_count{grpc_method="ShouldRateLimit"} ${service.totalRequests}`;
}

/** As statsd_exporter makes a name of a path. */
const plainName = (name: string): string => name.replaceAll(/[^a-zA-Z0-9_:]/g, '_').replace(/^\d/, '_$&');

function labelText(labels: Readonly<Record<string, string>>): string {
  const texts = Object.entries(labels).map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`);
  return texts.length === 0 ? '' : `{${texts.join(',')}}`;
}
