/** Counters, gauges and histograms from reports, pushed to a collector. */
import { z } from 'zod';
import { defineAdapter, report } from 'sluice/plugin';
import { checkServer } from '../http/config.ts';
import { checkMetricsOf, type MetricFormat, metricsFieldsOf } from '../metrics/config.ts';
import { inputOf, openRegistry, paramsSchema } from '../metrics/registry.ts';
import { otlpShape } from '../otlp/config.ts';

const OTLP: MetricFormat = {
  metricName: /^[a-zA-Z][\w./-]{0,254}$/,
  labelName: /^[a-zA-Z_][\w./-]*$/,
  unit: /^[\x21-\x7e]{1,63}$/,
  says: {
    metricName: "a metric's name is at most 255 letters, digits, and _ . / -, and begins with a letter",
    labelName: 'a label is letters, digits, and _ . / -, and begins with a letter or _',
    unit: 'a unit is at most 63 characters of ASCII without spaces, such as s or By',
  },
  nameEndsInUnit: false,
};

const configSchema = z
  .strictObject({
    ...otlpShape,
    ...metricsFieldsOf(OTLP),
    intervalMs: z
      .int()
      .min(100)
      .max(86_400_000)
      .default(60_000)
      .describe('How often the metrics are pushed. A push that fails is repeated sooner, with the values of then.'),
    timeoutMs: z
      .int()
      .min(1)
      .max(600_000)
      .default(10_000)
      .describe('How long the collector may take to answer a request.'),
  })
  .check(checkServer)
  .check(checkMetricsOf(OTLP))
  .check(({ value: { metrics }, issues }) => {
    for (const [name, { merge }] of Object.entries(metrics))
      if (merge !== undefined)
        issues.push({
          code: 'custom',
          path: ['metrics', name, 'merge'],
          message: 'each worker sends series of its own; remove merge',
          input: merge,
        });
  });
export type MetricsOtlpConfig = z.output<typeof configSchema>;

export default defineAdapter({
  name: 'metrics-otlp',
  summary: 'Turns reports into counters, gauges and histograms, and pushes them by OTLP, over HTTP or gRPC.',
  config: configSchema,
  serves: {
    report: {
      params: paramsSchema,
      input: inputOf,
      counts: true,
      batch: { max: 100, maxAgeMs: 200 },
    },
  },
  async open(config, host) {
    const { openPusher } = await import('./pusher.ts');
    const registry = openRegistry(config, host, 'metrics_otlp_overflow');
    const pusher = await openPusher(registry.families, config, host);
    host.background('pushing metrics', (signal) => pusher.run(signal));
    return {
      ...report({ sink: ({ params }) => registry.sink(params), write: (entries) => registry.write(entries) }),
      close: () => pusher.close(),
    };
  },
});
