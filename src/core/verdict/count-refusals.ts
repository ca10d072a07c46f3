import type { PreparedRule, RuleOutcome } from '../outcome.ts';
import { refusalOf } from './first-deny.ts';

/**
 * Counts failures and refusals in the meters of their rules. `deciding` is the name of the rule that decided the call; `atMs`: when, by
 * `performance.now()`.
 */
export function countRefusals(
  outcomes: readonly RuleOutcome[],
  deciding: string | undefined,
  descriptors: number,
  atMs: number,
): void {
  // A rule that applies to several descriptors refuses one call.
  const counted = descriptors > 1 ? new Set<PreparedRule>() : undefined;
  for (const outcome of outcomes) {
    const { prepared, enforced, failed } = outcome;
    const { meters, rule } = prepared;
    meters.lastAtMs = atMs;
    if (failed) meters.failed++;
    const refusal = refusalOf(outcome);
    if (refusal === undefined || counted?.has(prepared) === true) continue;
    counted?.add(prepared);
    if (!enforced) meters.shadow++;
    else if (refusal === 'error') meters.errors++;
    else if (deciding === rule.name) meters.denied++;
  }
}
