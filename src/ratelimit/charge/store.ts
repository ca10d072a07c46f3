/** Where limits are counted: the stores of the counting engine, as the settings open them. */
import type { CounterAnswer, CounterAsk, CounterStore } from '../../counting/store.ts';
import type { Unit } from '../call.ts';

export type { CounterAnswer, CounterAsk };

/** It fails with a ServiceError of kind `redis_error`. */
export type ChargeStore = Pick<CounterStore, 'charge' | 'spendEach' | 'reset'>;

/** A store that operators ask, too. */
export type Pool = ChargeStore & Pick<CounterStore, 'look' | 'dropHeld'>;

/** By the unit of a limit: those of a second may have a Redis of their own. */
export type PoolOf = (unit: Unit | undefined) => Pool;

/** Name of a counter without windows, unique over all stores. */
export const nameOf = ({ bucket, key }: CounterAsk): string => `${bucket.algorithm} ${bucket.counter} ${key}`;
