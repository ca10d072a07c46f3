/**
 * **In**: settings. **Out**: the stores of windows of a second and of all others, with what they count among the metrics.
 * **Fails**: with a SettingError where a setting names what cannot be used; a Redis that is away is no failure.
 */
import { OutageLog } from '../../core/handlers/outage-log.ts';
import { Unit } from '../call.ts';
import { EscrowStore } from './escrow-store.ts';
import { Holders, replicaName } from './holders.ts';
import { MemoryStore } from './memory-store.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { connectRedis, type RedisPlace } from './redis-connect.ts';
import { RedisStore, type RedisStoreOptions } from './redis-store.ts';
import { SettingError } from '../settings/setting.ts';
import type { Settings } from '../settings/settings.ts';
import { type SharedCounts, SharedStore } from './shared-store.ts';
import type { CountStore } from './store.ts';
import { messageOf } from '../../text/message-of.ts';

export interface Stores {
  readonly storeOf: (unit: Unit | undefined) => CountStore;
  /** Why one of them cannot be asked now; `undefined` where all can. */
  readonly unhealthyWhy: () => string | undefined;
  /** Tells when Redis stops answering; absent where it is counted in memory, or nothing is logged. */
  readonly outageOf: (unit: Unit | undefined) => OutageLog | undefined;
  /** Those that hold units of others' counters. */
  readonly escrows: readonly EscrowStore[];
  /** Where who holds units of a counter is told; absent where it is counted in memory. */
  readonly holdersOf: (unit: Unit | undefined) => Holders | undefined;
}

/** Where an outage of Redis is logged. */
export type OutageTarget = ConstructorParameters<typeof OutageLog>[0];

/** Puts something around what asks Redis, once, at the start: a tracer. */
export type AroundRedis = (store: CountStore, pool: 'others' | 'per second') => CountStore;

export interface StoresOptions {
  readonly settings: Settings;
  readonly nowMs: () => number;
  readonly metrics: RatelimitMetrics;
  readonly log: OutageTarget | undefined;
  readonly aroundRedis: AroundRedis | undefined;
  readonly shared: SharedCounts | undefined;
}

export function openStores(
  { settings, nowMs, metrics, log, aroundRedis = (store) => store, shared }: StoresOptions,
  stack: AsyncDisposableStack,
): Stores {
  if (settings.BACKEND_TYPE === 'memory') {
    const full = log === undefined ? undefined : new OutageLog(log, { setting: 'SLUICE_MAX_KEYS' });
    const onFull = (): void =>
      full?.failed(
        'there is no room for new counters',
        `all ${settings.SLUICE_MAX_KEYS} are in use; calls with a new key fail`,
      );
    const memory =
      shared === undefined
        ? new MemoryStore({ maxKeys: settings.SLUICE_MAX_KEYS, nowMs, onFull })
        : new SharedStore({ memory: shared.counts, worker: shared.worker, nowMs });
    if (memory instanceof MemoryStore) metrics.gauges.set('ratelimit.memory.keys', () => memory.size); // of shared memory the supervisor says it, once
    metrics.gauges.set('ratelimit.memory.evicted', () => memory.evicted);
    return {
      storeOf: () => memory,
      unhealthyWhy: () => undefined,
      outageOf: () => undefined,
      escrows: [],
      holdersOf: () => undefined,
    };
  }
  const escrows: EscrowStore[] = [];
  const { replica = replicaName(), worker = 0 } = shared ?? {};
  const openAt = (pool: string, place: RedisPlace): Pool => {
    const outage = log === undefined ? undefined : new OutageLog(log, { pool });
    const store = openAtPlace(pool, place, {
      jitterMaxS: settings.EXPIRATION_JITTER_MAX_SECONDS,
      timeoutMs: settings.SLUICE_REDIS_DEADLINE,
      outage,
    });
    stack.defer(() => store.close());
    metrics.gauges.set(`ratelimit.${pool}.cx_active`, () => store.connections.active);
    metrics.gauges.set(`ratelimit.${pool}.cx_total`, () => store.connections.total);
    metrics.gauges.set(`ratelimit.${pool}.cx_local_close`, () => store.connections.closed);
    metrics.gauges.set(`ratelimit.${pool}.trips`, () => store.trips);
    metrics.gauges.set(`ratelimit.${pool}.breaker_open`, () => (store.breaker.state === 'closed' ? 0 : 1));
    const asked = aroundRedis(store, pool === 'redis_pool' ? 'others' : 'per second');
    const holders = new Holders(store, { keyPrefix: settings.CACHE_KEY_PREFIX, replica, worker });
    const pooled = { holders, outage, unhealthyWhy: () => store.unhealthyWhy };
    if (!settings.SLUICE_ESCROW) return { ...pooled, store: asked };
    const escrow = new EscrowStore(asked, { nowMs, tell: (key, units, forS) => holders.tell(key, units, forS) });
    stack.defer(() => escrow.close());
    escrows.push(escrow);
    metrics.gauges.set(`ratelimit.${pool}.escrow_held`, () => escrow.held);
    for (const count of ['asked', 'local', 'returned', 'stranded'] as const)
      metrics.gauges.set(`ratelimit.${pool}.escrow_${count}`, () => escrow.counts[count]);
    return { ...pooled, store: escrow };
  };
  const others = openAt('redis_pool', placeOf(settings));
  const perSecond = settings.REDIS_PERSECOND ? openAt('redis_per_second_pool', perSecondPlaceOf(settings)) : others;
  const poolOf = (unit: Unit | undefined): typeof others => (unit === Unit.SECOND ? perSecond : others);
  return {
    storeOf: (unit) => poolOf(unit).store,
    unhealthyWhy: () => others.unhealthyWhy() ?? perSecond.unhealthyWhy(),
    outageOf: (unit) => poolOf(unit).outage,
    escrows,
    holdersOf: (unit) => poolOf(unit).holders,
  };
}

