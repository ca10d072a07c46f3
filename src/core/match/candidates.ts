/**
 * **In**: the rules of a snapshot. **Out**: for a bag and a call, the rules that may apply, in rule order.
 * **Fails**: never; a rule whose match cannot be known to be false is a candidate, so that a match that fails is seen.
 */
import type { Bag } from '../../attributes/bag.ts';
import { type CallKind, perCallKind } from '../../attributes/carrier.ts';
import type { PreparedRule } from '../snapshot/prepared-rule.ts';
import { RuleIndex } from './rule-index.ts';

type Find = (bag: Bag, call: CallKind) => readonly PreparedRule[];

export interface Candidates {
  /** Those that decide before quotas are asked, and those that only change what passes. */
  readonly checks: Find;
  readonly quotas: Find;
  readonly reports: Find;
}

export function candidatesOf(rules: readonly PreparedRule[]): Candidates {
  const inOrder = rules.toSorted((one, other) => one.rule.index - other.rule.index);
  const find = (wanted: (kind: string | undefined) => boolean): Find => {
    const perCall = perCallKind((call) => new RuleIndex(inOrder
      .filter(({ rule }) => rule.calls.has(call) && wanted(rule.action?.kind))
      .map((prepared) => ({ item: prepared, guards: prepared.rule.match?.guards ?? [] }))));
    return (bag, call) => perCall[call].candidates(bag);
  };
  return {
    checks: find((kind) => kind !== 'enrich' && kind !== 'report' && kind !== 'quota'),
    quotas: find((kind) => kind === 'quota'),
    reports: find((kind) => kind === 'report'),
  };
}
