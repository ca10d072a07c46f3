/**
 * Counters by name, and who has to make room when all are in use.
 * **In**: buckets and new keys. **Out**: groups and slots; no slot if there is no room. **Fails**: never.
 */
import type { QuotaAsk } from '../../adapters/contract.ts';
import type { Counter, CounterAlgorithm } from '../counter.ts';
import type { BucketSpec } from '../store.ts';
import { ExpiryList, type Slot } from './expiry-list.ts';

/** The counters of one name, algorithm and period; when all are in use, each group has a share. */
export interface Group {
  readonly name: string;
  readonly algorithm: CounterAlgorithm;
  /** Buckets that use it; an empty group without any is dropped. */
  buckets: number;
  readonly list: ExpiryList;
  /** By key: of this group alone, or of all `window`s, whose keys name them wholly. */
  readonly index: Map<string, Slot>;
}

export interface Bucket extends BucketSpec {
  /** Cached, to avoid searching for it. */
  readonly group?: Group;
}

const SWEPT_PER_NEW_KEY = 2; // more than one, so that what is over goes faster than new keys come

export interface GroupsOptions {
  readonly maxKeys: number;
  /** In the time by which counters of an algorithm end. */
  readonly nowMs: (algorithm: CounterAlgorithm) => number;
  /** See {@link CountersOptions}. */
  readonly whenFull: 'reject' | 'evict' | undefined;
  readonly onEvicted: () => void;
}

export class Groups {
  readonly #options: GroupsOptions;
  readonly #groups = new Map<string, Group>();
  /** Caches the group of a bucket, so that its name is not built for each ask. */
  #ofBuckets = new WeakMap<Bucket, Group>();
  readonly #windows = new Map<string, Slot>();
  /** Position of the sweep, which goes round all groups. */
  #round = this.#groups.values();
  /** Counters of all groups. */
  size = 0;

  constructor(options: GroupsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#groups.size;
  }

  get isFull(): boolean {
    return this.size >= this.#options.maxKeys;
  }

  for({ bucket, perMs }: QuotaAsk<Bucket>): Group {
    if (perMs !== bucket.perMs) return this.named(bucket.counter, bucket.algorithm, perMs);
    let group = bucket.group ?? this.#ofBuckets.get(bucket);
    if (group === undefined) {
      group = this.named(bucket.counter, bucket.algorithm, perMs);
      group.buckets = Infinity; // as long as its bucket, which is not ours to forget
      this.#ofBuckets.set(bucket, group);
    }
    return group;
  }

  named(counter: string, algorithm: CounterAlgorithm, perMs: number): Group {
    const name = `${algorithm} ${perMs} ${counter}`;
    let group = this.#groups.get(name);
    if (group === undefined) {
      const index = algorithm === 'window' ? this.#windows : new Map<string, Slot>();
      const list = new ExpiryList(isOfCalendar(algorithm), index);
      group = { name, algorithm, buckets: 0, list, index };
      this.#groups.set(name, group);
    }
    return group;
  }

  add(group: Group, key: string, counter: Readonly<Counter>): Slot | undefined {
    if (!this.#makeRoom(group)) return undefined;
    this.size++;
    return group.list.add(key, counter);
  }

  /** Removes what is over, looking at up to `limit` counters of each group. */
  sweep(limit: number): void {
    for (const group of this.#groups.values()) {
      this.#sweep(group, limit);
      this.dropEmpty(group);
    }
  }

  clear(): void {
    this.#groups.clear();
    this.#ofBuckets = new WeakMap();
    this.#windows.clear();
    this.size = 0;
  }

  dropEmpty({ name, buckets, list }: Group): void {
    if (buckets === 0 && list.size === 0) this.#groups.delete(name);
  }

  #sweep({ algorithm, list }: Group, limit: number): void {
    this.size -= list.sweep(this.#options.nowMs(algorithm), limit);
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
      this.dropEmpty(other);
    }
    if (!this.isFull) return true;
    let [inUse, largest] = [group.list.size === 0 ? 1 : 0, group];
    for (const one of this.#groups.values()) {
      if (one.list.size > 0) inUse++;
      if (one.list.size > largest.list.size) largest = one;
    }
    const hasItsShare = largest === group || group.list.size >= Math.floor(this.#options.maxKeys / inUse);
    if (hasItsShare && this.#options.whenFull !== 'evict') return false;
    const giving = hasItsShare && group.list.size > 0 ? group : largest;
    if (!giving.list.removeFirst()) return false;
    this.size--;
    this.#options.onEvicted();
    return true;
  }
}

export const isOfCalendar = (algorithm: CounterAlgorithm): boolean =>
  algorithm === 'fixed' || algorithm === 'sliding' || algorithm === 'window';
