/** The asks and answers of quota handlers. */

/**
 * `sliding`: the previous window counts in proportion to its overlap with the last period. `log`: stores each charge for one period, so
 * no period admits more than the limit; for small limits, since memory grows with them. `concurrency`: as `log`, but a charge is a lease:
 * it ends when it is released, at the latest after a period.
 */
export type Algorithm = 'fixed' | 'gcra' | 'sliding' | 'log' | 'concurrency';

/** The part common to all asks: one counter, and its limit. */
interface AskOfCounter<B> {
  readonly bucket: B;
  /** The typed values of the rule's `key`, as one canonical text; different keys never give the same text. */
  readonly key: string;
  readonly limit: number;
  /** Bucket size of `gcra`; equals `limit` unless the rule sets it. */
  readonly burst: number;
  /** The period; the rule's, unless the request overrides it (RateLimitOverride). */
  readonly perMs: number;
  /**
   * `fixed`: end of the window in ms since 1970, if windows do not start at multiples of `perMs` (months). `giveBack`, also with `sliding`:
   * the window that was charged; later windows are not credited.
   */
  readonly endsAtMs?: number;
  /**
   * A repeated ask with the same key within a period of the first charge is granted without a charge. Asks of one call are each charged.
   * The key is forgotten
   * - after the period;
   * - when the whole charge is given back, or the lease is released;
   * - with `log` and `concurrency`, also by a reset, and when a debt above the limit drops the oldest entries.
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
/** Reads what is left without charging. Granted unless the counter is in debt. */
export interface Look<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'look';
}
/** Returns `cost` of an earlier charge; always granted. */
export interface GiveBack<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'giveBack';
  /** More than 0. */
  readonly cost: number;
}
/** `concurrency`: ends the lease that was taken with this idempotency key; always granted. */
export interface Release<B = unknown> extends AskOfCounter<B> {
  readonly kind: 'release';
}
/** Charges `cost` after the fact, even beyond the limit; always granted. */
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
  /** Units left after this ask, or without it if it is refused; at least 0. */
  readonly remaining: number;
  /**
   * Granted: time until the counter is full again (`fixed`: end of the window; `sliding`: end of the next one), at least 0. Refused: time
   * until this ask could pass, at least 1.
   */
  readonly resetMs: number;
  /** The charged part of the cost, if a partial spend is granted. */
  readonly charged?: number;
}

/** The leases that an operator asks for: `count` of them after the `from` oldest. */
export interface LeasePage {
  readonly from: number;
  readonly count: number;
}

/** A lease of a counter of `concurrency`. */
export interface QuotaLease {
  /** Its idempotency key; absent if it has none, or one too long to be stored as text. */
  readonly id?: string | undefined;
  readonly units: number;
  /** Time since it was taken. */
  readonly heldMs: number;
  /** Time until it ends, unless it is released before. */
  readonly endsInMs: number;
}

/** Where a counter is and who holds its units, for operators. */
export interface QuotaPlace {
  /** Its name in the backend, such as a Redis key; absent if it has none. */
  readonly counter?: string | undefined;
  /** Replicas with units that were taken in advance and are not spent yet. */
  readonly holders?: readonly { readonly who: string; readonly units: number }[];
  /** `concurrency`: the leases of the requested page, oldest first. */
  readonly leases?: readonly QuotaLease[];
  /** How many leases there are in all; absent if none were requested. */
  readonly leaseCount?: number | undefined;
}
