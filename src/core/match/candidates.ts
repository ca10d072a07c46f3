/**
 * **In**: the rules of a snapshot. **Out**: for a bag and a call, the rules that may apply, in rule order.
 * **Fails**: never; a rule whose match cannot be known to be false is a candidate, so that a match that fails is seen.
 */
import type { Bag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import type { TimeSlice } from '../../time/time-slice.ts';
import { RuleIndex } from './rule-index.ts';
import type { PreparedRule } from '../outcome.ts';

type Find = (bag: Bag, call: CallKind) => readonly PreparedRule[];

export interface Candidates {
  /** Those that decide before quotas are asked, and those that only change what passes. */
  readonly checks: Find;
  readonly quotas: Find;
  readonly reports: Find;
}

export async function candidatesOf(rules: readonly PreparedRule[], slice: TimeSlice): Promise<Candidates> {
  const inOrder = rules.toSorted((one, other) => one.rule.index - other.rule.index);
  const find = async (wanted: (kind: string | undefined) => boolean): Promise<Find> => {
    const indexOf = (call: CallKind): Promise<RuleIndex<PreparedRule>> =>
      RuleIndex.of(
        inOrder
          .filter(({ rule }) => rule.calls.has(call) && wanted(rule.action?.kind))
          .map((prepared) => ({ item: prepared, guards: prepared.rule.match?.guards ?? [] })),
        slice,
      );
    const perCall = {
      http: await indexOf('http'),
      tcp: await indexOf('tcp'),
      limit: await indexOf('limit'),
      log: await indexOf('log'),
      'tcp-log': await indexOf('tcp-log'),
    };
    return (bag, call) => perCall[call].candidates(bag);
  };
  return {
    checks: await find((kind) => kind !== 'enrich' && kind !== 'report' && kind !== 'quota'),
    quotas: await find((kind) => kind === 'quota'),
    reports: await find((kind) => kind === 'report'),
  };
}
