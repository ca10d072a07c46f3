/**
 * Sluice's own metrics page.
 * **In**: families, each with a function that reads its numbers where they are kept. **Out**: Prometheus text format.
 * **Fails**: if a family cannot be read; the admin port then answers 500.
 *
 * The numbers are plain fields where they are counted, since a call must not pay for labels; they become Prometheus text
 * here, when the page is requested.
 */
import type { MetricFamily } from '../core/metrics/families.ts';
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';

export interface MetricsPage {
  render(): Promise<string>;
}

/** A page of these families only. */
export async function familiesPage(families: readonly MetricFamily[]): Promise<string> {
  const registry = new Registry();
  addFamilies(registry, families);
  return registry.metrics();
}

export function metricsPage(families: readonly MetricFamily[], plugins: () => Promise<string>): MetricsPage {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // promtool rejects gauges named like counters; nodejs_active_handles and similar gauges have the same data by type.
  for (const what of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${what}_total`);
  addFamilies(registry, families);
  return {
    async render() {
      const [own, others] = await Promise.all([registry.metrics(), plugins()]);
      return `${own.endsWith('\n') ? own : `${own}\n`}${others}`;
    },
  };
}

/** prom-client reads the values when the page is rendered; they are not copied into its own counters. */
function addFamilies(registry: Registry, families: readonly MetricFamily[]): void {
  for (const { kind: type, name, help, read } of families) {
    const values = (): object[] =>
      Array.from(read(), ({ suffix = '', labels, value }) => ({ metricName: `${name}${suffix}`, labels, value }));
    const metric = { name, get: async () => ({ name, help, type, values: values(), aggregator: 'sum' }) };
    registry.registerMetric(metric as unknown as Metric);
  }
}
