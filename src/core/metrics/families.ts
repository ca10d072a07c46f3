/** The engine's numbers as a metrics page names them. Read when the page is asked for. */
import { unreadable } from '../../attributes/unreadable.ts';
import type { HandlerMeters, Latency, Meters, RuleMeters } from './meters.ts';
import { FAILURE_KINDS, LATENCY_BOUNDS_MS } from './meters.ts';

export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
export interface MetricFamily {
  readonly kind: 'counter' | 'gauge';
  /** `sluice_what_unit`, a counter's with `_total`. */
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: () => Iterable<MetricSample>;
}

const RULE_COUNTERS: readonly (readonly [name: string, help: string, read: (meters: RuleMeters) => number])[] = [
  ['sluice_rule_matched_total', "Calls that the rule's match applied to.", ({ matched }) => matched],
  ['sluice_rule_denied_total', 'Calls that the rule decided by refusing.', ({ denied }) => denied],
  ['sluice_rule_shadow_total', 'Calls that the rule would have refused, were it enforced.', ({ shadow }) => shadow],
  [
    'sluice_rule_failed_total',
    'Calls in which a part of the rule failed: match, input, handler or text.',
    ({ failed }) => failed,
  ],
  [
    'sluice_rule_local_total',
    'Calls that another handler counted for the rule, since its own could not be asked.',
    ({ local }) => local,
  ],
  ['sluice_rule_errors_total', "Calls that the rule's failure answered with an error.", ({ errors }) => errors],
  ['sluice_rule_text_failures_total', 'Texts and fields of the rule that failed.', ({ texts }) => texts],
  [
    'sluice_rule_by_failures_total',
    "Failures of the rule's `by`: the call was inside the percentage where the rule may refuse, else outside.",
    ({ by }) => by,
  ],
  [
    'sluice_rule_dropped_reports_total',
    'Reports of checks and limits that a full queue did not take.',
    ({ dropped }) => dropped,
  ],
];

const HANDLER_COUNTERS: readonly (readonly [name: string, help: string, read: (meters: HandlerMeters) => number])[] = [
  ['sluice_handler_calls_total', 'Calls of the handler.', ({ calls }) => calls],
  ['sluice_handler_abandoned_total', 'Answers of the handler that came too late.', ({ abandoned }) => abandoned],
  ['sluice_handler_reports_written_total', 'Reports that the handler has taken.', ({ written }) => written],
  ['sluice_handler_reports_retried_total', 'Batches of reports that were tried again.', ({ retried }) => retried],
  [
    'sluice_handler_reports_dead_total',
    'Reports that the backend refused, put aside.',
    ({ deadLettered }) => deadLettered,
  ],
  ['sluice_handler_reports_lost_total', 'Reports given up when Sluice was told to stop.', ({ lost }) => lost],
];

export function metricFamilies(meters: Meters): readonly MetricFamily[] {
  const { calls } = meters;
  const perRule = RULE_COUNTERS.map(([name, help, read]): MetricFamily => ({
    kind: 'counter',
    name,
    help,
    labels: ['rule'],
    read: () => [...meters.read().rules].map(([rule, own]) => ({ labels: { rule }, value: read(own) })),
  }));
  const perHandler = HANDLER_COUNTERS.map(([name, help, read]): MetricFamily => ({
    kind: 'counter',
    name,
    help,
    labels: ['handler'],
    read: () => [...meters.read().handlers].map(([handler, own]) => ({ labels: { handler }, value: read(own) })),
  }));
  return [
    {
      kind: 'counter',
      name: 'sluice_calls_total',
      help: 'Calls answered, by kind and outcome.',
      labels: ['call', 'outcome'],
      read: () =>
        [...calls].flatMap(([call, { outcomes }]) =>
          Object.entries(outcomes).map(([outcome, value]) => ({ labels: { call, outcome }, value })),
        ),
    },
    {
      kind: 'counter',
      name: 'sluice_call_duration_seconds_total',
      help: 'Time from the arrival of calls to their verdicts, summed.',
      labels: ['call'],
      read: () => [...calls].map(([call, { latency }]) => ({ labels: { call }, value: latency.sumMs / 1000 })),
    },
    {
      kind: 'counter',
      name: 'sluice_calls_within_total',
      help: 'Calls decided within a time (seconds) of their arrival, cumulative.',
      labels: ['call', 'seconds'],
      read: () =>
        [...calls].flatMap(([call, { latency }]) =>
          cumulative(latency).map(([seconds, value]) => ({ labels: { call, seconds }, value })),
        ),
    },
    {
      kind: 'counter',
      name: 'sluice_forwarded_for_unreadable_total',
      help: 'Requests whose entry of X-Forwarded-For at settings.trustedHops is no address: origin.ip was that of the peer.',
      labels: [],
      read: () => [{ labels: {}, value: unreadable.forwardedFor }],
    },
    {
      kind: 'counter',
      name: 'sluice_forwarded_for_short_total',
      help: 'Requests whose X-Forwarded-For has fewer entries than settings.trustedHops needs: origin.ip was that of the peer.',
      labels: [],
      read: () => [{ labels: {}, value: unreadable.forwardedForShort }],
    },
    {
      kind: 'counter',
      name: 'sluice_calls_without_policy_total',
      help: 'Calls answered with an error, and log entries dropped, since no policy was in force.',
      labels: ['call'],
      read: () => [...calls].map(([call, { withoutPolicy }]) => ({ labels: { call }, value: withoutPolicy })),
    },
    ...perRule,
    ...perHandler,
    {
      kind: 'counter',
      name: 'sluice_handler_failures_total',
      help: 'Calls of the handler that failed, by kind.',
      labels: ['handler', 'kind'],
      read: () =>
        [...meters.read().handlers].flatMap(([handler, { failures }]) =>
          FAILURE_KINDS.map((kind) => ({ labels: { handler, kind }, value: failures[kind] })),
        ),
    },
  ];
}

function cumulative({ buckets }: Latency): (readonly [seconds: string, value: number])[] {
  let sum = 0;
  return buckets.map((count, at) => {
    sum += count;
    const bound = LATENCY_BOUNDS_MS[at];
    return [bound === undefined ? '+Inf' : String(bound / 1000), sum];
  });
}
