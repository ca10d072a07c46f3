/**
 * **In**: settings. **Out**: the pools of windows of a second and of all others, with their gauges among the metrics. **Fails**: with a
 * SettingError where a setting names what cannot be used; a Redis that is away is no failure.
 */
import { OutageLog } from '../../adapters/outage-log.ts';
import { ThrottledLine } from '../../core/handlers/throttled-line.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Counters } from '../../counting/memory/counters.ts';
import { Unit } from '../call.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { SettingError } from '../settings/setting.ts';
import type { Settings } from '../settings/settings.ts';
import { LOCAL_KEYS, memoryPool, type MemoryPoolOptions } from './memory-pool.ts';
import { type RedisPool, redisPool, replicaName } from './redis-pool.ts';
import type { ChargeStore, PoolOf } from './store.ts';

export interface Stores {
  readonly poolOf: PoolOf;
  /** Counts while Redis is away. */
  readonly local: ChargeStore;
  /** Why one of them cannot be asked now; `undefined` where all can. */
  readonly unhealthyWhy: () => string | undefined;
  /** A breaker keeps calls from a Redis. */
  readonly isSpared: () => boolean;
  /** Name of this process among the holders of a counter's units. */
  readonly replica: string;
}

/** Where an outage of Redis is logged. */
export type OutageTarget = ConstructorParameters<typeof OutageLog>[0];

/** Puts something around what asks Redis, once, at the start: a tracer. */
export type AroundRedis = (store: ChargeStore, pool: 'others' | 'per second') => ChargeStore;

/** One of several workers, which count in the same memory. */
export interface SharedCounts {
  /** From 1. */
  readonly worker: number;
  /** Name of the process for others. */
  readonly replica: string;
  /** By name; allocated by the supervisor. */
  readonly memory: Map<string, SharedArrayBuffer>;
}

export interface StoresOptions {
  readonly settings: Settings;
  readonly nowMs: () => number;
  readonly metrics: RatelimitMetrics;
  readonly log: OutageTarget | undefined;
  readonly aroundRedis: AroundRedis | undefined;
  readonly shared: SharedCounts | undefined;
}

export function openStores(options: StoresOptions, stack: AsyncDisposableStack): Stores {
  const { settings, nowMs, metrics, log, aroundRedis = (store) => store, shared } = options;
  if (settings.BACKEND_TYPE === 'memory') {
    const full = log === undefined ? undefined : new OutageLog(log, { setting: 'SLUICE_MAX_KEYS' });
    let evicted = 0;
    const memory = memoryPool({
      ...memoryOf(settings, shared),
      nowMs,
      onEvicted: () => void evicted++,
      onFull: () =>
        full?.failed(
          'there is no room for new counters',
          `all ${settings.SLUICE_MAX_KEYS} are in use; calls with a new key fail`,
        ),
    });
    if (shared === undefined) metrics.gauges.set('ratelimit.memory.keys', () => memory.size); // of workers the supervisor says it, once
    metrics.gauges.set('ratelimit.memory.evicted', () => evicted);
    return { poolOf: () => memory, local: memory, unhealthyWhy: () => undefined, isSpared: () => false, replica: '' };
  }
  const { replica = replicaName(), worker = 0 } = shared ?? {};
  const openAt = (setting: 'REDIS' | 'REDIS_PERSECOND', gauge: string): RedisPool => {
    const outageLog = (): OutageLog | undefined => log && new OutageLog(log, { pool: gauge });
    const pool = asSetting(setting, () =>
      redisPool({
        settings,
        setting,
        nowMs,
        outage: outageLog(),
        failures: log && new ThrottledLine(log, 'warn', 'a round trip to Redis failed', { pool: gauge }),
        pipeOutage: outageLog(),
        around: (store) => aroundRedis(store, setting === 'REDIS' ? 'others' : 'per second'),
        replica,
        worker,
      }),
    );
    stack.defer(() => pool.close());
    const { connection, counters, guard, escrow, escrowed } = pool;
    const show = (name: string, read: () => number): void => {
      metrics.gauges.set(`ratelimit.${gauge}.${name}`, read);
    };
    show('cx_active', () => connection.connections.active);
    show('cx_total', () => connection.connections.total);
    show('cx_local_close', () => connection.connections.closed);
    show('trips', () => counters.trips);
    show('breaker_open', () => (guard.breaker.state === 'closed' ? 0 : 1));
    if (escrow === undefined) return pool;
    show('escrow_held', () => escrow.held);
    show('escrow_asked', () => escrow.asked);
    show('escrow_local', () => escrow.local);
    show('escrow_returned', () => escrowed.returned);
    show('escrow_stranded', () => escrowed.stranded);
    return pool;
  };
  const others = openAt('REDIS', 'redis_pool');
  const perSecond = settings.REDIS_PERSECOND ? openAt('REDIS_PERSECOND', 'redis_per_second_pool') : others;
  const local = memoryPool({ ...memoryOf(settings, shared), nowMs });
  return {
    poolOf: (unit) => (unit === Unit.SECOND ? perSecond : others),
    local,
    replica,
    unhealthyWhy: () => others.connection.why ?? perSecond.connection.why,
    isSpared: () => [others, perSecond].some(({ guard }) => guard.breaker.state !== 'closed'),
  };
}

/** Counters in memory: all of them, or those of the time while Redis is away. */
const memoryOf = (settings: Settings, shared: SharedCounts | undefined): Omit<MemoryPoolOptions, 'nowMs'> =>
  settings.BACKEND_TYPE === 'memory'
    ? { maxKeys: settings.SLUICE_MAX_KEYS, share: shared }
    : { maxKeys: LOCAL_KEYS, whenFull: 'evict', share: shared };

/** The counters in memory, as the supervisor of workers sees them. */
export const sharedPool = (settings: Settings, shared: SharedCounts): Counters =>
  memoryPool({ ...memoryOf(settings, shared), nowMs: Date.now });

function asSetting<T>(setting: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const message = messageOf(error);
    throw new SettingError(/^[A-Z_]+ /.test(message) ? `${setting}_${message}` : `${setting}_...: ${message}`, {
      cause: error,
    });
  }
}
