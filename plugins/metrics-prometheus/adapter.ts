/** Counters, gauges and histograms that rules feed, on Sluice's own page /metrics. */
import { z } from 'zod';
import { defineAdapter, Rejected, report, type Shape } from 'sluice/plugin';
import { configSchema, type MetricConfig, type MetricsConfig } from './config.ts';
import type { Family } from './family.ts';

function metricOf({ metrics }: MetricsConfig, name: string): MetricConfig {
  const metric = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
  if (metric === undefined) throw new Error(`there is no metric "${name}" in this handler's config; there are: ${Object.keys(metrics).join(', ') || 'none'}`);
  return metric;
}

/** A counter without a value counts 1; what a gauge or a histogram should show must be said. */
function inputOf(config: MetricsConfig, params: { readonly metric: string }): Shape {
  const { kind, labels } = metricOf(config, params.metric);
  return { value: kind === 'counter' ? 'double?' : 'double', ...Object.fromEntries(labels.map((label) => [`labels.${label}`, 'string'] as const)) };
}

export default defineAdapter({
  name: 'metrics-prometheus',
  summary: 'Counts and measures reports as Prometheus metrics, served at /metrics.',
  config: configSchema,
  serves: {
    report: {
      params: z.strictObject({ metric: z.string().describe('Which of the handler\'s metrics this rule feeds.') }),
      input: inputOf,
      batch: { max: 1000, maxAgeMs: 200 }, // soon enough to be seen on the next look at the page
    },
  },
  selfContained: true,
  async open(config, host) {
    const [{ Registry }, { openFamily }] = await Promise.all([import('prom-client'), import('./family.ts')]);
    const overflow = host.metrics.counter('metrics_prometheus_overflow', 'Reports counted under labels "other", because maxSeries was reached.');
    const registry = new Registry();
    const families = new Map(Object.entries(config.metrics).map(([name, metric]) => [name, openFamily(registry, name, metric, {
      maxSeries: config.maxSeries, maxLabelLength: config.maxLabelLength, onOverflow: () => overflow.add(),
    })]));
    host.metrics.page(() => registry.metrics());
    return report<Family, { metric: string }>({
      sink({ params: { metric } }) {
        metricOf(config, metric);
        return families.get(metric) as Family;
      },
      write(entries) {
        const refused: number[] = [];
        let why = '';
        entries.forEach(({ sink, input }, at) => {
          const problem = sink.take(input);
          if (problem === undefined) return;
          refused.push(at);
          why ||= problem;
        });
        if (refused.length > 0) throw new Rejected(why, refused);
      },
    });
  },
});
