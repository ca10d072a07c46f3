/** One metric and its series, bounded. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { MetricConfig } from './config.ts';

export interface Family {
  /** Counts one report; says what is wrong with it where it cannot be counted. */
  take(input: Readonly<Record<string, unknown>>): string | undefined;
}

export interface FamilyOptions {
  readonly maxSeries: number;
  readonly maxLabelLength: number;
  readonly onOverflow: () => void;
}

type Labels = Record<string, string>;
type Put = (value: number) => void;

/** What a label is whose expression failed (the rule language's word), and where there are too many series. */
const FAILED = 'unknown';
const OVERFLOWN = 'other';

export function openFamily(registry: Registry, name: string, config: MetricConfig, { maxSeries, maxLabelLength, onOverflow }: FamilyOptions): Family {
  const { kind, labels } = config;
  const inputNames = labels.map((label) => `labels.${label}`);
  const seriesOf = metricOf(registry, name, config);
  const series = new Map<string, Put>();
  let overflown: Put | undefined;

  function seriesFor(values: readonly string[]): Put {
    const key = values.length === 1 ? (values[0] ?? '') : JSON.stringify(values);
    const known = series.get(key);
    if (known !== undefined) return known;
    if (series.size >= maxSeries) {
      onOverflow();
      return overflown ??= seriesOf(Object.fromEntries(labels.map((label) => [label, OVERFLOWN])));
    }
    const made = seriesOf(Object.fromEntries(labels.map((label, at) => [label, values[at] ?? FAILED])));
    series.set(key, made);
    return made;
  }

  return {
    take(input) {
      const value = input['value'] === undefined && kind === 'counter' ? 1 : input['value'];
      if (typeof value !== 'number' || !Number.isFinite(value)) return `${name}: the value is ${String(value)}; expected a finite number`;
      if (kind === 'counter' && value < 0) return `${name}: the value is ${value}; a counter never goes down`;
      seriesFor(inputNames.map((inputName) => labelText(input[inputName], maxLabelLength)))(value);
      return undefined;
    },
  };
}

function labelText(value: unknown, maxLength: number): string {
  if (typeof value !== 'string') return FAILED;
  return value.length <= maxLength ? value : `${value.slice(0, maxLength - 1).toWellFormed()}…`;
}

/** Makes the metric, and what makes one series of it. */
function metricOf(registry: Registry, name: string, { kind, help, labels, buckets }: MetricConfig): (labels: Labels) => Put {
  const options = { name, help, labelNames: labels, registers: [registry] };
  switch (kind) {
    case 'counter': {
      const metric = new Counter(options);
      return (set) => {
        const one = metric.labels(set);
        return (value) => one.inc(value);
      };
    }
    case 'gauge': {
      const metric = new Gauge(options);
      return (set) => {
        const one = metric.labels(set);
        return (value) => one.set(value);
      };
    }
    case 'histogram': {
      const metric = new Histogram({ ...options, ...(buckets === undefined ? {} : { buckets }) });
      return (set) => {
        const one = metric.labels(set);
        return (value) => one.observe(value);
      };
    }
  }
}
