/** Where limits are counted: the stores of the counting engine, as the settings open them. */
import type { LeasePage, QuotaPlace } from '../../adapters/contract.ts';
import type { CounterAnswer, CounterAsk, CounterStore } from '../../counting/store.ts';
import type { Unit } from '../call.ts';

export type { CounterAnswer, CounterAsk };

/** It fails with a ServiceError of kind `redis_error`. */
export interface ChargeStore extends Pick<CounterStore, 'charge' | 'reset'> {
  /** Escrow: spends hits of windows, each ask for itself; one beyond its limit is refused. Other stores are owed them. */
  spendEach?(asks: readonly CounterAsk[]): ReturnType<CounterStore['charge']>;
}

export interface Holder {
  readonly who: string;
  readonly units: number;
}

/** A store, and what operators ask about it. */
export interface Pool {
  readonly store: ChargeStore;
  /** Where a counter without windows is, as the backend names it, and its leases. */
  placeOf(ask: CounterAsk, leases: LeasePage | undefined): Promise<QuotaPlace>;
  /** Units of a counter that this thread holds. */
  heldOf(ask: CounterAsk): number;
  /** Other processes that hold units of a counter. */
  othersOf(ask: CounterAsk): Promise<readonly Holder[]>;
  /** Name of this process for others. */
  readonly replica: string;
  /** Drops units of a counter that was reset. */
  forget(ask: CounterAsk): void;
}

/** By the unit of a limit: those of a second may have a Redis of their own. */
export type PoolOf = (unit: Unit | undefined) => Pool;

/** Name of a counter without windows, unique over all stores. */
export const nameOf = ({ bucket, key }: CounterAsk): string => `${bucket.algorithm} ${bucket.counter} ${key}`;

/** This process among the others; who holds most comes first. */
export const allHolders = (own: Holder, others: readonly Holder[]): readonly Holder[] =>
  [own, ...others].filter(({ units }) => units > 0).sort((one, other) => other.units - one.units);
