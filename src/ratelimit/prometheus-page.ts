/** What is counted, as a page for Prometheus: names and labels are a mapper's, by default those of envoyproxy/ratelimit. */
import { DEFAULT_MAPPER, type Mapper, plainName } from './metric-mapper.ts';
import { RESPONSE_TIME_BUCKETS_S, type RatelimitMetrics } from './metrics.ts';

const RESPONSE_TIME = 'ratelimit_server.ShouldRateLimit.response_time';

export function prometheusPage(metrics: RatelimitMetrics, mapper: Mapper = DEFAULT_MAPPER): string {
  const families = new Map<string, { readonly kind: 'counter' | 'gauge'; readonly samples: Map<string, number> }>();
  const add = (kind: 'counter' | 'gauge', path: string, value: number): void => {
    const mapped = mapper(path, kind) ?? { family: plainName(path), labels: {} };
    if (mapped === 'dropped') return;
    const family = families.get(mapped.family) ?? { kind, samples: new Map<string, number>() };
    families.set(mapped.family, family);
    const labels = labelText(mapped.labels);
    family.samples.set(labels, (family.samples.get(labels) ?? 0) + value);
  };
  for (const [path, value] of metrics.counters()) add('counter', path, value);
  for (const [path, read] of metrics.gauges) add('gauge', path, read());
  const lines: string[] = [];
  for (const [name, { kind, samples }] of families) {
    lines.push(`# TYPE ${name} ${kind}`);
    for (const [labels, value] of samples) lines.push(`${name}${labels} ${value}`);
  }
  return `${[...lines, ...responseTimes(metrics, mapper)].join('\n')}\n`;
}

function* responseTimes({ responseTimes: counts, responseTimeSumS, service }: RatelimitMetrics, mapper: Mapper): Generator<string> {
  const mapped = mapper(RESPONSE_TIME, 'observer') ?? { family: plainName(RESPONSE_TIME), labels: {} };
  if (mapped === 'dropped') return;
  const { family, labels } = mapped;
  yield `# TYPE ${family} histogram`;
  let sum = 0;
  for (const [at, most] of [...RESPONSE_TIME_BUCKETS_S, '+Inf'].entries()) {
    sum += counts[at] ?? 0;
    yield `${family}_bucket${labelText({ ...labels, le: String(most) })} ${sum}`;
  }
  yield `${family}_sum${labelText(labels)} ${responseTimeSumS}`;
  yield `${family}_count${labelText(labels)} ${service.totalRequests}`;
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const texts = Object.entries(labels).map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`);
  return texts.length === 0 ? '' : `{${texts.join(',')}}`;
}
