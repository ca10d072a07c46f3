/** Where counters are kept: in the heap of one thread ({@link HeapTable}), or in memory that all workers see ({@link SharedTable}). */
import type { Counter, CounterAlgorithm, Entry, Owner } from '../counter.ts';
import type { CounterAsk } from '../store.ts';

/** What names a counter. */
export type CounterName = Pick<CounterAsk, 'bucket' | 'key' | 'perMs'>;

/** `C`: a counter as it was found; whoever changes it writes it. */
export interface Table<C extends Counter = Counter> {
  readonly size: number;
  /** Runs `work` while nobody else uses the counters; the other methods are for use within it. */
  within<R>(work: (asks: readonly CounterAsk[]) => R, asks: readonly CounterAsk[]): R;
  /** In the time by which counters of an algorithm end. */
  nowMs(algorithm: CounterAlgorithm): number;
  /** Makes room for the entries that these asks may add; entries that were found before are not valid any more. */
  reserve(asks: readonly CounterAsk[]): void;
  find(name: CounterName): C | undefined;
  /** False if there is no room. `leaseId`: the idempotency key of its entries, for operators. */
  add(name: CounterName, counter: Readonly<Counter>, leaseId?: string): boolean;
  /** `isRenewed`: it was over, and begins anew. `leaseId`: the idempotency key of new entries, for operators. */
  write(counter: C, isRenewed: boolean, leaseId?: string): void;
  /** What entries keep of an idempotency key. */
  ownerOf(idempotencyKey: string): Owner;
  /** The idempotency key of an entry that was found; `undefined` if it is not kept. */
  leaseIdOf(entry: Entry): string | undefined;
}
