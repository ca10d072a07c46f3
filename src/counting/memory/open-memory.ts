/**
 * A store in the memory of this process, which its workers share.
 * **In**: how much it may hold, the host. **Out**: what an adapter returns for `quota`. **Fails**: a new key for which there is no room is
 * {@link Rejected}; the handler is not ready until there is room.
 */
import type { Host } from '../../adapters/contract.ts';
import { Counters } from './counters.ts';
import type { Bucket } from './groups.ts';
import { Room } from './room.ts';
import { SharedCounters } from './shared-counters.ts';
import type { CounterStore } from '../store.ts';

/** Counters of each name that are looked at in one sweep while the store is full. */
const SWEPT_AT_ONCE = 10_000;

export interface MemoryStoreOptions {
  readonly maxKeys: number;
  /** Entries of `log` and `concurrency` in the memory of several workers. */
  readonly maxEntries: number;
}

export function openMemoryStore({ maxKeys, maxEntries }: MemoryStoreOptions, host: Host): CounterStore<Bucket> {
  const evicted = host.metrics.counter(
    'quota_memory_evicted',
    'Counters forgotten while in use, because maxKeys was reached.',
  );
  if (host.worker.count > 1) {
    const entriesEvicted = host.metrics.counter(
      'quota_memory_entries_evicted',
      'Charges forgotten before they were over, because maxEntries was reached.',
    );
    const shared = new SharedCounters({
      maxKeys,
      maxEntries,
      host,
      onEvicted: () => evicted.add(),
      onEntryEvicted: () => entriesEvicted.add(),
    });
    return {
      bucket: (rule) => shared.bucket(rule),
      charge: (asks) => shared.charge(asks),
      reset: (asks) => shared.reset(asks),
      look: (asks, leases) => shared.look(asks, leases),
      close() {},
    };
  }
  const counters = new Counters({
    maxKeys,
    clock: host.clock,
    onEvicted: () => evicted.add(),
    onFull: () => room.full(),
  });
  const room = new Room({
    host,
    why: `all ${maxKeys} counters are in use (maxKeys); calls with a new key come to their rule's onError`,
    hasRoom: () => {
      counters.sweep(SWEPT_AT_ONCE);
      return !counters.isFull;
    },
  });
  return {
    bucket: (rule) => counters.bucket(rule),
    charge: (asks) => counters.charge(asks),
    reset: (asks) => counters.reset(asks),
    look: (asks, leases) => counters.look(asks, leases),
    forget: (bucket) => counters.forget(bucket),
    close() {
      room.close();
      counters.clear();
    },
  };
}
