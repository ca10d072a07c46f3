import type { RequestBag } from '../../attributes/bag.ts';
import type { PreparedRule } from '../prepared-rule.ts';
import { PASSED, type RuleOutcome, fail } from '../outcome.ts';
import { messageOf } from '../../text/message-of.ts';

/** What a rule comes to whose evaluation threw: it has failed, as by an input that cannot be had. */
export function thrown(prepared: PreparedRule, bag: RequestBag, error: unknown): RuleOutcome {
  const {
    rule: { action, mode },
    inputWord,
  } = prepared;
  const outcome: RuleOutcome = { prepared, bag, enforced: mode.kind !== 'shadow', result: PASSED, failed: true };
  fail(
    outcome,
    'match',
    action?.kind === 'allow' ? 'deny' : inputWord,
    `a fault while it was evaluated: ${messageOf(error)}`,
  );
  return outcome;
}