/** What the settings of a pool say. Every Redis that is asked for it is found by this. */
export const placeOf = (settings: Settings): RedisPlace => ({
  socketType: settings.REDIS_SOCKET_TYPE,
  type: settings.REDIS_TYPE,
  url: settings.REDIS_URL,
  auth: settings.REDIS_AUTH,
  sentinelAuth: settings.REDIS_SENTINEL_AUTH,
  isTls: settings.REDIS_TLS,
  tls: tlsOf(settings),
  connectTimeoutMs: settings.REDIS_TIMEOUT,
});

export const perSecondPlaceOf = (settings: Settings): RedisPlace => ({
  socketType: settings.REDIS_PERSECOND_SOCKET_TYPE,
  type: settings.REDIS_PERSECOND_TYPE,
  url: settings.REDIS_PERSECOND_URL,
  auth: settings.REDIS_PERSECOND_AUTH,
  sentinelAuth: settings.REDIS_PERSECOND_SENTINEL_AUTH,
  isTls: settings.REDIS_PERSECOND_TLS,
  tls: tlsOf(settings),
  connectTimeoutMs: settings.REDIS_TIMEOUT,
});

const tlsOf = (settings: Settings): RedisPlace['tls'] => ({
  ca: settings.REDIS_TLS_CACERT,
  cert: settings.REDIS_TLS_CLIENT_CERT,
  key: settings.REDIS_TLS_CLIENT_KEY,
  anyName: settings.REDIS_TLS_SKIP_HOSTNAME_VERIFICATION,
});

interface Pool {
  readonly store: CountStore;
  readonly holders: Holders;
  readonly outage: OutageLog | undefined;
  readonly unhealthyWhy: () => string | undefined;
}

function openAtPlace(pool: string, place: RedisPlace, options: Omit<RedisStoreOptions, 'readyWithinMs'>): RedisStore {
  try {
    return new RedisStore((reconnect) => connectRedis(place, reconnect), {
      ...options,
      readyWithinMs: place.connectTimeoutMs,
    });
  } catch (error) {
    const message = messageOf(error);
    const setting = pool === 'redis_pool' ? 'REDIS' : 'REDIS_PERSECOND';
    throw new SettingError(/^[A-Z_]+ /.test(message) ? `${setting}_${message}` : `${setting}_...: ${message}`, {
      cause: error,
    });
  }
}
