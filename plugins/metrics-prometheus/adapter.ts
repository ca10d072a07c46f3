/** Counters, gauges and histograms from reports, on Sluice's /metrics page. */
import { z } from 'zod';
import { defineAdapter, report } from 'sluice/plugin';
import { checkMetricsOf, metricsFieldsOf, PROMETHEUS } from '../metrics/config.ts';
import { inputOf, openRegistry, paramsSchema } from '../metrics/registry.ts';
import { pageOf } from './page.ts';

export default defineAdapter({
  name: 'metrics-prometheus',
  summary: 'Turns reports into Prometheus counters, gauges and histograms, served at /metrics.',
  config: z.strictObject(metricsFieldsOf(PROMETHEUS)).check(checkMetricsOf(PROMETHEUS)),
  serves: {
    report: {
      params: paramsSchema,
      input: inputOf,
      counts: true,
      // Shorter than any scrape interval. Larger batches hold the loop for longer, and their entries are copied by each minor collection.
      batch: { max: 100, maxAgeMs: 200 },
    },
  },
  selfContained: true,
  metrics: ({ metrics }) => Object.keys(metrics).map((name) => ({ name, path: ['metrics', name] })),
  async open(config, host) {
    const registry = openRegistry(config, host, 'metrics_prometheus_overflow');
    host.metrics.page(() => pageOf(registry.families));
    return report({ sink: ({ params }) => registry.sink(params), write: (entries) => registry.write(entries) });
  },
});
