/** Config of the adapters that make metrics of reports. */
import { z } from 'zod';
import { templateProblem } from './path-templates.ts';

/** Names and units as a format has them. */
export interface MetricFormat {
  readonly metricName: RegExp;
  readonly labelName: RegExp;
  readonly unit: RegExp;
  /** For the messages about names and units that do not match. */
  readonly says: { readonly metricName: string; readonly labelName: string; readonly unit: string };
  /** A unit must be the end of its metric's name. */
  readonly nameEndsInUnit: boolean;
}

export const PROMETHEUS: MetricFormat = {
  metricName: /^[a-zA-Z_:][a-zA-Z0-9_:]*$/,
  labelName: /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/,
  unit: /^[a-z][a-z0-9_]*$/,
  says: {
    metricName: "a metric's name is letters, digits, _ and :, and does not begin with a digit",
    labelName: 'a label is letters, digits and _, and begins with neither a digit nor __',
    unit: 'a unit is letters, digits and _, such as seconds',
  },
  nameEndsInUnit: true,
};

const metricSchemaOf = ({ labelName, unit, says, nameEndsInUnit }: MetricFormat) =>
  z
    .strictObject({
      kind: z
        .enum(['counter', 'gauge', 'histogram'])
        .describe('A counter adds the value, a gauge is set to it, a histogram observes it.'),
      help: z.string().min(1).default('Reported by rules.').describe('The HELP text of the metric.'),
      labels: z
        .array(z.string().regex(labelName, says.labelName))
        .max(32)
        .default([])
        .describe('Label names; rules give each a value under input.labels.'),
      buckets: z
        .array(z.number())
        .min(1)
        .max(200)
        .optional()
        .describe('For histograms: upper bounds, ascending, without +Inf. Default: 0.005 to 10, for seconds.'),
      unit: z
        .string()
        .regex(unit, says.unit)
        .optional()
        .describe(
          nameEndsInUnit
            ? "The unit of the values, which must be the end of the metric's name (before _total): seconds, bytes."
            : 'The unit of the values, in the notation of UCUM: s, By, {request}.',
        ),
      merge: z
        .enum(['sum', 'max', 'min'])
        .optional()
        .describe(
          'With --workers: how the gauges of the workers become one. Default: sum. Counters and histograms are always summed.',
        ),
    })
    .check(({ value: { kind, labels, buckets, merge }, issues }) => {
      const wrong = (path: string, message: string, input: unknown): void => {
        issues.push({ code: 'custom', path: [path], message, input });
      };
      if (new Set(labels).size !== labels.length) wrong('labels', 'a label is named twice', labels);
      if (kind === 'histogram' && labels.includes('le'))
        wrong('labels', 'the label le is reserved for the buckets of histograms', labels);
      if (kind !== 'gauge' && merge !== undefined)
        wrong('merge', `a ${kind} is always summed; merge is for a gauge`, merge);
      if (buckets === undefined) return;
      if (kind !== 'histogram') wrong('buckets', `a ${kind} has no buckets; they are for a histogram`, buckets);
      if (buckets.some((bound) => bound < 0))
        wrong('buckets', 'a bucket below 0 stays empty; negative values are refused', buckets);
      if (buckets.some((bound, at) => at > 0 && bound <= (buckets[at - 1] ?? 0)))
        wrong('buckets', 'buckets must ascend', buckets);
    });

const labelSchema = z.strictObject({
  paths: z
    .array(
      z.string().superRefine((template, context) => {
        const message = templateProblem(template);
        if (message !== undefined) context.addIssue({ code: 'custom', message });
      }),
    )
    .min(1)
    .max(10_000)
    .optional()
    .describe(
      'Templates of paths, such as /users/{id} or /static/**; a path that matches one has it as its value, without its query. Others keep theirs.',
    ),
  top: z
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe('Only this many values, the most frequent, are told apart; the others are "other".'),
});

/** The fields of the config that every adapter with metrics has. */
export const metricsFieldsOf = (format: MetricFormat) => ({
  metrics: z.record(z.string(), metricSchemaOf(format)).describe('Metrics by name.'),
  labels: z
    .record(z.string(), labelSchema)
    .default({})
    .describe('How the values of a label are reduced, by the name of the label; in all metrics that have it.'),
  maxSeries: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(2000)
    .describe(
      'Maximum number of series per metric. Beyond it, reports with new label values count in one series whose labels are all "other", ' +
        'and in a counter of overflows on the metrics page.',
    ),
  expireAfterMs: z
    .int()
    .min(0)
    .max(30 * 86_400_000)
    .default(3_600_000)
    .describe(
      'A series without updates for this long is removed; a later update starts it at 0, which Prometheus reads as a counter reset. 0: never.',
    ),
  maxLabelLength: z
    .int()
    .min(8)
    .max(10_000)
    .default(256)
    .describe("Maximum length of a label's value in characters; longer values are truncated and end with an ellipsis."),
});

/** Refuses metrics and labels that do not fit each other. */
export const checkMetricsOf =
  (format: MetricFormat) =>
  ({ value, issues }: z.core.ParsePayload<Pick<MetricsConfig, 'metrics' | 'labels'>>): void =>
    checkMetrics(format, value, issues);

function checkMetrics(
  { metricName, says, nameEndsInUnit }: MetricFormat,
  { metrics, labels: reduced }: Pick<MetricsConfig, 'metrics' | 'labels'>,
  issues: z.core.$ZodRawIssue[],
): void {
  const wrong = (name: string, message: string): void => {
    issues.push({ code: 'custom', path: ['metrics', name], message, input: name });
  };
  for (const [name, { kind, unit }] of Object.entries(metrics)) {
    if (!metricName.test(name)) wrong(name, says.metricName);
    if (name.startsWith('sluice_')) wrong(name, "names that begin with sluice_ are reserved for Sluice's own metrics");
    const base = kind === 'counter' ? name.replace(/_total$/, '') : name;
    if (nameEndsInUnit && unit !== undefined && !base.endsWith(`_${unit}`))
      wrong(name, `the name does not end in _${unit}, its unit; rename it or leave out the unit`);
    if (base !== name && Object.hasOwn(metrics, base))
      wrong(base, `in OpenMetrics this name is taken by the counter ${name}, which it calls ${base}`);
    if (kind !== 'histogram') continue;
    for (const part of ['bucket', 'sum', 'count']) {
      if (Object.hasOwn(metrics, `${name}_${part}`))
        wrong(`${name}_${part}`, `this name is taken by a series of the histogram ${name}`);
    }
  }
  const known = new Set(Object.values(metrics).flatMap(({ labels }) => labels));
  for (const name of Object.keys(reduced)) {
    if (!known.has(name))
      issues.push({ code: 'custom', path: ['labels', name], message: 'no metric has this label', input: name });
  }
}

export type MetricsConfig = z.output<z.ZodObject<ReturnType<typeof metricsFieldsOf>>>;
export type MetricConfig = MetricsConfig['metrics'][string];
export type LabelConfig = z.output<typeof labelSchema>;
