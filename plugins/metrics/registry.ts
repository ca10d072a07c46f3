/**
 * Metrics made of reports, shared by the adapters that export them.
 * **In**: reports. **Out**: families with their series, which an exporter encodes. **Fails**: `Rejected`, with the reports that cannot be
 * counted; the others of the batch are counted.
 *
 * prom-client is not used: label values that contain commas collide in it, it never removes a series, and it renders its page in one turn
 * of the event loop, which delays calls.
 */
import { z } from 'zod';
import { type Host, Rejected, type ReportEntry, type Shape } from 'sluice/plugin';
import type { MetricConfig, MetricsConfig } from './config.ts';
import { Family } from './family.ts';
import { Labels, reductionsOf } from './labels.ts';
import type { Exemplar } from './series.ts';

export type { Family } from './family.ts';
export { valuesOf } from './label-key.ts';
export type { Exemplar, Series } from './series.ts';

export const paramsSchema = z.strictObject({
  metric: z
    .union([z.string(), z.array(z.string()).min(1).max(32)])
    .describe(
      "The handler's metric that this rule updates, by the input value; or a list of metrics with the same labels, each by values.NAME; " +
        'of these, a gauge or histogram without a value is left as it is.',
    ),
});
type Params = z.output<typeof paramsSchema>;

function metricOf({ metrics }: Pick<MetricsConfig, 'metrics'>, name: string): MetricConfig {
  const metric = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
  if (metric === undefined)
    throw new Error(`the handler's config has no metric "${name}"; known are ${shownNames(metrics)}`);
  return metric;
}

const namesOf = ({ metric }: Params): readonly string[] => (typeof metric === 'string' ? [metric] : metric);
const valueInput = ({ metric }: Params, name: string): string =>
  typeof metric === 'string' ? 'value' : `values.${name}`;

/** A counter's value defaults to 1; a gauge or histogram needs one, or is left as it is if it is one of a list. */
export function inputOf(config: Pick<MetricsConfig, 'metrics'>, params: Params): Shape {
  const names = namesOf(params);
  const metrics = names.map((name) => metricOf(config, name));
  const [{ labels } = { labels: [] }] = metrics;
  for (const [at, { labels: others }] of metrics.entries()) {
    if (JSON.stringify(others) !== JSON.stringify(labels))
      throw new Error(
        `the metrics of a rule must have the same labels; ${names[0]} has ${labels.join(', ') || 'none'}, ` +
          `${names[at]} has ${others.join(', ') || 'none'}`,
      );
  }
  const values = metrics.map(({ kind }, at) => {
    const isOptional = kind === 'counter' || typeof params.metric !== 'string';
    return [valueInput(params, names[at] as string), isOptional ? 'double?' : 'double'] as const;
  });
  return {
    ...Object.fromEntries(values),
    ...Object.fromEntries(labels.map((label) => [`labels.${label}`, 'string'] as const)),
    ...(metrics.some(({ kind }) => kind !== 'gauge')
      ? { 'exemplar.trace_id': 'string?', 'exemplar.span_id': 'string?' }
      : {}),
  };
}

/** Where the reports of one rule are counted. */
export interface MetricsSink {
  readonly labels: Labels;
  /** Of a list, a gauge or histogram may be without a value. */
  readonly isList: boolean;
  readonly counted: readonly { readonly family: Family; readonly input: string }[];
}

export interface Registry {
  readonly families: readonly Family[];
  sink(params: Params): MetricsSink;
  write(entries: readonly ReportEntry<MetricsSink>[]): void;
}

/**
 * A metric whose definition a reload did not change goes on with its series: the next handler shares the family with this one, which is
 * open until the policy is replaced. `overflows`: the name of the counter of reports beyond `maxSeries`.
 */
