/** A store of counters: the quota methods of an adapter, without its rules' params. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { LeasePage, QuotaAsk, QuotaPlace } from '../adapters/contract.ts';
import type { CounterAlgorithm, CounterAnswer } from './counter.ts';

export interface BucketSpec {
  /** Buckets with equal names, algorithms and periods share their counters. */
  readonly counter: string;
  readonly algorithm: CounterAlgorithm;
  readonly perMs: number;
  /** `window`: how long a counter is read after its window. */
  readonly readForMs?: number;
}

export type CounterAsk = QuotaAsk<BucketSpec>;
export type { CounterAnswer };

export interface CounterStore {
  bucket(spec: BucketSpec): BucketSpec;
  /** Charges all asks, or none if one is refused; answers each, at once if the store can. */
  charge(asks: readonly CounterAsk[]): readonly CounterAnswer[] | Promise<readonly CounterAnswer[]>;
  /** Escrow: spends hits of windows, each ask for itself; one beyond its limit is refused. Other stores are owed them. */
  spendEach?(asks: readonly CounterAsk[]): ReturnType<CounterStore['charge']>;
  /** Deletes the counters of these asks. */
  reset(asks: readonly CounterAsk[]): void | Promise<void>;
  /** Escrow: drops units of a counter that another thread has reset. */
  dropHeld?(ask: CounterAsk): void;
  /** Where the counters of these asks are and who holds their units, ask by ask; never on a call's path. */
  look(asks: readonly CounterAsk[], leases?: LeasePage): readonly QuotaPlace[] | Promise<readonly QuotaPlace[]>;
  close(): void | Promise<void>;
}

/** The name of this process for others: a host may run several, and one that restarts is another. */
export const replicaName = (): string => `${hostname()}-${randomUUID().slice(0, 8)}`;

export type Holder = NonNullable<QuotaPlace['holders']>[number];

/** This process among the others; who holds most comes first. */
export const allHolders = (own: Holder, others: readonly Holder[]): readonly Holder[] =>
  [own, ...others].filter(({ units }) => units > 0).sort((one, other) => other.units - one.units);
