/**
 * One metric and its bounded number of series.
 * **In**: values with the key of their labels. **Out**: its series, for an exporter. **Fails**: returns the problem with a value.
 */
import type { MetricConfig } from './config.ts';
import { keyOf } from './label-key.ts';
import { type Exemplar, Series } from './series.ts';

export interface FamilyOptions {
  readonly maxSeries: number;
  /** A series without updates for this long is removed; 0: never. */
  readonly expireAfterMs: number;
  /** As the clock of the host: since 1970, and monotonic. */
  readonly clock: { nowMs(): number; monotonicMs(): number };
  readonly onOverflow: () => void;
}

/** Value of all labels in the series for reports beyond `maxSeries`, and of values that are not among the most frequent. */
export const OTHER = 'other';
/** A sweep visits every series of a full family. */
const SWEEP_INTERVAL_MS = 1000;

export class Family {
  readonly name: string;
  readonly kind: MetricConfig['kind'];
  readonly help: string;
  readonly unit: string | undefined;
  /** How the gauges of several workers become one. */
  readonly merge: MetricConfig['merge'];
  /** Label names. */
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, without infinity. */
  readonly bounds: readonly number[] | undefined;
  readonly #options: FamilyOptions;
  readonly #all = new Map<string, Series>();
  readonly #otherKey: string;
  #overflow: Series | undefined;
  #sweptAtMs = -Infinity;

  constructor(name: string, { kind, help, unit, merge, labels, buckets }: MetricConfig, options: FamilyOptions) {
    this.name = name;
    this.kind = kind;
    this.help = help;
    this.unit = unit;
    this.merge = merge;
    this.labels = labels;
    this.bounds = kind === 'histogram' ? (buckets ?? DEFAULT_BUCKETS) : undefined;
    this.#options = options;
    this.#otherKey = keyOf(labels.map(() => OTHER));
    // Shown at 0 from the start, and never removed
    if (labels.length === 0) this.#all.set(this.#otherKey, this.#make(this.#otherKey, Infinity));
  }

  /** Why this value cannot be counted, or undefined. */
  problemOf(value: unknown): string | undefined {
    const { name, kind } = this;
    if (typeof value !== 'number' || !Number.isFinite(value))
      return `${name}: the value is ${String(value)}; expected a finite number`;
    if (kind === 'gauge') return undefined;
    if (value < 0) return `${name}: the value is ${value}; a ${kind} never decreases`;
    if (value > Number.MAX_SAFE_INTEGER)
      return `${name}: the value is ${value}; above 2^53 a ${kind} loses smaller increments`;
    return undefined;
  }

  /** Adds to a counter, sets a gauge, or is observed by a histogram. `key`: of the label values; `nowMs`: monotonic. */
  update(key: string, value: number, nowMs: number, exemplar: Exemplar | undefined): void {
    const series = this.#seriesFor(key, nowMs);
    const { bounds, kind } = this;
    let bucket = 0;
    if (bounds !== undefined) {
      while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
      const { buckets } = series as { buckets: Float64Array };
      if (bucket < buckets.length) buckets[bucket] = (buckets[bucket] as number) + 1;
      series.count++;
    }
    if (kind === 'gauge') series.value = value;
    else {
      series.value += value;
      if (exemplar !== undefined) series.keep(bucket, exemplar);
    }
  }

  /** Every series that was updated since then (monotonic), one of them at a time; those that have expired are removed on the way. */
  *series(sinceMs = -Infinity): Generator<Series> {
    const expiredAtMs = this.#options.clock.monotonicMs() - this.#lifetimeMs;
    for (const [key, series] of this.#all) {
      if (series.updatedAtMs <= expiredAtMs) this.#all.delete(key);
      else if (series.updatedAtMs >= sinceMs) yield series;
    }
    if (this.#overflow !== undefined && this.#overflow.updatedAtMs >= sinceMs) yield this.#overflow;
  }

  get #lifetimeMs(): number {
    const { expireAfterMs } = this.#options;
    return expireAfterMs === 0 ? Infinity : expireAfterMs;
  }

  #make(key: string, nowMs: number): Series {
    return new Series(key, this.bounds, this.#options.clock.nowMs(), nowMs);
  }

  #seriesFor(key: string, nowMs: number): Series {
    const known = this.#all.get(key);
    if (known !== undefined) {
      if (known.updatedAtMs < nowMs) known.updatedAtMs = nowMs;
      return known;
    }
    return this.#newSeries(key, nowMs);
  }

  #newSeries(key: string, nowMs: number): Series {
    const { maxSeries, onOverflow } = this.#options;
    if (this.#all.size >= maxSeries) this.#sweep(nowMs);
    if (this.#all.size >= maxSeries) {
      onOverflow();
      // A report whose labels are really "other" shares that series, since a page must not have it twice.
      const shared = this.#all.get(this.#otherKey) ?? (this.#overflow ??= this.#make(this.#otherKey, nowMs));
      shared.updatedAtMs = nowMs;
      return shared;
    }
    let series: Series | undefined;
    if (key === this.#otherKey) [series, this.#overflow] = [this.#overflow, undefined];
    series ??= this.#make(key, nowMs);
    series.updatedAtMs = nowMs;
    this.#all.set(key, series);
    return series;
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < SWEEP_INTERVAL_MS) return;
    this.#sweptAtMs = nowMs;
    const expiredAtMs = nowMs - this.#lifetimeMs;
    for (const [key, { updatedAtMs }] of this.#all) if (updatedAtMs <= expiredAtMs) this.#all.delete(key);
  }
}

/** For seconds; the defaults of Prometheus' client libraries. */
const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
