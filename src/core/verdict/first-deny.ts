/**
 * **In**: what each rule came to, in rule order. **Out**: the one that decides, if any does. **Fails**: never.
 *
 * The first deny in rule order is the answer; a deny by any rule beats an error, an error beats allowing. An allow rule's error
 * counts only where its group is needed and nothing else satisfied it (RULES section 5).
 */
import type { Action } from '../rules/rule.ts';
import type { RuleOutcome } from '../outcome.ts';

export interface Deciding {
  readonly kind: 'deny' | 'failed' | 'error';
  readonly outcome: RuleOutcome;
}

type AllowAction = Extract<Action, { kind: 'allow' }>;

/**
 * Before this, a deny that waits for a group has the result `refused` (or `failed`, by its match): here it passes where the
 * group is satisfied. A shadow deny is satisfied by shadow allows too: both are tried out together.
 */
export function settleGroups(outcomes: readonly RuleOutcome[]): void {
  for (const outcome of outcomes) {
    const { action } = outcome.prepared.rule;
    if (action?.kind !== 'deny' || action.unlessAllowed === undefined) continue;
    const isSatisfied = outcomes.some(
      (other) => isAllowing(other, action.unlessAllowed) && (other.enforced || !outcome.enforced),
    );
    if (isSatisfied) outcome.result = { kind: 'passed', answer: undefined };
  }
}

function isAllowing(
  {
    prepared: {
      rule: { action },
    },
    result,
  }: RuleOutcome,
  group: string | undefined,
): boolean {
  return action?.kind === 'allow' && action.group === group && result.kind === 'passed';
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

/** What the rule by itself comes to; `undefined`: it lets pass. An allow rule never denies. */
export function refusalOf({
  prepared: {
    rule: { action },
  },
  result,
}: RuleOutcome): Deciding['kind'] | undefined {
  if (action?.kind === 'allow') return undefined;
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

/** Of a deny whose group nothing satisfied: the allow rule that could not be asked, and whose failure is an error. */
function errorInGroup(
  outcomes: readonly RuleOutcome[],
  {
    prepared: {
      rule: { action },
    },
  }: RuleOutcome,
): RuleOutcome | undefined {
  if (action?.kind !== 'deny' || action.unlessAllowed === undefined) return undefined;
  return outcomes.find((other) => {
    const { action: allow } = other.prepared.rule;
    return (
      allow?.kind === 'allow' &&
      (allow satisfies AllowAction).group === action.unlessAllowed &&
      other.enforced &&
      other.result.kind === 'failed' &&
      other.result.word === 'error'
    );
  });
}
