/** A rule prepared for calls, and its outcome in one call. */
import type { CheckAnswer, LookupAnswer, QuotaAnswer, QuotaAsk } from '../adapters/contract.ts';
import type { Bag } from '../attributes/bag.ts';
import type { Compiled } from '../expression/index.ts';
import { messageOf } from '../text/message-of.ts';
import type { RuleAnswers } from './handlers/answer-cache.ts';
import type { LiveHandler } from './handlers/live-handler.ts';
import type { ThrottledLines } from './handlers/throttled-line.ts';
import type { RuleMeters } from './metrics/meters.ts';
import type { Action, EnrichAction, InputMaker, QuotaAction, ReportAction, Rule } from './rules/rule.ts';
import type { ReportQueue } from './handlers/report-queue.ts';
import type { ErrorWord } from './actions.ts';

/** A rule prepared for calls: the parts from its handler and from the table of actions are resolved once. */
export interface PreparedRule {
  readonly rule: Rule;
  readonly action: Action | undefined;
  readonly refuses: boolean;
  readonly meters: RuleMeters;
  /** Of all rules. */
  readonly longTexts: ThrottledLines;
  /** A copy of the rule's own: with thousands of rules each object in between is a cache miss. `undefined`: always. */
  readonly match: Compiled['evaluate'] | undefined;
  readonly handler: LiveHandler | undefined;
  /** Of check and allow rules that ask a handler. */
  readonly check: RuleAnswers<CheckAnswer> | undefined;
  readonly input: InputMaker | undefined;
  /** `allows`: the group that an allow rule belongs to; `unlessAllowed`: the group that a deny rule waits for. */
  readonly allows: string | undefined;
  readonly unlessAllowed: string | undefined;
  /** Its result when its match applies, before a handler is asked. */
  readonly whenMatched: RuleResult;
  /** Its result when its handler refuses. */
  readonly whenRefused: 'refused' | 'not allowed';
  readonly lookup: RuleAnswers<LookupAnswer> | undefined;
  readonly bucket: unknown;
  /** The fallback that counts while the handler of a quota is unavailable. */
  readonly local: LocalCounts | undefined;
  readonly sink: unknown;
  /** Hash seeds of the percentages of mode and sample. */
  readonly seed: number;
  readonly sampleSeed: number;
  /** A match that fails counts as matched. */
  readonly failedMatchApplies: boolean;
  readonly inputWord: ErrorWord;
}

/** Prepared rules of one stage, whose action and handler are known. */
export type PreparedLookup = PreparedRule & {
  readonly action: EnrichAction;
  readonly handler: LiveHandler;
  readonly lookup: RuleAnswers<LookupAnswer>;
};
export type PreparedQuota = PreparedRule & { readonly action: QuotaAction; readonly handler: LiveHandler };
export type PreparedReport = PreparedRule & {
  readonly action: ReportAction;
  readonly handler: LiveHandler & { readonly reports: ReportQueue };
};

export interface LocalCounts {
  readonly handler: LiveHandler;
  readonly bucket: unknown;
  /** Number of replicas that share a limit. */
  readonly replicas: number;
}

/** The counter of a shadow rule, separate from enforced rules; no rule name contains `#`. */
export const shadowCounter = (counter: string): string => `${counter}#shadow`;

export type RuleResult =
  /** Its action passed, or it has none. */
  | { readonly kind: 'passed'; readonly answer: CheckAnswer | undefined }
  /** A deny rule applies, or its handler refused. */
  | { readonly kind: 'refused'; readonly answer: CheckAnswer | undefined }
  | { readonly kind: 'over'; readonly quota: QuotaRefusal }
  /** The handler of an allow rule denied. */
  | { readonly kind: 'not allowed'; readonly answer: CheckAnswer | undefined }
  /** `word`: the result of the failure. */
  | {
      readonly kind: 'failed';
      readonly part: 'match' | 'input' | 'handler';
      readonly word: ErrorWord;
      readonly why: string;
    };

