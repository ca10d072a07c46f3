/** What a quota handler is asked, and what it answers. */

/**
 * `sliding`: the window before counts for the part of it that is within a period of now. `log`: each charge counts for a period, so that
 * in no period more than the limit passes; it keeps them all, so it is for small limits. `concurrency`: the same, but a charge is a lease
 * that ends when it is released, at the latest after a period.
 */
export type Algorithm = 'fixed' | 'gcra' | 'sliding' | 'log' | 'concurrency';

/** What every ask of a quota handler names: one counter, and its limit. */
interface AskOfCounter<B> {
  readonly bucket: B;
  /** The typed values of the rule's `key`, as one canonical text; unlike keys never make the same text. */
  readonly key: string;
  readonly limit: number;
  /** Bucket size of `gcra`; equals `limit` where the rule says nothing. */
  readonly burst: number;
  /** The period; the rule's, unless the request overrides it (RateLimitOverride). */
  readonly perMs: number;
  /**
   * `fixed`: end of the window in ms since 1970, where that is no multiple of `perMs` (a month). `giveBack`, also of `sliding`: the window that
   * was charged; a later window is not credited.
   */
  readonly endsAtMs?: number;
  /**
   * A repeated ask with the same key within a period of the first charge is granted without a charge. Asks of one call are each charged.
   * The key is forgotten
   * - after the period;
   * - when all of the charge is given back, or the lease is released;
   * - of `log` and `concurrency`, by a reset, and where a debt above the limit drops the oldest entries.
   */
  readonly idempotencyKey?: string;
}

/** Charges `cost`, or is refused. */
export interface Spend<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'spend';
  /** More than 0. */
  readonly cost: number;
  /** Best effort: if less than `cost` is left, charges what is left, at least 1. Not with an idempotency key. */
  readonly partial?: boolean;
}
/** Says what is left; changes nothing. Granted unless the counter is in debt. */
export interface Look<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'look';
}
/** Gives back `cost` of what was charged; always granted. */
export interface GiveBack<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'giveBack';
  /** More than 0. */
  readonly cost: number;
}
/** `concurrency`: ends the lease that was taken with this idempotency key; always granted. */
export interface Release<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'release';
}
/** Charges what has happened already: beyond the limit too; always granted. */
export interface Owe<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'owe';
  /** At least 0. */
  readonly cost: number;
}
/** One ask of a quota handler. All asks of one call are granted, or none is charged. */
export type QuotaAsk<B = unknown> = Spend<B> | Look<B> | GiveBack<B> | Release<B> | Owe<B>;

export interface QuotaAnswer {
  /** Whether this ask could pass. Nothing is charged unless every ask of the call could, so the first that is false names the refusal. */
  readonly granted: boolean;
  readonly limit: number;
  /** What is left after this ask, at least 0; where refused, what is left uncharged. */
  readonly remaining: number;
  /** At least 0: until the counter is full again (`fixed`: the window's end; `sliding`: the end of the next), or, where refused, at least 1: until this ask could pass. */
  readonly resetMs: number;
  /** Of a partial spend that was granted: how much of its cost was charged. */
  readonly charged?: number;
}

/** Where a counter is, for people. */
export interface QuotaPlace {
  /** As the backend names it: a key of Redis. */
  readonly counter: string;
  /** Who has taken units of it that are not spent yet, where units are taken ahead. */
  readonly holders?: readonly { readonly who: string; readonly units: number }[];
}
