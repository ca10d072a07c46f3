/**
 * One metric and its bounded number of series.
 * **In**: reports. **Out**: lines of Prometheus' text format. **Fails**: returns the problem with a report.
 *
 * prom-client is not used here: its series keys collide when label values contain commas, it never removes a series, and it renders its
 * page in one turn of the event loop, which delays calls.
 */
import type { MetricConfig } from './config.ts';
import { type Series, labelsText, seriesOf } from './series.ts';

export interface Family {
  /** Counts one report; returns the problem with one that cannot be counted. */
  count(input: Readonly<Record<string, unknown>>, nowMs: number): string | undefined;
  /** HELP and TYPE, then the lines of each series. */
  lines(): Generator<string>;
}

export interface FamilyOptions {
  readonly maxSeries: number;
  readonly maxLabelLength: number;
  /** A series without updates for this long is removed; 0: never. */
  readonly expireAfterMs: number;
  /** Whether series are removed only at `maxSeries`, since the pages of workers are summed and a sum must not decrease. */
  readonly expiresOnlyWhenFull: boolean;
  readonly monotonicMs: () => number;
  readonly onOverflow: () => void;
}

interface Entry {
  readonly series: Series;
  updatedAtMs: number;
}

/** Label value whose expression failed. */
const FAILED = 'unknown';
/** Value of all labels in the series for reports beyond `maxSeries`. */
const OVERFLOW = 'other';
/** A sweep visits every series of a full family. */
const SWEEP_INTERVAL_MS = 1000;

/** Unique for each list of label values: each of several values is preceded by its length. */
function keyOf(values: readonly string[]): string {
  const [only] = values;
  if (values.length === 1 && only !== undefined) return only;
  let key = '';
  for (const value of values) key += `${value.length}:${value}`;
  return key;
}

export function openFamily(name: string, config: MetricConfig, options: FamilyOptions): Family {
  const { kind, labels, help } = config;
  const { maxSeries, maxLabelLength, expireAfterMs, expiresOnlyWhenFull, monotonicMs, onOverflow } = options;
  const inputNames = labels.map((label) => `labels.${label}`);
  const make = (values: readonly string[]): Series => seriesOf(name, config, labelsText(labels, values));
  const all = new Map<string, Entry>();
  let overflow: Series | undefined;
  let sweptAtMs = -Infinity;
  if (labels.length === 0) all.set(keyOf([]), { series: make([]), updatedAtMs: Infinity }); // shown at 0 from the start, and never removed

  function dropExpired(nowMs: number): void {
    if (expireAfterMs === 0 || nowMs - sweptAtMs < SWEEP_INTERVAL_MS) return;
    sweptAtMs = nowMs;
    for (const [key, { updatedAtMs }] of all) if (nowMs - updatedAtMs >= expireAfterMs) all.delete(key);
  }

  function seriesFor(values: readonly string[], nowMs: number): Series {
    const key = keyOf(values);
    const known = all.get(key);
    if (known !== undefined) {
      known.updatedAtMs = Math.max(known.updatedAtMs, nowMs);
      return known.series;
    }
    if (all.size >= maxSeries) dropExpired(nowMs);
    if (all.size >= maxSeries) {
      onOverflow();
      const others = labels.map(() => OVERFLOW);
      // A report whose labels are really "other" shares that series, since a page must not have it twice.
      const reported = all.get(keyOf(others));
      if (reported === undefined) return (overflow ??= make(others));
      reported.updatedAtMs = nowMs;
      return reported.series;
    }
    let series: Series | undefined;
    if (values.every((value) => value === OVERFLOW)) [series, overflow] = [overflow, undefined];
    series ??= make(values);
    all.set(key, { series, updatedAtMs: nowMs });
    return series;
  }

  return {
    count(input, nowMs) {
      const value = input['value'] === undefined && kind === 'counter' ? 1 : input['value'];
      if (typeof value !== 'number' || !Number.isFinite(value))
        return `${name}: the value is ${String(value)}; expected a finite number`;
      if (kind !== 'gauge' && value < 0) return `${name}: the value is ${value}; a ${kind} never decreases`;
      if (kind !== 'gauge' && value > Number.MAX_SAFE_INTEGER)
        return `${name}: the value is ${value}; above 2^53 a ${kind} loses smaller increments`;
      seriesFor(
        inputNames.map((inputName) => labelText(input[inputName], maxLabelLength)),
        nowMs,
      ).update(value);
      return undefined;
    },
    *lines() {
      yield `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${kind}\n`;
      if (!expiresOnlyWhenFull) dropExpired(monotonicMs());
      for (const { series } of all.values()) yield series.text();
      if (overflow !== undefined) yield overflow.text();
    },
  };
}

function labelText(value: unknown, maxLength: number): string {
  if (typeof value !== 'string') return FAILED;
  return value.length <= maxLength ? value : `${value.slice(0, maxLength - 1).toWellFormed()}…`;
}
