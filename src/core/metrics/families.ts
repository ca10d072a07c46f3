/** The engine's metrics, read when the page is requested. */
import { unreadable } from '../../attributes/derive.ts';
import type { HandlerMeters, Latency, Meters, RuleMeters } from './meters.ts';
import { counter, gauge, samples } from './family.ts';
import { FAILURE_KINDS } from './meters.ts';

export interface MetricSample {
  /** Of a histogram's samples; `_bucket` counts are cumulative, with the upper bound as label `le`. */
  readonly suffix?: '_bucket' | '_sum' | '_count';
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
export interface MetricFamily {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** `sluice_subject_unit`; counters end in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly read: () => Iterable<MetricSample>;
}

const RULE_COUNTERS: readonly (readonly [name: string, help: string, read: (meters: RuleMeters) => number])[] = [
  ['sluice_rule_matched_total', "Calls that the rule's match applied to.", ({ matched }) => matched],
  ['sluice_rule_denied_total', 'Calls denied by the rule.', ({ denied }) => denied],
  ['sluice_rule_shadow_total', 'Calls that the rule would have refused if it were enforced.', ({ shadow }) => shadow],
  [
    'sluice_rule_failed_total',
    'Calls in which the match, the input, the handler or a text of the rule failed.',
    ({ failed }) => failed,
  ],
  [
    'sluice_rule_local_total',
    'Calls counted by the fallback handler (local) while the handler of the rule was unavailable.',
    ({ local }) => local,
  ],
  ['sluice_rule_errors_total', 'Calls answered with an error because the rule failed.', ({ errors }) => errors],
  [
    'sluice_rule_text_failures_total',
    'Texts and report fields of the rule that could not be evaluated.',
    ({ texts }) => texts,
  ],
  [
    'sluice_rule_by_failures_total',
    "Failures of the rule's `by`; such a call is inside the percentage if the rule may refuse, else outside.",
    ({ keyFailures }) => keyFailures,
  ],
  [
    'sluice_rule_dropped_reports_total',
    'Reports of checks and limits dropped because the queue of their handler was full.',
    ({ dropped }) => dropped,
  ],
];

const HANDLER_COUNTERS: readonly (readonly [name: string, help: string, read: (meters: HandlerMeters) => number])[] = [
  ['sluice_handler_calls_total', 'Calls to the handler.', ({ calls }) => calls],
  [
    'sluice_handler_abandoned_total',
    'Answers of the handler that arrived after their call was abandoned.',
    ({ abandoned }) => abandoned,
  ],
  ['sluice_handler_reports_written_total', 'Reports written by the handler.', ({ written }) => written],
  ['sluice_handler_reports_retried_total', 'Retries of report batches.', ({ retried }) => retried],
  [
    'sluice_handler_reports_dead_total',
    'Reports rejected by the backend, and put aside.',
    ({ deadLettered }) => deadLettered,
  ],
  [
    'sluice_handler_reports_lost_total',
    'Reports lost because the backend did not take them before the handler closed.',
    ({ lost }) => lost,
  ],
  [
    'sluice_handler_cache_hits_total',
    'Calls answered from the cache of the handler; they are not among its calls.',
    ({ cacheHits }) => cacheHits,
  ],
  [
    'sluice_handler_cache_shared_total',
    'Calls answered by the answer of an equal call that was running.',
    ({ cacheShared }) => cacheShared,
  ],
  [
    'sluice_handler_cache_misses_total',
    'Calls that found no answer in the cache of the handler.',
    ({ cacheMisses }) => cacheMisses,
  ],
  [
    'sluice_handler_cache_evictions_total',
    'Answers dropped from the cache of the handler for lack of room.',
    ({ cacheEvictions }) => cacheEvictions,
  ],
];

export function metricFamilies(meters: Meters): readonly MetricFamily[] {
  const { calls } = meters;
  const perRule = RULE_COUNTERS.map(([name, help, read]) =>
    counter(name, help, function* () {
      for (const [rule, own] of meters.read().rules) yield { labels: { rule }, value: read(own) };
    }),
  );
  const ofHandlers = (read: (own: Readonly<HandlerMeters>) => number): MetricSample[] =>
    [...meters.read().handlers].map(([handler, own]) => ({ labels: { handler }, value: read(own) }));
  const perHandler = HANDLER_COUNTERS.map(([name, help, read]) => counter(name, help, () => ofHandlers(read)));
  return [
    counter('sluice_calls_total', 'Calls answered, by kind and outcome.', () =>
      [...calls].flatMap(([call, { outcomes }]) =>
        Object.entries(outcomes).map(([outcome, value]) => ({ labels: { call, outcome }, value })),
      ),
    ),
    {
      kind: 'histogram',
      name: 'sluice_call_duration_seconds',
      help: 'Time from the arrival of a call to its verdict.',
      read: () => [...calls].flatMap(([call, { latency }]) => histogramSamples({ call }, latency)),
    },
    counter(
      'sluice_forwarded_for_unreadable_total',
      "Requests whose X-Forwarded-For entry at settings.trustedHops is not an address; origin.ip is the peer's.",
      () => unreadable.forwardedFor,
    ),
    counter(
      'sluice_forwarded_for_short_total',
      "Requests whose X-Forwarded-For has fewer entries than settings.trustedHops needs; origin.ip is the peer's.",
      () => unreadable.forwardedForShort,
    ),
    counter(
      'sluice_calls_without_policy_total',
      'Calls answered with an error and log entries dropped because no policy was in force.',
      () =>
        samples(
          'call',
          [...calls].map(([call, { withoutPolicy }]) => [call, withoutPolicy]),
        ),
    ),
    ...perRule,
    ...perHandler,
    {
      kind: 'histogram',
      name: 'sluice_handler_duration_seconds',
      help: 'Time of calls to the handler that it did not answer at once, with their time in its queue.',
      read: () =>
        [...meters.read().handlers].flatMap(([handler, { latency }]) => histogramSamples({ handler }, latency)),
    },
    gauge('sluice_handler_cache_bytes', 'Estimated size of the answers in the cache of the handler.', () =>
      ofHandlers(({ cacheBytes }) => cacheBytes),
    ),
    counter('sluice_handler_failures_total', 'Failed calls to the handler, by kind.', () =>
      [...meters.read().handlers].flatMap(([handler, { failures }]) =>
        FAILURE_KINDS.map((kind) => ({ labels: { handler, kind }, value: failures[kind] })),
      ),
    ),
  ];
}

const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };

export function labelsText(labels: MetricSample['labels']): string {
  const texts = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (found) => ESCAPED[found] ?? found)}"`,
  );
  return texts.length === 0 ? '' : `{${texts.join(',')}}`;
}

/** Its line in Prometheus' text format. */
export const sampleText = (family: string, { suffix, labels, value }: MetricSample): string =>
  `${family}${suffix ?? ''}${labelsText(labels)} ${value}\n`;

/** In seconds. */
export function histogramSamples(
  labels: Readonly<Record<string, string>>,
  { boundsMs, buckets, count, sumMs }: Latency,
): MetricSample[] {
  let cumulative = 0;
  return [
    ...buckets.map((inBucket, at): MetricSample => {
      cumulative += inBucket;
      const boundMs = boundsMs[at];
      const le = boundMs === undefined ? '+Inf' : String(boundMs / 1000);
      return { suffix: '_bucket', labels: { ...labels, le }, value: cumulative };
    }),
    { suffix: '_sum', labels, value: sumMs / 1000 },
    { suffix: '_count', labels, value: count },
  ];
}
