/** Limits that no window of one counter can keep: who starts the server gives what counts them. */
import type { Unit } from '../call.ts';
import type { AlgorithmAsk } from '../walk/asks.ts';

export interface AlgorithmAnswer {
  readonly isGranted: boolean;
  /** After this ask; where it is refused, uncharged. */
  readonly remaining: number;
  /** Until all is free again, or, where refused, until it could pass. */
  readonly resetMs: number;
}

export interface AlgorithmStore {
  /** Charges all, or none where one is refused; at once where it can. Rejects with why where it cannot tell. */
  charge(asks: readonly AlgorithmAsk[]): readonly AlgorithmAnswer[] | Promise<readonly AlgorithmAnswer[]>;
  /** Where its counter is, for people. */
  placeOf(ask: AlgorithmAsk): string | Promise<string>;
  /** Takes counters away. */
  reset(asks: readonly AlgorithmAsk[]): void | Promise<void>;
  /** Why it cannot be asked now, where that is known. */
  readonly notReady: string | undefined;
}

export interface AlgorithmStores {
  /** Of windows of a second, and of all others. */
  storeOf(unit: Unit | undefined): AlgorithmStore;
  /** Counts in this process while the store is away. */
  readonly local: AlgorithmStore;
}

/** What is opened, when the first such limit is read. */
export interface OpenAlgorithms {
  readonly others: AlgorithmStore;
  readonly perSecond: AlgorithmStore;
  readonly local: AlgorithmStore;
  close(): Promise<void>;
}
