/** What one rule came to in one call: the input of a verdict. */
import type { Bag } from '../attributes/bag.ts';
import type { CheckAnswer, QuotaAnswer } from '../adapters/contract.ts';
import type { ErrorWord } from './rules/rule.ts';
import type { PreparedRule } from './prepared-rule.ts';

export type RuleResult =
  /** Its action let it pass, or it has none. */
  | { readonly kind: 'passed'; readonly answer: CheckAnswer | undefined }
  /** A deny rule applies, or its handler refused. */
  | { readonly kind: 'refused'; readonly answer: CheckAnswer | undefined }
  | { readonly kind: 'over'; readonly quota: QuotaRefusal }
  /** The handler of an allow rule said no. */
  | { readonly kind: 'not allowed'; readonly answer: CheckAnswer | undefined }
  /** `word`: what that comes to. */
  | {
      readonly kind: 'failed';
      readonly part: 'match' | 'input' | 'handler';
      readonly word: ErrorWord;
      readonly why: string;
    };

export interface QuotaRefusal {
  /** Of the rule that refused. */
  readonly perMs: number;
  readonly answer: QuotaAnswer;
  /** Of what was asked in that call, what has least left. */
  readonly least: QuotaAnswer;
  /** Until all that refused could pass. */
  readonly retryAfterMs: number;
}

/** Of a rule that applies, or whose match failed. */
export interface RuleOutcome {
  readonly prepared: PreparedRule;
  readonly bag: Bag;
  /** False: it is worked out and counted, and nothing is done. */
  readonly enforced: boolean;
  result: RuleResult;
  /** Some part failed, whatever came of it: what it would set is taken away. */
  failed: boolean;
}

export const PASSED: RuleResult = Object.freeze({ kind: 'passed', answer: undefined });
export const REFUSED: RuleResult = Object.freeze({ kind: 'refused', answer: undefined });

/** Put on record where the rule failed. */
export function fail(outcome: RuleOutcome, part: 'match' | 'input' | 'handler', word: ErrorWord, why: string): void {
  outcome.result = { kind: 'failed', part, word, why };
  outcome.failed = true;
}
