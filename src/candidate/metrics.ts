/** Metrics of the candidate of one thread. */
import type { MetricFamily, MetricSample } from '../core/metrics/families.ts';
import type { Candidate } from './candidate.ts';

export function candidateFamilies(candidate: () => Candidate | undefined): readonly MetricFamily[] {
  return [
    {
      kind: 'counter',
      name: 'sluice_candidate_calls_total',
      help: 'Calls by what the candidate decides: the same, the same with other headers, otherwise; or skipped because too many waited.',
      read: () =>
        (['same', 'headers', 'differs', 'skipped'] as const).map((result) => ({
          labels: { result },
          value: candidate()?.meters[result] ?? 0,
        })),
    },
    {
      kind: 'counter',
      name: 'sluice_candidate_differences_total',
      help: 'Calls that the candidate decides otherwise, by both deciding rules and outcomes; it begins anew with each candidate and policy.',
      read: () => differenceSamples(candidate()),
    },
  ];
}

function differenceSamples(candidate: Candidate | undefined): MetricSample[] {
  const comparison = candidate?.comparison;
  if (comparison === undefined) return [];
  const samples = comparison
    .differences()
    .map(({ ruleNow, ruleThen, outcomeNow, outcomeThen, count }): MetricSample => ({
      labels: {
        rule_now: ruleNow ?? '',
        rule_then: ruleThen ?? '',
        outcome_now: outcomeNow,
        outcome_then: outcomeThen,
      },
      value: count,
    }));
  const { otherDifferences } = comparison;
  if (otherDifferences > 0)
    samples.push({
      labels: { rule_now: 'other', rule_then: 'other', outcome_now: 'other', outcome_then: 'other' },
      value: otherDifferences,
    });
  return samples;
}
