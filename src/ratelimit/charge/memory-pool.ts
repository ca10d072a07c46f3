/**
 * Counters in the memory of this process, or of all its workers.
 * **In**: how many, a clock. **Out**: a pool. **Fails**: a new key for which there is no room fails with a ServiceError; in the memory of
 * several workers, and while Redis is away, a counter in use goes for it.
 */
import { Counters } from '../../counting/memory/counters.ts';
import { HeapTable } from '../../counting/memory/heap-table.ts';
import { SharedTable } from '../../counting/memory/shared-table.ts';
import { ServiceError } from '../call.ts';
import { SettingError } from '../settings/setting.ts';

/** Counters while Redis is away. */
export const LOCAL_KEYS = 100_000;
/** Entries of `log` and `concurrency` in the memory of several workers. */
const MAX_ENTRIES = 1_000_000;

export interface MemoryPoolOptions {
  readonly maxKeys: number;
  readonly nowMs: () => number;
  readonly whenFull?: 'reject' | 'evict';
  readonly onFull?: () => void;
  /** A counter in use, or an entry of one, was forgotten for another. */
  readonly onEvicted?: () => void;
  /** The memory of several workers, by name; what is missing is allocated. */
  readonly share?: { readonly worker: number; readonly memory: Map<string, SharedArrayBuffer> } | undefined;
}

export function memoryPool(options: MemoryPoolOptions): Counters {
  const { maxKeys, nowMs, whenFull, onFull = () => {}, onEvicted = () => {}, share } = options;
  const table =
    share === undefined
      ? new HeapTable({
          maxKeys,
          clock: { nowMs, monotonicMs: nowMs === Date.now ? () => performance.now() : nowMs },
          whenFull,
          onEvicted,
          onFull,
        })
      : sharedTable(maxKeys, nowMs, share, onEvicted);
  return new Counters(
    table,
    () => new ServiceError('redis_error', `no room for another counter: ${maxKeys} are in use (SLUICE_MAX_KEYS)`),
  );
}

function sharedTable(
  maxKeys: number,
  nowMs: () => number,
  { worker, memory }: NonNullable<MemoryPoolOptions['share']>,
  onEvicted: () => void,
): SharedTable {
  try {
    return new SharedTable({
      maxKeys: Math.max(1, maxKeys),
      maxEntries: MAX_ENTRIES,
      host: {
        clock: { nowMs },
        worker: { number: worker, count: 2 },
        shared(name, bytes) {
          const buffer = memory.get(name) ?? new SharedArrayBuffer(bytes);
          memory.set(name, buffer);
          return buffer;
        },
      },
      onEvicted,
      onEntryEvicted: onEvicted,
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new SettingError(
      `SLUICE_MAX_KEYS is ${maxKeys}: with several workers that is more shared memory than there can be`,
      { cause: error },
    );
  }
}
