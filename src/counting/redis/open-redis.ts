/**
 * A store in Redis for adapters.
 * **In**: the address of Redis, how to count, the host. **Out**: the quota methods of a handler. **Fails**: opening waits at most
 * `connectTimeoutMs`, and needs no Redis; a charge fails as {@link Connection.ask} does.
 */
import type { Host } from '../../adapters/contract.ts';
import { type CounterStore, replicaName } from '../store.ts';
import { connectionOptions, type RedisConfig } from './config.ts';
import type { Connection } from './connection.ts';
import type { EscrowOwner } from './redis-store.ts';

/** Connects in the background; waits for the first attempt. ioredis is loaded when the first connection is opened. */
export async function openRedis(config: RedisConfig, host: Host): Promise<Connection> {
  const [redis, { openConnection }] = await Promise.all([
    connectionOptions(config, host.folder),
    import('./connection.ts'),
  ]);
  const connection = openConnection({
    redis,
    timeoutMs: config.timeoutMs,
    onReady: (isReady, why) => host.ready(isReady, why),
  });
  // The first call after a reload finds it connected; if Redis is unavailable, opening continues at once.
  await connection.firstTry(AbortSignal.any([host.signal, AbortSignal.timeout(config.connectTimeoutMs)]));
  return connection;
}

export interface RedisStoreConfig extends RedisConfig {
  /** Prefix of every key. */
  readonly prefix: string;
  /** The clock that decides. */
  readonly clock: 'redis' | 'local';
  /** Leases units in chunks. */
  readonly escrow: boolean;
}

export async function openRedisStore(config: RedisStoreConfig, host: Host): Promise<CounterStore> {
  const [connection, { redisStore }] = await Promise.all([openRedis(config, host), import('./redis-store.ts')]);
  const { prefix, clock } = config;
  return redisStore({
    connection,
    prefix,
    clock,
    nowMs: () => host.clock.nowMs(),
    escrow: config.escrow ? escrowOwner(host) : undefined,
  });
}

function escrowOwner(host: Host): EscrowOwner {
  const { clock, metrics } = host;
  const { number, count } = host.worker;
  const counted = {
    taken: metrics.counter('quota_redis_escrow_taken', 'Units taken from Redis to be spent here.'),
    returned: metrics.counter('quota_redis_escrow_returned', 'Units given back unspent.'),
    stranded: metrics.counter(
      'quota_redis_escrow_stranded',
      'Units that nobody could spend before their time was over.',
    ),
  };
  return {
    replica: `${replicaName()}${count > 1 ? ` (worker ${number})` : ''}`,
    worker: number,
    nowMs: () => clock.monotonicMs(),
    onUnits: (what, units) => counted[what].add(units),
  };
}
