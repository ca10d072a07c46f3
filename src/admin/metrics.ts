/**
 * Sluice's own metrics page.
 * **In**: families, each with a function that reads its numbers where they are kept. **Out**: Prometheus text format.
 * **Fails**: never by itself; a family that cannot be read fails the page, and the admin port says so.
 *
 * The numbers are kept as plain fields by those who count, since a call must not pay for labels; they are put in
 * Prometheus' words here, when the page is asked for.
 */
import type { MetricFamily } from '../core/metrics/families.ts';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

export interface MetricsPage {
  render(): Promise<string>;
}

/** Some families alone. */
export async function familiesPage(families: readonly MetricFamily[]): Promise<string> {
  const registry = new Registry();
  addFamilies(registry, families);
  return registry.metrics();
}

export function metricsPage(families: readonly MetricFamily[], plugins: () => Promise<string>): MetricsPage {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // Gauges named as if they were counters, which promtool complains of; nodejs_active_handles and the like tell the same by type.
  for (const what of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${what}_total`);
  addFamilies(registry, families);
  return {
    async render() {
      const [own, others] = await Promise.all([registry.metrics(), plugins()]);
      return `${own.endsWith('\n') ? own : `${own}\n`}${others}`;
    },
  };
}

function addFamilies(registry: Registry, families: readonly MetricFamily[]): void {
  for (const family of families) {
    if (family.kind === 'counter') addCounter(registry, family);
    else addGauge(registry, family);
  }
}

function addCounter(registry: Registry, { name, help, labels, read }: MetricFamily): void {
  new Counter({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      this.reset();
      for (const sample of read()) this.inc(sample.labels, sample.value);
    },
  });
}

function addGauge(registry: Registry, { name, help, labels, read }: MetricFamily): void {
  new Gauge({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      this.reset();
      for (const sample of read()) this.set(sample.labels, sample.value);
    },
  });
}
