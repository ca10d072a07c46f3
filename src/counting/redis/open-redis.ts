/**
 * A store in Redis: exact over all replicas that share it.
 * **In**: where Redis is and how to count, the host. **Out**: what an adapter returns for `quota`. **Fails**: opening never waits longer than
 * `connectTimeoutMs`; a charge fails as {@link Connection.ask} does.
 */
import type { Host, QuotaAsk } from '../../adapters/contract.ts';
import type { EscrowBucket as Bucket } from '../escrow.ts';
import type { CounterStore } from '../store.ts';
import { chargeBySlot, slotTag } from './by-slot.ts';
import { connectionOptions, type RedisConfig } from './config.ts';
import type { Connection } from './connection.ts';
import { counterKey, holdersKey } from './counter-key.ts';
import { openEscrow } from './open-escrow.ts';
import { answersOf, argumentsOf, keysOf, SCRIPT, SCRIPT_SHA1, type RedisAnswer } from './script.ts';

/** Connects in the background; waits for the first attempt, at most `connectTimeoutMs`. ioredis is loaded when the first is opened. */
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
  // So that the first call after a reload finds it connected; where Redis is away, opening goes on at once.
  await connection.firstTry(AbortSignal.any([host.signal, AbortSignal.timeout(config.connectTimeoutMs)]));
  return connection;
}

export interface RedisStoreConfig extends RedisConfig {
  /** What every key begins with. */
  readonly prefix: string;
  /** Whose time counts. */
  readonly clock: 'redis' | 'local';
  /** Take units ahead in chunks. */
  readonly escrow: boolean;
}

export async function openRedisStore(config: RedisStoreConfig, host: Host): Promise<CounterStore<Bucket>> {
  const [connection, { runScript }] = await Promise.all([openRedis(config, host), import('./run-script.ts')]);
  const prefixOf = (key: string): string =>
    config.cluster === undefined ? config.prefix : `${config.prefix}${slotTag(key)}`;
  async function run(asks: readonly QuotaAsk<Bucket>[]): Promise<readonly RedisAnswer[]> {
    const nowMs = config.clock === 'local' ? host.clock.nowMs() : undefined;
    return connection.ask(
      (redis) => runScript(redis, SCRIPT, SCRIPT_SHA1, keysOf(asks, prefixOf), argumentsOf(asks, nowMs)),
      (reply) => answersOf(asks, reply),
    );
  }

  const keyOf = ({ bucket, key, perMs }: QuotaAsk<Bucket>): string => counterKey(prefixOf(key), bucket, perMs, key);
  const holdersKeyOf = ({ bucket, key, perMs }: QuotaAsk<Bucket>): string =>
    holdersKey(prefixOf(key), bucket, perMs, key);
  const charge = (asks: readonly QuotaAsk<Bucket>[]): Promise<readonly RedisAnswer[]> =>
    config.cluster === undefined ? run(asks) : chargeBySlot(asks, run);
  const opened = config.escrow ? openEscrow({ host, connection, charge, holdersKeyOf }) : undefined;

  return {
    bucket: ({ counter, algorithm, perMs }) => ({ counter, algorithm, perMs, leases: new Map() }),
    charge: opened === undefined ? charge : (asks) => opened.escrow.charge(asks),
    look: (asks) =>
      Promise.all(
        asks.map(async (ask) => ({
          counter: keyOf(ask),
          ...(opened === undefined ? {} : { holders: await opened.holdersOf(ask) }),
        })),
      ),
    async reset(asks) {
      for (const ask of asks) opened?.escrow.forget(ask);
      await Promise.all(asks.map((ask) => connection.ask((redis) => redis.del(keyOf(ask)))));
    },
    async close() {
      await opened?.escrow.close();
      connection.close();
    },
  };
}
