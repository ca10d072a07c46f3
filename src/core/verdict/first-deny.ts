/**
 * **In**: the outcome of each rule, in rule order. **Out**: the deciding one, if any. **Fails**: never.
 *
 * The first deny in rule order is the answer; a deny by any rule beats an error, an error beats allowing. An allow rule's error
 * counts only where its group is needed and nothing else satisfied it (docs/rules.md, section 5).
 */
import { PASSED, type RuleOutcome } from '../outcome.ts';

export interface Deciding {
  readonly kind: 'deny' | 'failed' | 'error';
  readonly outcome: RuleOutcome;
}

/**
 * At first a deny rule that waits for a group has the result `refused` (or `failed`, if its match failed); it passes if the group
 * is satisfied. Shadow allows satisfy a shadow deny too, since both are tried out together.
 */
export function settleGroups(outcomes: readonly RuleOutcome[]): void {
  for (const outcome of outcomes) {
    const { unlessAllowed } = outcome.prepared;
    if (unlessAllowed === undefined) continue;
    const isSatisfied = outcomes.some(
      (other) =>
        other.prepared.allows === unlessAllowed &&
        other.result.kind === 'passed' &&
        (other.enforced || !outcome.enforced),
    );
    if (isSatisfied) outcome.result = PASSED;
  }
}

export function decidingOf(outcomes: readonly RuleOutcome[]): Deciding | undefined {
  let error: RuleOutcome | undefined;
  for (const outcome of outcomes) {
    if (!outcome.enforced) continue;
    const refusal = refusalOf(outcome);
    if (refusal === undefined) continue;
    const failedAllow = refusal === 'error' ? undefined : errorInGroup(outcomes, outcome);
    if (refusal !== 'error' && failedAllow === undefined) return { kind: refusal, outcome };
    error ??= failedAllow ?? outcome;
  }
  return error === undefined ? undefined : { kind: 'error', outcome: error };
}

/** How the rule by itself refuses the call; `undefined` if it does not. An allow rule never denies. */
export function refusalOf({ prepared: { refuses }, result }: RuleOutcome): Deciding['kind'] | undefined {
  if (!refuses) return undefined;
  switch (result.kind) {
    case 'refused':
    case 'over':
      return 'deny';
    case 'failed':
      return result.word === 'deny' ? 'failed' : result.word === 'error' ? 'error' : undefined;
    case 'passed':
    case 'not allowed':
      return undefined;
  }
}

/** For a deny rule whose group nothing satisfied: the allow rule that could not be asked, and whose failure is an error. */
function errorInGroup(
  outcomes: readonly RuleOutcome[],
  { prepared: { unlessAllowed } }: RuleOutcome,
): RuleOutcome | undefined {
  if (unlessAllowed === undefined) return undefined;
  return outcomes.find(
    ({ prepared, enforced, result }) =>
      prepared.allows === unlessAllowed && enforced && result.kind === 'failed' && result.word === 'error',
  );
}
