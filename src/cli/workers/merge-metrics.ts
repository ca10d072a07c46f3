/**
 * Pages in Prometheus text format of several workers as one page: what they count is summed.
 * **In**: a page of each. **Out**: one page. **Fails**: never; a line that is no sample is taken once.
 */

/** What is not summed: of these the smallest or the largest value is that of all. */
const OTHERWISE: Readonly<Record<string, (a: number, b: number) => number>> = {
  sluice_handler_ready: Math.min, sluice_handler_breaker_open: Math.max, sluice_policy_info: Math.max, sluice_policy_rules: Math.max,
  sluice_policy_loaded_timestamp_seconds: Math.max, sluice_policy_reloads_total: Math.max,
};

export function mergedMetrics(pages: readonly string[]): string {
  /** By metric: its HELP and TYPE lines, and its samples in order. */
  const metrics = new Map<string, { readonly about: Set<string>; readonly samples: Map<string, number> }>();
  for (const page of pages) {
    let family = '';
    for (const line of page.split('\n')) {
      if (line === '') continue;
      const about = /^# (?:HELP|TYPE) (\S+)/.exec(line);
      if (about !== null) family = about[1] ?? '';
      let metric = metrics.get(family);
      if (metric === undefined) metrics.set(family, metric = { about: new Set(), samples: new Map() });
      const sample = /^([^#].*) (\S+)$/.exec(line);
      if (about !== null || sample === null) metric.about.add(line);
      else {
        const [, series = '', value] = sample;
        const known = metric.samples.get(series);
        const number = numberOf(value);
        metric.samples.set(series, known === undefined ? number : (OTHERWISE[family] ?? sum)(known, number));
      }
    }
  }
  return [...metrics.values()].flatMap(({ about, samples }) => [...about, ...[...samples].map(([series, value]) => `${series} ${textOf(value)}`)]).join('\n').concat('\n');
}

const sum = (a: number, b: number): number => a + b;
const numberOf = (text: string | undefined): number => (text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text));
const textOf = (value: number): string => (value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value));
