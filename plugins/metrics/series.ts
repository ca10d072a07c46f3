/** The numbers of one list of label values. */

/** A sample that shows where a number came from. */
export interface Exemplar {
  readonly traceId: string;
  readonly spanId: string | undefined;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
}

export class Series {
  /** The label values in one string; see `label-key.ts`. */
  readonly key: string;
  /** Milliseconds since 1970 of the first report, from which a counter or histogram counts. */
  readonly sinceMs: number;
  /** Monotonic, of the last report. */
  updatedAtMs: number;
  /** Total of a counter, last value of a gauge, sum of a histogram. */
  value = 0;
  /** Of a histogram: observations in all, and per bound; not cumulative, those above the last bound left out. */
  count = 0;
  readonly buckets: Float64Array | undefined;
  /** By bucket, of a counter at 0; newest of each. Made with the first. */
  exemplars: (Exemplar | undefined)[] | undefined;
  /** Free for the exporter: the labels as it writes them. */
  labelsText: string | undefined;

  constructor(key: string, bounds: readonly number[] | undefined, sinceMs: number, updatedAtMs: number) {
    this.key = key;
    this.sinceMs = sinceMs;
    this.updatedAtMs = updatedAtMs;
    this.buckets = bounds === undefined ? undefined : new Float64Array(bounds.length);
  }

  /** Keeps the newest exemplar of the bucket. */
  keep(bucket: number, exemplar: Exemplar): void {
    const known = (this.exemplars ??= [])[bucket];
    if (known === undefined || known.timeMs <= exemplar.timeMs) this.exemplars[bucket] = exemplar;
  }
}
