/** Every store of counters, by a clock of the test's own. */
import assert from 'node:assert/strict';
import { eventually, type FakeClock } from '../../../src/adapters/testing/index.ts';
import { type Connection, openConnection } from '../../../src/counting/redis/connection.ts';
import { RedisCounters } from '../../../src/counting/redis/redis-counters.ts';
import type { CounterStore } from '../../../src/counting/store.ts';
import { memoryPool } from '../../../src/ratelimit/charge/memory-pool.ts';
import { startRedis } from '../../parts/redis.ts';
import { startRedisCluster } from '../../parts/redis-kinds.ts';

export type Client = Pick<CounterStore, 'charge' | 'reset' | 'look'>;

const connections: Record<'single' | 'cluster', Connection[]> = { single: [], cluster: [] };

/** Two connections to each kind of Redis, as `sluice ratelimit` makes them. */
export async function connectStores(): Promise<() => Promise<void>> {
  const [redis, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
  const connect = async (address: object): Promise<Connection> => {
    const connection = openConnection({
      redis: { shown: '', db: 0, connectTimeout: 5000, ...address },
      timeoutMs: 10_000,
      onReady() {},
      hasPipe: true,
    });
    await eventually(() => assert.equal(connection.why, undefined));
    return connection;
  };
  const host = '127.0.0.1';
  const nodes = cluster.nodes.map(({ port }) => ({ host, port }));
  for (let client = 0; client < 2; client++) {
    connections.single.push(await connect({ host, port: redis.port }));
    connections.cluster.push(await connect({ cluster: nodes }));
  }
  return async () => {
    for (const connection of Object.values(connections).flat()) connection.close();
    await Promise.all([redis.stop(), cluster.stop()]);
  };
}

const ofRedis = (kind: 'single' | 'cluster', clock: FakeClock): readonly Client[] =>
  connections[kind].map(
    (connection) => new RedisCounters({ connection, prefix: 'sluice:', clock: 'local', nowMs: () => clock.nowMs() }),
  );

/** Clients of the same counters, as `sluice ratelimit` opens them. */
export const STORES: Readonly<Record<string, (clock: FakeClock) => readonly Client[]>> = {
  memory: (clock) => [memoryPool({ maxKeys: 10_000, nowMs: () => clock.nowMs() })],
  'memory of two workers'(clock) {
    const memory = new Map<string, SharedArrayBuffer>();
    return [1, 2].map((worker) =>
      memoryPool({ maxKeys: 10_000, nowMs: () => clock.nowMs(), share: { worker, memory } }),
    );
  },
  Redis: (clock) => ofRedis('single', clock),
  'a Redis cluster': (clock) => ofRedis('cluster', clock),
};
