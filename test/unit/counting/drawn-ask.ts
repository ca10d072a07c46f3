/** Asks of every verb, made from values that property tests draw. */
import fc from 'fast-check';
import type { Owe, QuotaAsk } from '../../../src/adapters/contract.ts';

export const verbs = {
  /** Below 0: given back. */
  cost: fc.integer({ min: -3, max: 3 }),
  isOwed: fc.boolean(),
  isPartial: fc.boolean(),
  isReleased: fc.boolean(),
};

export interface DrawnVerb {
  readonly cost: number;
  readonly isOwed: boolean;
  readonly isPartial: boolean;
  readonly isReleased: boolean;
}

export function drawnAsk<B>(
  counter: Omit<Owe<B>, 'kind' | 'cost'>,
  { cost, isOwed, isPartial, isReleased }: DrawnVerb,
): QuotaAsk<B> {
  if (isReleased) return { ...counter, kind: 'release' };
  if (cost < 0) return { ...counter, kind: 'giveBack', cost: -cost };
  if (isOwed) return { ...counter, kind: 'owe', cost };
  if (cost === 0) return { ...counter, kind: 'look' };
  return { ...counter, kind: 'spend', cost, partial: isPartial && counter.idempotencyKey === undefined };
}
