/** A board as rows of panels, and the queries that most panels have. */

export interface Panel {
  readonly title: string;
  readonly description?: string;
  /** `[query, legend]`. */
  readonly queries: readonly (readonly [query: string, legend: string])[];
  /** Of Grafana: `reqps`, `s`, `percentunit`; default a plain number. */
  readonly unit?: string;
  readonly kind?: 'timeseries' | 'stat' | 'heatmap' | 'table';
}
export interface Board {
  readonly title: string;
  readonly rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[];
}

/** The servers that the viewer has chosen. */
export const OF = 'job=~"$job", instance=~"$instance"';
export const rate = (metric: string, labels: string, more = ''): string =>
  `sum by (${labels}) (rate(${metric}{${OF}${more}}[$__rate_interval]))`;
export const latency = (quantile: number, labels: string): string =>
  `histogram_quantile(${quantile}, sum by (${labels}, le) (rate(sluice_call_duration_seconds_bucket{${OF}}[$__rate_interval])))`;
