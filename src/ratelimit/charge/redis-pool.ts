/**
 * Counters in Redis, within a deadline and behind a breaker, in escrow where the settings say so.
 * **In**: an address, settings. **Out**: a pool. **Fails**: with a ServiceError of kind `redis_error`: at once while the connection is down
 * or the breaker is open, else at the deadline.
 */
import type { OutageLog } from '../../adapters/outage-log.ts';
import type { ThrottledLine } from '../../core/handlers/throttled-line.ts';
import type { EscrowedUnits } from '../../counting/escrow.ts';
import { type Connection, openConnection } from '../../counting/redis/connection.ts';
import { type RedisStore, redisStore } from '../../counting/redis/redis-store.ts';
import { ServiceError } from '../call.ts';
import { Guard } from './guard.ts';
import type { Settings } from '../settings/settings.ts';
import { redisAddress } from './redis-address.ts';
import type { ChargeStore } from './store.ts';

export { replicaName } from '../../counting/store.ts';

/** Algorithms that the reference does not have count in keys below this; its own keys stay as they are. */
const OWN_PREFIX = 'sluice:limits:';
/** Silence for this long while commands wait: the connection is closed, and made anew. */
const HUNG_MS = 500;

export interface RedisPoolOptions {
  readonly settings: Settings;
  /** Which of them name its address. */
  readonly setting: 'REDIS' | 'REDIS_PERSECOND';
  readonly nowMs: () => number;
  readonly outage: OutageLog | undefined;
  readonly failures?: ThrottledLine | undefined;
  /** Of the connection for counts alone. */
  readonly pipeOutage?: OutageLog | undefined;
  /** Put around what asks Redis: a tracer. */
  readonly around: (store: ChargeStore) => ChargeStore;
  /** Name of this process for others, and the number of this thread. */
  readonly replica: string;
  readonly worker: number;
}

export interface RedisPool extends RedisStore {
  readonly connection: Connection;
  readonly guard: Guard;
  readonly escrowed: Readonly<Record<EscrowedUnits, number>>;
}

export function redisPool(options: RedisPoolOptions): RedisPool {
  const { settings, setting, nowMs, outage, failures, pipeOutage, around, replica, worker } = options;
  const deadlineMs = settings.SLUICE_REDIS_DEADLINE;
  const keyPrefix = settings.CACHE_KEY_PREFIX;
  const guard = new Guard({ timeoutMs: deadlineMs, outage, failures });
  let isOpen = false; // that it is not connected yet is no outage
  const connection = openConnection({
    redis: redisAddress(settings, setting),
    timeoutMs: Math.max(HUNG_MS, deadlineMs),
    onReady(isReady, why = '') {
      if (isReady) guard.outage.connected();
      else if (isOpen) guard.outage.disconnected(why);
    },
    hasPipe: true,
    onPipe(why) {
      if (why === undefined) pipeOutage?.succeeded('Redis takes its second connection again');
      else pipeOutage?.failed('Redis refuses its second connection; counts go over the first', why);
    },
  });
  isOpen = true;
  const escrowed = { taken: 0, returned: 0, stranded: 0 };
  const onUnits = (what: EscrowedUnits, units: number): void => {
    escrowed[what] += units;
  };
  const store = redisStore({
    connection,
    prefix: `${keyPrefix}${OWN_PREFIX}`,
    windowPrefix: keyPrefix,
    clock: 'redis',
    nowMs,
    jitterMaxS: settings.EXPIRATION_JITTER_MAX_SECONDS,
    within: (trip, commands) =>
      connection.why === undefined
        ? guard.ask(trip, commands)
        : Promise.reject(new ServiceError('redis_error', connection.why)),
    around,
    escrow: settings.SLUICE_ESCROW ? { replica, worker, nowMs, onUnits } : undefined,
  });
  const close = (): void | Promise<void> => {
    guard.outage.close();
    return store.close();
  };
  return { ...store, close, connection, guard, escrowed };
}
