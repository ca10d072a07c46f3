/**
 * **In**: the rules of a snapshot. **Out**: for a bag and a call, the rules that may apply, in rule order.
 * **Fails**: never; a rule is a candidate unless its match is known to be false, so that a failing match is noticed.
 */
import type { Bag } from '../../attributes/bag.ts';
import { RULE_CALLS, type RuleCall } from '../../attributes/carrier.ts';
import type { TimeSlice } from '../../time/time-slice.ts';
import { RuleIndex } from './rule-index.ts';
import { ACTIONS, type Stage } from '../actions.ts';
import type { PreparedLookup, PreparedQuota, PreparedReport, PreparedRule } from '../outcome.ts';

const NONE: readonly never[] = [];

type Find<P extends PreparedRule> = (bag: Bag, call: RuleCall) => readonly P[];

export interface Candidates {
  /** Rules that decide before quotas are asked, and rules that only change allowed calls. */
  readonly checks: Find<PreparedRule>;
  readonly quotas: Find<PreparedQuota>;
  readonly reports: Find<PreparedReport>;
}

/** The rules of a stage, typed by their actions. */
export function rulesOf(rules: readonly PreparedRule[], stage: 'enrich'): readonly PreparedLookup[];
export function rulesOf(rules: readonly PreparedRule[], stage: 'check'): readonly PreparedRule[];
export function rulesOf(rules: readonly PreparedRule[], stage: 'quota'): readonly PreparedQuota[];
export function rulesOf(rules: readonly PreparedRule[], stage: 'report'): readonly PreparedReport[];
export function rulesOf(rules: readonly PreparedRule[], stage: Stage): readonly PreparedRule[] {
  return rules.filter(({ action }) => ACTIONS[action?.kind ?? 'none'].stage === stage);
}

export async function candidatesOf(rules: readonly PreparedRule[], slice: TimeSlice): Promise<Candidates> {
  const inOrder = rules.toSorted((one, other) => one.rule.index - other.rule.index);
  return {
    checks: await findIn(rulesOf(inOrder, 'check'), slice),
    quotas: await findIn(rulesOf(inOrder, 'quota'), slice),
    reports: await findIn(rulesOf(inOrder, 'report'), slice),
  };
}

async function findIn<P extends PreparedRule>(rules: readonly P[], slice: TimeSlice): Promise<Find<P>> {
  const indexOf = (call: RuleCall): Promise<RuleIndex<P>> =>
    RuleIndex.of(
      rules.filter(({ rule }) => rule.calls.has(call)),
      ({ rule }) => rule.match?.guards ?? NONE,
      slice,
    );
  const perCall = {} as Record<RuleCall, RuleIndex<P>>;
  for (const call of RULE_CALLS) perCall[call] = await indexOf(call);
  return (bag, call) => perCall[call].candidates(bag);
}