export function openRegistry(config: MetricsConfig, host: Host, overflows: string): Registry {
  const overflow = host.metrics.counter(
    overflows,
    'Reports counted in the series with labels "other", because maxSeries was reached.',
  );
  const open = host.metrics.kept('families', () => new Map<string, WeakRef<Family>>());
  for (const [key, family] of open) if (family.deref() === undefined) open.delete(key);
  const families = new Map(
    Object.entries(config.metrics).map(([name, metric]) => {
      const { maxSeries, expireAfterMs, maxLabelLength } = config;
      const reduced = metric.labels.map((label) => (Object.hasOwn(config.labels, label) ? config.labels[label] : null));
      const key = JSON.stringify([name, metric, reduced, maxSeries, expireAfterMs, maxLabelLength]);
      let family = open.get(key)?.deref();
      if (family === undefined) {
        const options = { maxSeries, expireAfterMs, clock: host.clock, onOverflow: () => overflow.add() };
        open.set(key, new WeakRef((family = new Family(name, metric, options))));
      }
      return [name, family] as const;
    }),
  );
  const reductions = reductionsOf(config.labels);
  return {
    families: [...families.values()],
    sink(params) {
      const names = namesOf(params);
      const { labels } = metricOf(config, names[0] as string);
      return {
        isList: typeof params.metric !== 'string',
        labels: new Labels(labels, reductions, config.maxLabelLength),
        counted: names.map((name) => {
          metricOf(config, name);
          return { family: families.get(name) as Family, input: valueInput(params, name) };
        }),
      };
    },
    write(entries) {
      const refused: number[] = [];
      let why: string | undefined;
      const nowMs = host.clock.monotonicMs();
      for (const [at, entry] of entries.entries()) {
        const problem = count(entry, nowMs);
        if (problem === undefined) continue;
        refused.push(at);
        why ??= problem;
      }
      if (why !== undefined) throw new Rejected(why, refused);
    },
  };
}

/** Counts all values of a report, or none if one of them is wrong. */
function count(
  { sink: { labels, counted, isList }, input, timeMs }: ReportEntry<MetricsSink>,
  nowMs: number,
): string | undefined {
  for (const { family, input: name } of counted) {
    const value = valueOf(family, input[name]);
    const problem = isList && isLeftOut(family, value) ? undefined : family.problemOf(value);
    if (problem !== undefined) return problem;
  }
  const key = labels.keyOf(input);
  const traceId = input['exemplar.trace_id'];
  for (const { family, input: name } of counted) {
    const value = valueOf(family, input[name]);
    if (isList && isLeftOut(family, value)) continue;
    family.update(key, value as number, nowMs, exemplarOf(traceId, input['exemplar.span_id'], value as number, timeMs));
  }
  return undefined;
}

const valueOf = ({ kind }: Family, value: unknown): unknown => (value === undefined && kind === 'counter' ? 1 : value);
const isLeftOut = ({ kind }: Family, value: unknown): boolean =>
  kind !== 'counter' && (value === undefined || value === null);

/** OpenMetrics allows 128 characters in all, names included. */
const MAX_EXEMPLAR_LENGTH = 128 - 'trace_id'.length - 'span_id'.length;

function exemplarOf(traceId: unknown, spanId: unknown, value: number, timeMs: number): Exemplar | undefined {
  if (typeof traceId !== 'string' || traceId === '') return undefined;
  const span = typeof spanId === 'string' && spanId !== '' ? spanId : undefined;
  if (traceId.length + (span?.length ?? 0) > MAX_EXEMPLAR_LENGTH) return undefined;
  return { traceId, spanId: span, value, timeMs };
}

/** Of thousands the first, listed once: thousands of rules may name wrong ones. */
function shownNames(metrics: MetricsConfig['metrics']): string {
  let shown = listed.get(metrics);
  if (shown === undefined) {
    const names = Object.keys(metrics);
    shown = names.length === 0 ? 'none' : `${names.slice(0, 24).join(', ')}${names.length > 24 ? ' ...' : ''}`;
    listed.set(metrics, shown);
  }
  return shown;
}
const listed = new WeakMap<MetricsConfig['metrics'], string>();
