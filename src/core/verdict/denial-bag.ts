import { type Bag, OverlayBag } from '../../attributes/bag.ts';
import type { Value } from '../../attributes/values.ts';
import type { CheckAnswer } from '../../adapters/contract.ts';
import type { RuleOutcome } from '../outcome.ts';
import type { Rule } from '../rules/rule.ts';

/** The bag of a rule's own texts: the request, and `out.*` from the answer of its handler. */
export function bagWithOutputs({ out }: Rule, bag: Bag, answer: CheckAnswer | undefined, reason?: string): Bag {
  if (out.names.length === 0) return bag;
  const values = out.names.map((name, at): Value | undefined => {
    if (name === 'reason') return reason ?? (answer?.kind === 'deny' ? answer.reason : undefined);
    const value = answer?.output?.[name];
    return value === undefined ? undefined : out.converts[at]?.(value);
  });
  return new OverlayBag(bag, out.firstSlot, values);
}

/** The bag of the texts of a rule that passed. */
export const bagOfTexts = ({ prepared: { rule }, bag, result }: RuleOutcome): Bag =>
  bagWithOutputs(rule, bag, result.kind === 'passed' ? result.answer : undefined);
