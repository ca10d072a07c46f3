/** A rule made ready for calls, and the result it has in one call. */
import type { CheckAnswer, CheckFunction, LookupFunction, QuotaAnswer, QuotaAsk } from '../adapters/contract.ts';
import type { Bag } from '../attributes/bag.ts';
import type { Compiled } from '../expression/index.ts';
import { messageOf } from '../text/message-of.ts';
import type { LiveHandler } from './handlers/live-handler.ts';
import type { RuleMeters } from './metrics/meters.ts';
import type { ErrorWord, Rule } from './rules/rule.ts';

/** A rule with what its handler made of it, once: a call only looks things up. */
export interface PreparedRule {
  readonly rule: Rule;
  readonly meters: RuleMeters;
  /** The rule's, held here: of thousands of rules each further object in between is one more cache miss. Nothing: always. */
  readonly match: Compiled['evaluate'] | undefined;
  /** Whether it does something in a check: false for enrich and report. */
  readonly handler: LiveHandler | undefined;
  readonly check: CheckFunction | undefined;
  readonly lookup: LookupFunction | undefined;
  readonly bucket: unknown;
  /** What counts while the handler of a quota cannot be asked. */
  readonly local: LocalCounts | undefined;
  readonly sink: unknown;
  /** Of `by`, for mode and for sample. */
  readonly seed: number;
  readonly sampleSeed: number;
  /** A match that fails counts as matched. */
  readonly failedMatchApplies: boolean;
  readonly inputWord: ErrorWord;
}

export interface LocalCounts {
  readonly handler: LiveHandler;
  readonly bucket: unknown;
  /** How many share a limit. */
  readonly replicas: number;
}

/** What a shadow rule charges is apart from what any enforced rule does; no rule's name holds a `#`. */
export const shadowCounter = (counter: string): string => `${counter}#shadow`;

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

/** The outcome of a rule whose evaluation threw: as if its input had failed. */
export function outcomeOfThrow(prepared: PreparedRule, bag: Bag, error: unknown): RuleOutcome {
  const {
    rule: { action, mode },
    inputWord,
  } = prepared;
  const outcome: RuleOutcome = { prepared, bag, enforced: mode.kind !== 'shadow', result: PASSED, failed: true };
  fail(
    outcome,
    'match',
    action?.kind === 'allow' ? 'deny' : inputWord,
    `internal error while evaluating the rule: ${messageOf(error)}`,
  );
  return outcome;
}

/** A quota rule in one bag; `answer` is there where its handler answered. */
export interface QuotaEntry {
  readonly outcome: RuleOutcome;
  readonly ask: QuotaAsk;
  readonly handler: LiveHandler;
  answer: QuotaAnswer | undefined;
}

/** The values of `out.*` for a quota. */
export const quotaOutput = (
  { limit, remaining, resetMs }: QuotaAnswer,
  granted: number,
): Readonly<Record<string, unknown>> => ({
  granted: Math.floor(granted),
  limit: Math.floor(limit),
  remaining: Math.floor(remaining),
  reset: resetMs,
});
