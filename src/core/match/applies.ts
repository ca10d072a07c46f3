import type { Bag } from '../../attributes/bag.ts';
import { FAILED } from '../../expression/index.ts';
import type { PreparedRule } from '../outcome.ts';
import { isInPercentage } from './percentage.ts';

export type Match = 'applies' | 'does not apply' | 'failed';

export function matchOf({ match }: PreparedRule, bag: Bag): Match {
  if (match === undefined) return 'applies';
  const value = match(bag);
  if (value === true) return 'applies';
  return value === FAILED ? 'failed' : 'does not apply';
}

/**
 * Whether the rule's result counts; otherwise the rule is in shadow mode for this call. If `by` fails, a rule that may refuse is
 * enforced; otherwise clients could opt out by omitting what `by` reads.
 */
export function isEnforced({ rule: { mode }, refuses, seed, meters }: PreparedRule, bag: Bag): boolean {
  if (mode.kind !== 'percent') return mode.kind === 'enforce';
  const inside = isInPercentage(mode.percent, mode.keyExpression, seed, bag);
  if (inside !== undefined) return inside;
  meters.keyFailures++;
  return refuses;
}

/**
 * Whether a rule reports an allowed call. One number is drawn for all rules, so that most calls end before any rule is asked; a
 * percentage with `by` is that of the value. `otherwise`: the percentage of rules without one.
 */
export function isDrawn(prepared: PreparedRule, bag: Bag, drawn: number, otherwise: number): boolean {
  const { sample } = prepared.rule;
  return sample?.keyExpression === undefined ? drawn < (sample?.percent ?? otherwise) : isSampled(prepared, bag);
}

export function isSampled({ rule: { sample }, sampleSeed, meters }: PreparedRule, bag: Bag): boolean {
  if (sample === undefined) return true;
  const inside = isInPercentage(sample.percent, sample.keyExpression, sampleSeed, bag);
  if (inside === undefined) meters.keyFailures++;
  return inside === true;
}