export interface QuotaRefusal {
  /** Period of the rule that refused. */
  readonly perMs: number;
  readonly answer: QuotaAnswer;
  /** The answer with the least remaining in that call. */
  readonly least: QuotaAnswer;
  /** Time until all refused asks could pass. */
  readonly retryAfterMs: number;
}

/** Of a rule that applies, or whose match failed. */
export interface RuleOutcome<P extends PreparedRule = PreparedRule> {
  readonly prepared: P;
  readonly bag: Bag;
  /** False: evaluated and counted, but without effect. */
  readonly enforced: boolean;
  result: RuleResult;
  /** A part failed, whatever the result; headers that the rule would set are removed. */
  failed: boolean;
  /**
   * How long its handler took, in whole microseconds; 0 if it was not asked, or answered at once. Whole, since a fraction would be boxed.
   */
  handlerUs: number;
}

export const PASSED: RuleResult = Object.freeze({ kind: 'passed', answer: undefined });
export const REFUSED: RuleResult = Object.freeze({ kind: 'refused', answer: undefined });

/** `atMs` by `performance.now()`. At least 1. */
export const microsecondsSince = (atMs: number): number => Math.max(1, Math.round((performance.now() - atMs) * 1000));

/** Records the failure of a part of the rule. */
export function fail(outcome: RuleOutcome, part: 'match' | 'input' | 'handler', word: ErrorWord, why: string): void {
  outcome.result = { kind: 'failed', part, word, why };
  outcome.failed = true;
}

/** The outcome of a rule whose evaluation threw: as if its input had failed. */
export function outcomeOfThrow(prepared: PreparedRule, bag: Bag, error: unknown): RuleOutcome {
  const { rule, inputWord } = prepared;
  const outcome: RuleOutcome = {
    prepared,
    bag,
    enforced: rule.mode.kind !== 'shadow',
    result: PASSED,
    failed: true,
    handlerUs: 0,
  };
  fail(outcome, 'match', inputWord, `internal error while evaluating the rule: ${messageOf(error)}`);
  return outcome;
}

/** A quota rule in one bag; `answer` is set if its handler answered. */
export interface QuotaEntry {
  readonly outcome: RuleOutcome<PreparedQuota>;
  readonly ask: QuotaAsk;
  readonly handler: LiveHandler;
  answer: QuotaAnswer | undefined;
}

/** The quotas of one call. */
export interface QuotaRun {
  /** In the order of the bags. */
  readonly outcomes: readonly RuleOutcome[];
  readonly entries: readonly QuotaEntry[];
  /** Per bag, the end of its outcomes and entries; empty for a single bag. */
  readonly ends: readonly QuotaEnds[];
}

export interface QuotaEnds {
  readonly outcomes: number;
  readonly entries: number;
}

/** Most calls have none. */
export const NO_QUOTAS: QuotaRun = { outcomes: [], entries: [], ends: [] };

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

/** The list with the item added; do not use the given list again. Lists are short, and a push to a short list allocates room for 16. */
export function withItem<T>(list: T[], item: T): T[] {
  const [first, second, third] = list as [T, T, T];
  switch (list.length) {
    case 0:
      return [item];
    case 1:
      return [first, item];
    case 2:
      return [first, second, item];
    case 3:
      return [first, second, third, item];
    default:
      list.push(item);
      return list;
  }
}

/** Merges two lists that are each in the order of rules. */
export function inRuleOrder(one: readonly RuleOutcome[], other: readonly RuleOutcome[]): readonly RuleOutcome[] {
  if (one.length === 0) return other;
  if (other.length === 0) return one;
  // oxlint-disable-next-line unicorn/no-new-array -- of the right length; pushing would allocate room for more
  const all = new Array<RuleOutcome>(one.length + other.length);
  let to = 0;
  let at = 0;
  for (const outcome of one) {
    while (at < other.length && indexOf(other[at]) < indexOf(outcome)) all[to++] = other[at++] as RuleOutcome;
    all[to++] = outcome;
  }
  while (at < other.length) all[to++] = other[at++] as RuleOutcome;
  return all;
}

const indexOf = (outcome: RuleOutcome | undefined): number => outcome?.prepared.rule.index ?? Infinity;
