/** The behaviours of a store, run on each: memory, shared memory, a single Redis, a cluster, and escrow over each. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openConnection } from '../../src/counting/redis/connection.ts';
import type { RedisAddress } from '../../src/counting/redis/config.ts';
import { RedisCounters } from '../../src/counting/redis/redis-counters.ts';
import { memoryPool } from '../../src/ratelimit/charge/memory-pool.ts';
import { redisAddress } from '../../src/ratelimit/charge/redis-address.ts';
import { readSettings } from '../../src/ratelimit/settings/settings.ts';
import { type CountAsk, EscrowCounts, MemoryCounts, WindowCounts } from '../unit/counting/window-counts.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { type RedisClusterPart, startRedisCluster } from '../parts/redis-kinds.ts';
import { until } from './sluice.ts';

let redis: RedisPart;
let cluster: RedisClusterPart;
beforeAll(async () => {
  [redis, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
}, 60_000);
afterAll(async () => {
  await Promise.all([redis.stop(), cluster.stop()]);
});

const opened: WindowCounts[] = [];
const connections: { close(): void }[] = [];
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const connection of connections.splice(0)) connection.close();
});

const addressOf = (type: string, url: string): RedisAddress =>
  redisAddress(
    readSettings({ REDIS_SOCKET_TYPE: 'tcp', REDIS_TYPE: type, REDIS_URL: url, REDIS_TIMEOUT: '2s' }).settings,
    'REDIS',
  );
async function redisStore(type: string, url: string): Promise<WindowCounts> {
  const connection = openConnection({ redis: addressOf(type, url), timeoutMs: 2000, onReady() {}, hasPipe: true });
  connections.push(connection);
  await until('Redis is there', () => (connection.why === undefined ? true : undefined));
  return new WindowCounts(new RedisCounters({ connection, prefix: '', clock: 'redis', nowMs }));
}
const nowMs = Date.now;
const memory = new Map<string, SharedArrayBuffer>();
let workers = 0;
const KINDS: Readonly<Record<string, () => Promise<WindowCounts>>> = {
  memory: async () => new MemoryCounts({ maxKeys: 10_000, nowMs }),
  'shared memory': async () => {
    return new WindowCounts(memoryPool({ maxKeys: 10_000, nowMs, share: { worker: ++workers, memory } }).store);
  },
  redis: async () => redisStore('SINGLE', `127.0.0.1:${redis.port}`),
  cluster: async () => redisStore('CLUSTER', cluster.url),
};
const STORES = Object.entries(KINDS).flatMap(([name, make]): [string, () => Promise<WindowCounts>][] => [
  [name, make],
  [`escrow over ${name}`, async () => new EscrowCounts(await make(), { nowMs })],
]);

describe.each(STORES)('%s', (_name, make) => {
  const open = async (): Promise<WindowCounts> => {
    const store = await make();
    opened.push(store);
    return store;
  };
  const run = randomUUID();
  const ask = (key: string, hits: number, limit: number): CountAsk => ({
    key: `${run}_${expect.getState().currentTestName}_${key}`,
    hits,
    limit,
    keptS: 60,
    endsAtS: Math.floor(Date.now() / 1000) + 60,
    usedUntilS: Math.floor(Date.now() / 1000) + 60,
  });
  const one = async (store: WindowCounts, asked: CountAsk): Promise<boolean> =>
    ((await store.add([asked]))[0] ?? Infinity) <= asked.limit;

  test('returns the count after each charge', async () => {
    const store = await open();
    expect(await store.add([ask('a', 1, 100), ask('b', 2, 100), ask('a', 3, 100)])).toEqual([1, 2, 4]);
    expect(await store.add([ask('a', 0, 100)])).toEqual([4]);
  });

  test('admits exactly the limit', async () => {
    const store = await open();
    const answers = [];
    for (let n = 0; n < 8; n++) answers.push(await one(store, ask('k', 1, 5)));
    expect(answers).toEqual([true, true, true, true, true, false, false, false]);
  });

  test('admits exactly the limit of 500 concurrent charges', async () => {
    const store = await open();
    const answers = await Promise.all(Array.from({ length: 500 }, async () => one(store, ask('k', 1, 123))));
    expect(answers.filter(Boolean)).toHaveLength(123);
  });

  test('admits exactly the limit of two clients with one counter', async () => {
    const first = await open();
    const second = first instanceof MemoryCounts || _name === 'escrow over memory' ? first : await open();
    let admitted = 0;
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(
        Array.from({ length: 40 }, async (_, n) => one(n % 2 === 0 ? first : second, ask('k', 1, 300))),
      );
      admitted += answers.filter(Boolean).length;
    }
    expect(admitted).toBeLessThanOrEqual(300);
    // Returned leases are admitted by either.
    await until('all of it is admitted', async () => {
      if (await one(first, ask('k', 1, 300))) admitted++;
      return admitted === 300 ? true : undefined;
    });
    expect(await one(second, ask('k', 1, 300))).toBe(false);
  });

  test('a request with several hits is admitted whole or not at all', async () => {
    const store = await open();
    expect([
      await one(store, ask('k', 4, 10)),
      await one(store, ask('k', 5, 10)),
      await one(store, ask('k', 2, 10)),
    ]).toEqual([true, true, false]);
  });

  test('keys are independent, and may be any text', async () => {
    const store = await open();
    for (const key of ['a', 'b', 'a b', 'a\r\nb', '{a}', 'ü\0', 'x'.repeat(1000)])
      expect([key, await one(store, ask(key, 1, 1)), await one(store, ask(key, 1, 1))]).toEqual([key, true, false]);
  });

  test('all or none: a request that one limit denies is charged to none', async () => {
    const store = await open();
    expect(await store.addIfAllFit([ask('full', 2, 2), ask('free', 1, 5)])).toEqual([2, 1]);
    for (let n = 0; n < 5; n++) {
      const after = await store.addIfAllFit([ask('full', 1, 2), ask('free', 1, 5)]);
      expect([(after[0] ?? 0) > 2, (after[1] ?? 9) <= 5]).toEqual([true, true]);
    }
    await until('nothing more was charged', async () =>
      (await store.look([ask('free', 0, 5).key]))[0] === 1 ? true : undefined,
    );
  });

  test('inspection returns the count and charges nothing', async () => {
    const store = await open();
    expect(await store.look([ask('k', 0, 9).key, ask('other', 0, 9).key])).toEqual([0, 0]);
    await store.add([ask('k', 3, 9)]);
    for (let n = 0; n < 3; n++) expect(await store.look([ask('k', 0, 9).key])).toEqual([3]);
  });

  test('a refund is available again, and never exceeds the count', async () => {
    const store = await open();
    await store.add([ask('k', 5, 5)]);
    await store.giveBack(ask('k', 0, 5).key, 2);
    expect(
      await until('it is there', async () => ((await store.look([ask('k', 0, 5).key]))[0] === 3 ? true : undefined)),
    ).toBe(true);
    await store.giveBack(ask('k', 0, 5).key, 4);
    await store.giveBack(ask('never', 0, 5).key, 4);
    expect(await store.look([ask('k', 0, 5).key, ask('never', 0, 5).key])).toEqual([3, 0]);
  });

  test('a reset counter starts at 0', async () => {
    const store = await open();
    await store.add([ask('k', 5, 5)]);
    expect(await one(store, ask('k', 1, 5))).toBe(false);
    await store.reset([ask('k', 0, 5).key]);
    expect(await store.add([ask('k', 1, 5)])).toEqual([1]);
  });
});

test('a script is sent to Redis once, and again after Redis has lost it', async () => {
  const store = await redisStore('SINGLE', `127.0.0.1:${redis.port}`);
  opened.push(store);
  const client = new Redis(redis.port, '127.0.0.1');
  const asked: CountAsk = {
    key: randomUUID(),
    hits: 1,
    limit: 100,
    keptS: 60,
    endsAtS: Math.floor(Date.now() / 1000) + 60,
    usedUntilS: Math.floor(Date.now() / 1000) + 60,
  };
  await client.script('FLUSH');
  await client.config('RESETSTAT');
  for (let call = 0; call < 5; call++) await store.addIfAllFit([asked]);
  await client.script('FLUSH');
  expect(await store.addIfAllFit([asked])).toEqual([6]);
  const stats = await client.info('commandstats');
  client.disconnect();
  expect(Number(/cmdstat_eval:calls=(\d+)/.exec(stats)?.[1])).toBe(2);
});
