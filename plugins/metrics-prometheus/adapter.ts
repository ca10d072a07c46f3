/** Counters, gauges and histograms from reports, on Sluice's /metrics page. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { defineAdapter, Rejected, report, type Shape } from 'sluice/plugin';
import { configSchema, type MetricConfig, type MetricsConfig } from './config.ts';
import { type Family, openFamily } from './family.ts';

/** Series rendered in one turn of the event loop, in about a millisecond. */
const SERIES_PER_TURN = 500;

/** Rendered in slices: a page may have a million lines, and calls wait for the event loop. */
async function pageOf(families: readonly Family[]): Promise<string> {
  let page = '';
  let written = 0;
  for (const family of families) {
    for (const lines of family.lines()) {
      page += lines;
      if (++written % SERIES_PER_TURN === 0) await nextTurn();
    }
  }
  return page;
}

function metricOf({ metrics }: MetricsConfig, name: string): MetricConfig {
  const metric = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
  if (metric === undefined)
    throw new Error(
      `the handler's config has no metric "${name}"; known are ${Object.keys(metrics).join(', ') || 'none'}`,
    );
  return metric;
}

/** A counter's value defaults to 1; gauges and histograms need one. */
function inputOf(config: MetricsConfig, params: { readonly metric: string }): Shape {
  const { kind, labels } = metricOf(config, params.metric);
  return {
    value: kind === 'counter' ? 'double?' : 'double',
    ...Object.fromEntries(labels.map((label) => [`labels.${label}`, 'string'] as const)),
  };
}

export default defineAdapter({
  name: 'metrics-prometheus',
  summary: 'Turns reports into Prometheus counters, gauges and histograms, served at /metrics.',
  config: configSchema,
  serves: {
    report: {
      params: z.strictObject({ metric: z.string().describe("The handler's metric that this rule updates.") }),
      input: inputOf,
      batch: { max: 1000, maxAgeMs: 200 }, // shorter than any scrape interval
    },
  },
  selfContained: true,
  async open(config, host) {
    const overflow = host.metrics.counter(
      'metrics_prometheus_overflow',
      'Reports counted in the series with labels "other", because maxSeries was reached.',
    );
    const families = new Map(
      Object.entries(config.metrics).map(([name, metric]) => [
        name,
        openFamily(name, metric, {
          maxSeries: config.maxSeries,
          maxLabelLength: config.maxLabelLength,
          expireAfterMs: config.expireAfterMs,
          expiresOnlyWhenFull: host.worker.count > 1,
          monotonicMs: () => host.clock.monotonicMs(),
          onOverflow: () => overflow.add(),
        }),
      ]),
    );
    host.metrics.page(() => pageOf([...families.values()]));
    return report<Family, { metric: string }>({
      sink({ params: { metric } }) {
        metricOf(config, metric);
        return families.get(metric) as Family;
      },
      write(entries) {
        const refused: number[] = [];
        let why = '';
        const nowMs = host.clock.monotonicMs();
        entries.forEach(({ sink, input }, at) => {
          const problem = sink.count(input, nowMs);
          if (problem === undefined) return;
          refused.push(at);
          why ||= problem;
        });
        if (refused.length > 0) throw new Rejected(why, refused);
      },
    });
  },
});
