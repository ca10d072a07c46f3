/**
 * Counters in the heap of one thread, bounded: by name, and who has to make room when all are in use.
 * **In**: names of counters. **Out**: counters that change in place. **Fails**: never; a new one has no room if its group has its share.
 */
import type { Host } from '../../adapters/contract.ts';
import { boundedKey, textOfBounded } from '../bounded-key.ts';
import type { Counter, CounterAlgorithm, Entry } from '../counter.ts';
import type { BucketSpec, CounterAsk } from '../store.ts';
import { endsInOrder, Group, type Slot } from './group.ts';
import type { CounterName, Table } from './table.ts';

interface Bucket extends BucketSpec {
  /** Cached, so that its name is not built for each ask. */
  group?: Group;
}

const SWEPT_PER_NEW_KEY = 2; // more than one, so that what is over goes faster than new keys come

export interface HeapTableOptions {
  readonly maxKeys: number;
  readonly clock: Pick<Host['clock'], 'nowMs' | 'monotonicMs'>;
  /** Where all counters are in use: a new one is rejected, unless its group has less than its share; or the oldest of its group goes. */
  readonly whenFull?: 'reject' | 'evict' | undefined;
  /** A counter in use was forgotten for one of another group. */
  readonly onEvicted: () => void;
  /** There was no room for a counter. */
  readonly onFull: () => void;
}

export class HeapTable implements Table<Slot> {
  readonly #options: HeapTableOptions;
  /** Converts the monotonic clock, which is never set back, to a time of day. */
  readonly #startedAtMs: number;
  readonly #groups = new Map<string, Group>();
  readonly #windows = new Map<string, Slot>();
  /** Position of the sweep, which goes round all groups. */
  #round = this.#groups.values();
  #size = 0;

  constructor(options: HeapTableOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.nowMs() - options.clock.monotonicMs();
  }

  /** Counters of all groups. */
  get size(): number {
    return this.#size;
  }

  /** Names that have counters, with their algorithms and periods. */
  get groups(): number {
    return this.#groups.size;
  }

  get isFull(): boolean {
    return this.#size >= this.#options.maxKeys;
  }

  within<R>(work: (asks: readonly CounterAsk[]) => R, asks: readonly CounterAsk[]): R {
    return work(asks);
  }

  /** Windows follow the calendar; a charge that lasts for a period must not last longer if the clock is set back. */
  nowMs(algorithm: CounterAlgorithm): number {
    const { clock } = this.#options;
    return endsInOrder(algorithm) ? clock.nowMs() : this.#startedAtMs + clock.monotonicMs();
  }

  reserve(): void {}

  find({ bucket, key, perMs }: CounterName): Slot | undefined {
    const bounded = boundedKey(key);
    return bucket.algorithm === 'window' ? this.#windows.get(bounded) : this.#groupOf(bucket, perMs)?.get(bounded);
  }

  add({ bucket, key, perMs }: CounterName, counter: Readonly<Counter>): boolean {
    const group = this.#groupOf(bucket, perMs) ?? this.#newGroup(bucket, perMs);
    if (this.#makeRoom(group)) {
      this.#size++;
      group.add(boundedKey(key), counter);
      return true;
    }
    this.#dropEmpty(group);
    this.#options.onFull();
    return false;
  }

  write(slot: Slot, isRenewed: boolean): void {
    if (isRenewed) slot.group.moveToEnd(slot);
  }

  ownerOf(idempotencyKey: string): string {
    return boundedKey(idempotencyKey);
  }

  leaseIdOf({ owner }: Entry): string | undefined {
    return typeof owner === 'string' ? textOfBounded(owner) : undefined;
  }

  /** Removes what is over, looking at up to `limit` counters of each group. */
  sweep(limit: number): void {
    for (const group of this.#groups.values()) {
      this.#sweep(group, limit);
      this.#dropEmpty(group);
    }
  }

  clear(): void {
    for (const group of this.#groups.values()) group.table = undefined;
    this.#groups.clear();
    this.#windows.clear();
    this.#size = 0;
  }

  #groupOf(bucket: Bucket, perMs: number): Group | undefined {
    const isOfBucket = perMs === bucket.perMs;
    if (isOfBucket && bucket.group?.table === this) return bucket.group;
    const group = this.#groups.get(nameOf(bucket, perMs));
    if (isOfBucket && group !== undefined) bucket.group = group;
    return group;
  }

  #newGroup(bucket: BucketSpec, perMs: number): Group {
    const { algorithm } = bucket;
    const index = algorithm === 'window' ? this.#windows : new Map<string, Slot>();
    const group = new Group(nameOf(bucket, perMs), algorithm, this, index);
    this.#groups.set(group.name, group);
    return group;
  }

  #dropEmpty(group: Group): void {
    if (group.size > 0) return;
    this.#groups.delete(group.name);
    group.table = undefined;
  }

  #sweep(group: Group, limit: number): void {
    this.#size -= group.sweep(this.nowMs(group.algorithm), limit);
  }

  #nextInRound(): Group | undefined {
    let next = this.#round.next();
    if (next.done === true) next = (this.#round = this.#groups.values()).next();
    return next.value;
  }

  /** No group pushes out another's counters, unless that one has most of all and this one less than its share. */
  #makeRoom(group: Group): boolean {
    this.#sweep(group, SWEPT_PER_NEW_KEY);
    const other = this.#nextInRound();
    if (other !== undefined && other !== group) {
      this.#sweep(other, SWEPT_PER_NEW_KEY);
      this.#dropEmpty(other);
    }
    if (!this.isFull) return true;
    let [inUse, largest] = [group.size === 0 ? 1 : 0, group];
    for (const one of this.#groups.values()) {
      if (one.size > 0) inUse++;
      if (one.size > largest.size) largest = one;
    }
    const hasItsShare = largest === group || group.size >= Math.floor(this.#options.maxKeys / inUse);
    if (hasItsShare && this.#options.whenFull !== 'evict') return false;
    const giving = hasItsShare && group.size > 0 ? group : largest;
    if (!giving.removeFirst()) return false;
    if (giving !== group) this.#dropEmpty(giving);
    this.#size--;
    this.#options.onEvicted();
    return true;
  }
}

const nameOf = ({ counter, algorithm }: BucketSpec, perMs: number): string => `${algorithm} ${perMs} ${counter}`;
