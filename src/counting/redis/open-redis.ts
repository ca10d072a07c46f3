/**
 * A store in Redis for adapters.
 * **In**: the address of Redis, how to count, the host. **Out**: the quota methods of a handler. **Fails**: opening waits at most
 * `connectTimeoutMs`, and needs no Redis; a charge fails as {@link Connection.ask} does.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host, LeasePage, QuotaPlace } from '../../adapters/contract.ts';
import { Escrow, LOOK_EVERY_MS } from '../escrow.ts';
import type { CounterAsk, CounterStore } from '../store.ts';
import { connectionOptions, type RedisConfig } from './config.ts';
import type { Connection } from './connection.ts';
import { replicaName } from './replica-name.ts';

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
  const [connection, { RedisCounters }] = await Promise.all([openRedis(config, host), import('./redis-counters.ts')]);
  const { prefix, clock } = config;
  const counters = new RedisCounters({ connection, prefix, clock, nowMs: () => host.clock.nowMs() });
  const store: CounterStore = {
    bucket: (spec) => counters.bucket(spec),
    charge: (asks) => counters.charge(asks),
    look: (asks, leases) => counters.look(asks, leases),
    reset: (asks) => counters.reset(asks),
    close: () => connection.close(),
  };
  if (!config.escrow) return store;

  const { number, count: workers } = host.worker;
  const who = `${replicaName()}${workers > 1 ? ` (worker ${number})` : ''}`;
  const counted = {
    taken: host.metrics.counter('quota_redis_escrow_taken', 'Units taken from Redis to be spent here.'),
    returned: host.metrics.counter('quota_redis_escrow_returned', 'Units given back unspent.'),
    stranded: host.metrics.counter(
      'quota_redis_escrow_stranded',
      'Units that nobody could spend before their time was over.',
    ),
  };
  const escrow = new Escrow({
    nowMs: () => host.clock.monotonicMs(),
    store: counters,
    recordHeld: (ask, units, forMs) => counters.recordHolder(ask, who, units, forMs),
    onUnits: (what, units) => counted[what].add(units),
  });
  host.background('giving back idle units', async (signal) => {
    while (!signal.aborted) {
      await sleep(LOOK_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
      escrow.giveBackIdle();
    }
  });
  /** This process as it is now; others as they last reported. */
  async function placeOf(ask: CounterAsk, leases: LeasePage | undefined): Promise<QuotaPlace> {
    const [place = {}] = await counters.look([ask], leases);
    const others = (await counters.holdersOf(ask)).filter(([one]) => one !== who);
    const holders = [...others, [who, escrow.heldOf(ask)] as const].map(([one, units]) => ({ who: one, units }));
    return { ...place, holders: holders.filter(({ units }) => units > 0) };
  }
  return {
    ...store,
    charge: (asks) => escrow.charge(asks),
    look: (asks, leases) => Promise.all(asks.map(async (ask) => placeOf(ask, leases))),
    reset: (asks) => escrow.reset(asks),
    async close() {
      await escrow.close();
      connection.close();
    },
  };
}
