/**
 * One metric and its series, bounded.
 * **In**: reports. **Out**: lines of Prometheus' text format. **Fails**: by saying what is wrong with a report.
 *
 * prom-client is not used here: it keeps series under a text in which label sets with commas meet, forgets none, and makes
 * its page in one go, which holds calls up.
 */
import type { MetricConfig } from './config.ts';
import { type Series, labelsText, seriesOf } from './series.ts';

export interface Family {
  /** Counts one report; says what is wrong with it where it cannot be counted. */
  take(input: Readonly<Record<string, unknown>>, nowMs: number): string | undefined;
  /** HELP and TYPE, then the lines of each series. */
  lines(): Generator<string>;
}

export interface FamilyOptions {
  readonly maxSeries: number;
  readonly maxLabelLength: number;
  /** A series that nobody has fed for so long ends; 0: never. */
  readonly expireAfterMs: number;
  /** Whether series end only where their room is needed: workers' pages are summed, and a sum must not fall. */
  readonly expiresOnlyForRoom: boolean;
  readonly monotonicMs: () => number;
  readonly onOverflow: () => void;
}

interface Fed {
  readonly series: Series;
  fedAtMs: number;
}

/** What a label is whose expression failed (the rule language's word), and where there are too many series. */
const FAILED = 'unknown';
const OVERFLOWN = 'other';
/** Of a full family, which is gone through whole. */
const LOOKED_FOR_EXPIRED_EVERY_MS = 1000;

/** Of the values of labels: unlike lists make unlike keys, since each of several values carries its length. */
function keyOf(values: readonly string[]): string {
  const [only] = values;
  if (values.length === 1 && only !== undefined) return only;
  let key = '';
  for (const value of values) key += `${value.length}:${value}`;
  return key;
}

export function openFamily(name: string, config: MetricConfig, options: FamilyOptions): Family {
  const { kind, labels, help } = config;
  const { maxSeries, maxLabelLength, expireAfterMs, expiresOnlyForRoom, monotonicMs, onOverflow } = options;
  const inputNames = labels.map((label) => `labels.${label}`);
  const make = (values: readonly string[]): Series => seriesOf(name, config, labelsText(labels, values));
  const all = new Map<string, Fed>();
  let overflown: Series | undefined;
  let lookedAtMs = -Infinity;
  if (labels.length === 0) all.set(keyOf([]), { series: make([]), fedAtMs: Infinity }); // 0 is a value; it never ends

  function dropExpired(nowMs: number): void {
    if (expireAfterMs === 0 || nowMs - lookedAtMs < LOOKED_FOR_EXPIRED_EVERY_MS) return;
    lookedAtMs = nowMs;
    for (const [key, { fedAtMs }] of all) if (nowMs - fedAtMs >= expireAfterMs) all.delete(key);
  }

  function seriesFor(values: readonly string[], nowMs: number): Series {
    const key = keyOf(values);
    const known = all.get(key);
    if (known !== undefined) {
      known.fedAtMs = Math.max(known.fedAtMs, nowMs);
      return known.series;
    }
    if (all.size >= maxSeries) dropExpired(nowMs);
    if (all.size >= maxSeries) {
      onOverflow();
      const others = labels.map(() => OVERFLOWN);
      // A report that says "other" itself counts in the same series: a page must not have one twice.
      const saying = all.get(keyOf(others));
      if (saying === undefined) return (overflown ??= make(others));
      saying.fedAtMs = nowMs;
      return saying.series;
    }
    let series: Series | undefined;
    if (values.every((value) => value === OVERFLOWN)) [series, overflown] = [overflown, undefined];
    series ??= make(values);
    all.set(key, { series, fedAtMs: nowMs });
    return series;
  }

  return {
    take(input, nowMs) {
      const value = input['value'] === undefined && kind === 'counter' ? 1 : input['value'];
      if (typeof value !== 'number' || !Number.isFinite(value))
        return `${name}: the value is ${String(value)}; expected a finite number`;
      if (kind !== 'gauge' && value < 0) return `${name}: the value is ${value}; a ${kind} never goes down`;
      if (kind !== 'gauge' && value > Number.MAX_SAFE_INTEGER)
        return `${name}: the value is ${value}; beyond 2^53 a ${kind} would count nothing else any more`;
      seriesFor(
        inputNames.map((inputName) => labelText(input[inputName], maxLabelLength)),
        nowMs,
      ).put(value);
      return undefined;
    },
    *lines() {
      yield `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${kind}\n`;
      if (!expiresOnlyForRoom) dropExpired(monotonicMs());
      for (const { series } of all.values()) yield series.text();
      if (overflown !== undefined) yield overflown.text();
    },
  };
}

function labelText(value: unknown, maxLength: number): string {
  if (typeof value !== 'string') return FAILED;
  return value.length <= maxLength ? value : `${value.slice(0, maxLength - 1).toWellFormed()}…`;
}
