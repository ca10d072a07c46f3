/** Where windows are counted. */

import type { CountAsk } from '../walk/asks.ts';

export type { CountAsk };

/** More than any limit (uint32 on the wire), and so few that a counter never comes to the end of what Redis can count. */
const MOST_HITS = 2 ** 32;

/** Hits as they are counted. */
export const cappedHits = (hits: number): number => Math.min(hits, MOST_HITS);

export interface CountStore {
  /**
   * Adds the hits of each ask to its counter, and says what the counter is at afterwards, ask by ask; at once where it can.
   * Rejects with a ServiceError of kind `redis_error` where it cannot tell.
   */
  add(asks: readonly CountAsk[]): readonly number[] | Promise<readonly number[]>;
  /** What the counters are at. */
  look(keys: readonly string[]): readonly number[] | Promise<readonly number[]>;
  /** Adds all or, where one would go over its limit, none; then it says what each would be at. */
  addIfAllFit(asks: readonly CountAsk[]): readonly number[] | Promise<readonly number[]>;
  /** Takes units off a counter that has them; one that has been forgotten since is left alone. */
  giveBack(key: string, units: number): void | Promise<void>;
  /** Takes counters away. */
  reset(keys: readonly string[]): Promise<void>;
  /** Whether it can be asked now, for /healthcheck. */
  readonly isHealthy: boolean;
  close(): Promise<void>;
}
