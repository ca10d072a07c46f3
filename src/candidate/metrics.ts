/** Metrics of the candidate of one thread. */
import type { MetricFamily, MetricSample } from '../core/metrics/families.ts';
import { counter, samples } from '../core/metrics/family.ts';
import type { Candidate } from './candidate.ts';

export function candidateFamilies(candidate: () => Candidate | undefined): readonly MetricFamily[] {
  return [
    counter(
      'sluice_candidate_calls_total',
      'Calls by what the candidate decides: the same, the same with other headers, otherwise; or skipped because too many waited.',
      () =>
        samples(
          'result',
          (['same', 'headers', 'differs', 'skipped'] as const).map((result) => [
            result,
            candidate()?.meters[result] ?? 0,
          ]),
        ),
    ),
    counter(
      'sluice_candidate_differences_total',
      'Calls that the candidate decides otherwise, by both deciding rules and outcomes; it begins anew with each candidate and policy.',
      () => differenceSamples(candidate()),
    ),
  ];
}

function differenceSamples(candidate: Candidate | undefined): MetricSample[] {
  const comparison = candidate?.comparison;
  if (comparison === undefined) return [];
  const found = comparison.differences().map(({ ruleNow, ruleThen, outcomeNow, outcomeThen, count }): MetricSample => ({
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
    found.push({
      labels: { rule_now: 'other', rule_then: 'other', outcome_now: 'other', outcome_then: 'other' },
      value: otherDifferences,
    });
  return found;
}
