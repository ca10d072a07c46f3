/**
 * A store in the memory of this process, which its workers share.
 * **In**: how much it may hold, the host. **Out**: what an adapter returns for `quota`. **Fails**: a new key for which there is no room is
 * {@link Rejected}; the handler is not ready until there is room.
 */
import { type Host, Rejected } from '../../adapters/contract.ts';
import type { CounterStore } from '../store.ts';
import { Counters } from './counters.ts';
import { HeapTable } from './heap-table.ts';
import { Room } from './room.ts';
import { SharedTable } from './shared-table.ts';
import type { Table } from './table.ts';

/** Counters of each name that are looked at in one sweep while the store is full. */
const SWEPT_AT_ONCE = 10_000;

export interface MemoryStoreOptions {
  readonly maxKeys: number;
  /** Entries of `log` and `concurrency` in the memory of several workers. */
  readonly maxEntries: number;
}

export function openMemoryStore({ maxKeys, maxEntries }: MemoryStoreOptions, host: Host): CounterStore {
  const evicted = host.metrics.counter(
    'quota_memory_evicted',
    'Counters forgotten while in use, because maxKeys was reached.',
  );
  const onEvicted = (): void => evicted.add();
  if (host.worker.count > 1) {
    const entriesEvicted = host.metrics.counter(
      'quota_memory_entries_evicted',
      'Charges forgotten before they were over, because maxEntries was reached.',
    );
    const onEntryEvicted = (): void => entriesEvicted.add();
    return storeOf(new SharedTable({ maxKeys, maxEntries, host, onEvicted, onEntryEvicted }), maxKeys);
  }
  const table = new HeapTable({ maxKeys, clock: host.clock, onEvicted, onFull: () => room.full() });
  const room = new Room({
    host,
    why: `all ${maxKeys} counters are in use (maxKeys); calls with a new key come to their rule's onError`,
    hasRoom() {
      table.sweep(SWEPT_AT_ONCE);
      return !table.isFull;
    },
  });
  return storeOf(table, maxKeys, () => {
    room.close();
    table.clear();
  });
}

function storeOf(table: Table, maxKeys: number, close: () => void = () => {}): CounterStore {
  const counters = new Counters(
    table,
    () => new Rejected(`no room for another counter: all ${maxKeys} are in use (maxKeys)`),
  );
  return {
    bucket: ({ counter, algorithm, perMs }) => ({ counter, algorithm, perMs }),
    charge: (asks) => counters.charge(asks),
    reset: (asks) => counters.reset(asks),
    look: (asks, leases) => counters.look(asks, leases),
    close,
  };
}
