/**
 * **In**: the outcomes of each descriptor. **Out**: the answer to a rate limit call. **Fails**: never.
 */
import { type LimitStatus, type LimitVerdict, NO_HEADERS } from '../call.ts';
import { reasonsOf, shadowOf } from './check-verdict.ts';
import { type Deciding, decidingOf } from './first-deny.ts';
import { netChanges } from './net-changes.ts';
import { inRuleOrder, type RuleOutcome, type QuotaEntry, type QuotaRun } from '../outcome.ts';
import { advertisedLimits, withAdvertised } from './advertised-limits.ts';

const FREE: LimitStatus = { over: false, rule: undefined, limit: 0, perMs: 0, remaining: 0, resetMs: 0 };

/** Outcomes and quota answers of one descriptor. */
export interface DescriptorOutcomes {
  readonly outcomes: readonly RuleOutcome[];
  readonly entries: readonly QuotaEntry[];
}

export function byDescriptor(
  checks: readonly (readonly RuleOutcome[])[],
  quotas: QuotaRun,
): readonly DescriptorOutcomes[] {
  return checks.map((outcomes, at) => {
    const [from, to] = [quotas.ends[at - 1], quotas.ends[at]];
    return {
      outcomes: inRuleOrder(outcomes, quotas.outcomes.slice(from?.outcomes ?? 0, to?.outcomes)),
      entries: quotas.entries.slice(from?.entries ?? 0, to?.entries),
    };
  });
}

export function limitVerdict(id: string, descriptors: readonly DescriptorOutcomes[]): LimitVerdict {
  const deciding = descriptors.map(({ outcomes }) => decidingOf(outcomes));
  const all = descriptors.flatMap(({ outcomes }) => outcomes);
  const quotas = descriptors.flatMap(({ entries }) => entries);
  const advertised = advertisedLimits(quotas);
  const common = {
    id,
    shadow: shadowOf(all),
    reasons: reasonsOf(all),
    response: advertised.length === 0 ? NO_HEADERS : { ...NO_HEADERS, set: advertised },
  };
  const first =
    deciding.find((one) => one?.kind === 'deny') ??
    deciding.find((one) => one?.kind === 'failed') ??
    deciding.find((one) => one !== undefined);
  const rule = first?.outcome.prepared.rule.name;
  if (first?.kind === 'error') return { ...common, outcome: 'error', rule, statuses: [] };
  const statuses = descriptors.map(({ entries }, index) => statusOf(deciding[index], entries));
  if (first !== undefined) return { ...common, outcome: first.kind, rule, statuses };
  const { response } = netChanges(all, 'limit');
  return {
    ...common,
    outcome: 'allow',
    rule: undefined,
    statuses,
    response:
      advertised.length === 0
        ? response
        : { ...response, set: withAdvertised(response.set, advertised, quotas, response.append) },
  };
}

function statusOf(deciding: Deciding | undefined, entries: readonly QuotaEntry[]): LimitStatus {
  const refusing = entries.find(({ outcome }) => outcome === deciding?.outcome);
  const answered = entries.filter(({ outcome, answer }) => outcome.enforced && answer !== undefined);
  const over = deciding !== undefined && deciding.kind !== 'error';
  if (over && refusing?.answer === undefined) return { ...FREE, over, rule: deciding.outcome.prepared.rule.name };
  const shown =
    refusing ??
    answered.reduce<QuotaEntry | undefined>(
      (least, entry) => ((entry.answer?.remaining ?? 0) < (least?.answer?.remaining ?? Infinity) ? entry : least),
      undefined,
    );
  if (shown?.answer === undefined) return FREE;
  const { limit, remaining, resetMs } = shown.answer;
  return { over, rule: shown.outcome.prepared.rule.name, limit, perMs: shown.ask.perMs, remaining, resetMs };
}
