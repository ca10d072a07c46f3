/** The state of a counter, and the answers to asks. */
import type { Algorithm, QuotaAnswer } from '../adapters/contract.ts';

/**
 * The algorithms of rules, and `window`: a plain count under a key that names its window, as envoyproxy/ratelimit counts. Such a counter is
 * never rolled to the next window; that one has a key of its own.
 */
export type CounterAlgorithm = Algorithm | 'window';

/** One counter. It is over, and may be forgotten, once `endsAtMs` has come. */
export interface Counter {
  /**
   * `fixed`: end of the window. `sliding`: end of the next window. `gcra`: the theoretical arrival time, rounded up to a whole millisecond.
   * `log`, `concurrency`: when the last entry ends. `window`: until when the count is of use.
   */
  endsAtMs: number;
  /** `fixed`, `sliding`, `window`: used in this window. */
  used: number;
  /** `sliding`: used in the window before. `gcra`: by how much the arrival time was ahead when it was written, in ms. */
  usedBefore: number;
  /**
   * `gcra`: the rounding error of the arrival time. Stored separately: beside a present-day timestamp a double keeps only a few digits of a
   * fraction, and thirds would not add up.
   */
  roundedUpMs: number;
  /** `log`, `concurrency`: each charge, in the order in which they end. */
  entries: readonly Entry[];
}

export const NO_ENTRIES: readonly Entry[] = [];
export const BLANK: Readonly<Counter> = {
  endsAtMs: 0,
  used: 0,
  usedBefore: 0,
  roundedUpMs: 0,
  entries: NO_ENTRIES,
};

export const copyOf = ({ endsAtMs, used, usedBefore, roundedUpMs, entries }: Counter): Counter => ({
  endsAtMs,
  used,
  usedBefore,
  roundedUpMs,
  entries,
});

/** The idempotency key of the charge, or the store's substitute for it. */
export type Owner = string | number | undefined;
export interface Entry {
  readonly untilMs: number;
  readonly cost: number;
  readonly owner: Owner;
}

/** An answer; what a store does not tell is absent. */
export interface CounterAnswer extends QuotaAnswer {
  /** The count of a `window` after the ask; uncharged if it is refused. */
  readonly used?: number;
  /** End of the window that was charged, in the time of the store. */
  readonly endsAtMs?: number;
  /** Escrow: units of `remaining` that are held here. */
  readonly held?: number;
}

/** `log` and `concurrency` keep each charge. */
export const keepsEntries = (algorithm: CounterAlgorithm): boolean =>
  algorithm === 'log' || algorithm === 'concurrency';
