/** Latencies and rates of one run, as rows of a table. */
export interface Figures {
  readonly requests: number;
  readonly failed: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us?: number;
  /** Open loop: calls that were skipped because too many were pending. */
  readonly notSent?: number;
  /** Open loop: delay between the due time of a call and its sending. */
  readonly lateP99Us?: number;
  /** Access log entries that the server took beside. */
  readonly entriesPerSecond?: number;
  /** CPU time of the server per call. */
  readonly cpuUs: number;
}

export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The run with the median rate. */
export function medianRun(runs: readonly Figures[]): Figures {
  const middle = runs.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(runs.length / 2)];
  if (middle === undefined) throw new Error('no run to take the median of');
  return middle;
}

export function row(name: string, figures: Figures, beside: Figures): string {
  const ratio = (figures.perSecond / beside.perSecond).toFixed(3);
  return `| ${name} | ${Math.round(figures.perSecond)} | ${ratio} | ${Math.round(figures.p50Us)} | ${Math.round(figures.p99Us)} | ${figures.cpuUs.toFixed(1)} | ${figures.failed} |`;
}

export const HEADER =
  '| server, connections x calls at once | requests/s | of the echo | p50 us | p99 us | CPU us/call | failed |\n|---|---|---|---|---|---|---|';

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
