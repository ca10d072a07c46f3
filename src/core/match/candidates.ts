/**
 * **In**: the rules of a snapshot. **Out**: for a bag and a call, the rules that may apply, in rule order.
 * **Fails**: never; a rule whose match cannot be known to be false is a candidate.
 */
import type { Bag } from '../../attributes/bag.ts';
import { CALL_KINDS, type CallKind } from '../../attributes/carrier.ts';
import type { PreparedRule } from '../snapshot/prepared-rule.ts';

export interface Candidates {
  /** Those that decide: all but enrich and report. */
  deciding(bag: Bag, call: CallKind): readonly PreparedRule[];
  reporting(bag: Bag, call: CallKind): readonly PreparedRule[];
}

export function candidatesOf(rules: readonly PreparedRule[]): Candidates {
  const inOrder = rules.toSorted((one, other) => one.rule.index - other.rule.index);
  const perCall = (wanted: (kind: string | undefined) => boolean): Record<CallKind, readonly PreparedRule[]> => Object.fromEntries(
    CALL_KINDS.map((call) => [call, inOrder.filter(({ rule }) => rule.calls.has(call) && wanted(rule.action?.kind))]),
  ) as unknown as Record<CallKind, readonly PreparedRule[]>;
  const deciding = perCall((kind) => kind !== 'enrich' && kind !== 'report');
  const reporting = perCall((kind) => kind === 'report');
  return { deciding: (_bag, call) => deciding[call], reporting: (_bag, call) => reporting[call] };
}
