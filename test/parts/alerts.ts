/**
 * The rules of deploy/prometheus in a real Prometheus, sixty times as fast: a minute of a rule is a second.
 * **In**: servers to scrape. **Out**: the alerts that fire. **Fails**: if the rules cannot be evaluated.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './command-path.ts';
import { type PrometheusPart, startPrometheus } from './prometheus.ts';
import { until } from '../e2e/sluice.ts';

/** Durations of `for` and of ranges, and the age of a report. */
const fasterAlerts = (): string =>
  readFileSync(join(ROOT, 'deploy/prometheus/alerts.yaml'), 'utf8')
    .replaceAll(/(?<=for: |\[|offset )(\d+)m\b/g, '$1s')
    .replaceAll('oldest_report_seconds > 300', 'oldest_report_seconds > 5');

export interface Alerting extends PrometheusPart {
  /** Labels of the alerts that fire now; each label set once, sorted. */
  firing(): Promise<readonly Readonly<Record<string, string>>[]>;
  /** Names of the alerts that have fired since the servers were first scraped. */
  fired(): Promise<readonly string[]>;
}

export async function startAlerting(targets: readonly string[]): Promise<Alerting> {
  const prometheus = await startPrometheus(targets, { rules: fasterAlerts(), intervalMs: 500 });
  // Prometheus scrapes nothing in its first five seconds, which are five minutes here.
  await until('the first scrapes', async () =>
    (await prometheus.query('up')).length >= targets.length ? true : undefined,
  );
  const beganAtMs = Date.now();
  const labelsOf = async (query: string): Promise<Readonly<Record<string, string>>[]> =>
    (await prometheus.query(query)).map(({ metric }) => metric);
  return {
    ...prometheus,
    firing: () => labelsOf('ALERTS{alertstate="firing"}'),
    fired: async () =>
      (await labelsOf(`count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[${Date.now() - beganAtMs}ms]))`))
        .map(({ alertname = '' }) => alertname)
        .toSorted(),
  };
}
