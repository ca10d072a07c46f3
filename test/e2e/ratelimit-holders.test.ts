/** Holders of leased chunks of a window, which replicas share through a real Redis or cluster, and their display for operators. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SILENT } from '../../src/log/log.ts';
import type { Inspection } from '../../src/ratelimit/inspect/inspector.ts';
import { redisPool } from '../../src/ratelimit/charge/redis-pool.ts';
import type { Holder } from '../../src/counting/store.ts';
import type { RatelimitServer } from '../../src/ratelimit/serve/server.ts';
import { startRatelimitServer } from '../../src/serve/ratelimit/server.ts';
import { readSettings } from '../../src/ratelimit/settings/settings.ts';
import { type CountAsk, lookAt, WindowCounts } from '../unit/counting/window-counts.ts';
import { rateLimitClient, shopRequest } from '../parts/ratelimit-client.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { type RedisClusterPart, startRedisCluster } from '../parts/redis-kinds.ts';
import { run } from './command.ts';
import { until } from './sluice.ts';

let redis: RedisPart;
let cluster: RedisClusterPart;
let asking: Redis;
beforeAll(async () => {
  [redis, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
  asking = new Redis(redis.url);
  await asking.call('ACL', 'SETUSER', 'plain', 'on', '>word', '~*', '+@all', '-@hash');
}, 60_000);
afterAll(async () => {
  asking.disconnect();
  await Promise.all([redis.stop(), cluster.stop()]);
});

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Leases are idle only when the test says so. */
async function replica(name: string, type: 'SINGLE' | 'CLUSTER', { worker = 0, auth = '' } = {}) {
  const clock = { nowMs: 0 };
  const { settings } = readSettings({
    REDIS_SOCKET_TYPE: 'tcp',
    REDIS_TYPE: type,
    REDIS_URL: type === 'SINGLE' ? `127.0.0.1:${redis.port}` : cluster.url,
    REDIS_AUTH: auth,
    REDIS_TIMEOUT: '2s',
    SLUICE_REDIS_DEADLINE: '2s',
    SLUICE_ESCROW: 'true',
    EXPIRATION_JITTER_MAX_SECONDS: '0',
    CACHE_KEY_PREFIX: 'pre:',
  });
  const pool = redisPool({
    settings,
    setting: 'REDIS',
    nowMs: () => clock.nowMs,
    outage: undefined,
    around: (store) => store,
    replica: name,
    worker,
  });
  closing.push(async () => pool.close());
  await until('Redis is there', () => (pool.connection.why === undefined ? true : undefined));
  const escrow = new WindowCounts(pool);
  const ask = (key: string): CountAsk => ({ key, hits: 1, limit: 10_000, keptS: 60, endsAtS: 60, usedUntilS: 60 });
  const heldOf = (key: string): number => pool.escrow?.heldOf(lookAt(ask(key))) ?? 0;
  return {
    pool,
    escrow,
    others: async (key: string): Promise<readonly Holder[]> => {
      const [place] = await pool.look([lookAt(ask(key))]);
      return place?.holders?.filter(({ who }) => who !== name) ?? [];
    },
    /** The lease that it has published, once it is this large. */
    hold: async (key: string, units: number): Promise<number> => {
      let { trips } = pool.counters;
      while (heldOf(key) < units || pool.counters.trips === trips) {
        ({ trips } = pool.counters);
        await escrow.add([ask(key)]);
      }
      return heldOf(key);
    },
    ask,
    idle: (): void => {
      clock.nowMs += 300;
      pool.escrow?.giveBackIdle();
    },
  };
}

describe.each(['SINGLE', 'CLUSTER'] as const)('two replicas of a %s', (type) => {
  test.each(['shop_user_ann_0', 'shop_{user}_ann_0'])(
    'each sees the last lease of %s of the other, until it is returned',
    async (name) => {
      const key = `pre:${name}_${randomUUID()}`;
      const [one, other] = [await replica('one', type), await replica('other', type)];
      expect(await one.others(key)).toEqual([]);
      const held = [await one.hold(key, 20), await other.hold(key, 3)];
      expect([await other.others(key), await one.others(key)]).toEqual([
        [{ who: 'one', units: held[0] }],
        [{ who: 'other', units: held[1] }],
      ]);

      const place = `pre:sluice:holders:${name.includes('{') ? key : `{${key}}`}`;
      const ttlS = await one.pool.connection.ask(async (client) => client.ttl(place));
      expect([ttlS > 50, ttlS <= 60]).toEqual([true, true]);
      const node = new Redis(type === 'SINGLE' ? redis.url : (cluster.nodes[0]?.url ?? ''));
      if (type === 'CLUSTER') expect(await node.cluster('KEYSLOT', place)).toBe(await node.cluster('KEYSLOT', key));
      node.disconnect();

      one.idle();
      await until('it is not told any more', async () => ((await other.others(key)).length === 0 ? true : undefined));
      other.idle();
      await until('the hash is gone', async () =>
        (await one.pool.connection.ask(async (client) => client.exists(place))) === 0 ? true : undefined,
      );
    },
  );

  test('threads of one process are one holder; its leases are returned on close', async () => {
    const key = `pre:threads_${randomUUID()}`;
    const [one, two, other] = [
      await replica('a host', type, { worker: 1 }),
      await replica('a host', type, { worker: 2 }),
      await replica('other', type),
    ];
    const held = (await one.hold(key, 5)) + (await two.hold(key, 5));
    expect([await other.others(key), await one.others(key)]).toEqual([[{ who: 'a host', units: held }], []]);
    for (const { pool } of [one, two]) await pool.escrow?.close();
    expect(await other.others(key)).toEqual([]);
  });
});

test('leases are published together with charges: no additional writes, and none for local spending', async () => {
  await asking.config('RESETSTAT');
  const { pool, escrow, ask } = await replica('one', 'SINGLE');
  const { counters } = pool;
  const key = `pre:trips_${randomUUID()}`;
  for (let n = 0; n < 2000; n++) await escrow.add([ask(key)]);
  const info = await asking.info('commandstats');
  const calls = (command: string): number => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
  expect([calls('incrby'), calls('expire')]).toEqual([counters.trips, counters.trips + calls('hset')]);
  expect([calls('hset') > 5, calls('hset') < counters.trips, counters.trips < 30]).toEqual([true, true, true]);
});

test('a Redis that rejects hashes: counts stay exact, the connection stays, and other holders are unknown', async () => {
  const { pool, escrow, others, ask, hold, idle } = await replica('one', 'SINGLE', { auth: 'plain:word' });
  const key = `pre:acl_${randomUUID()}`;
  const held = await hold(key, 20);
  const spent = Number(await asking.get(key)) - held;
  const open = await Promise.all(Array.from({ length: 20 }, async () => others(key)));
  expect([open.flat(), pool.guard.breaker.state]).toEqual([[], 'closed']);
  idle();
  await until('it is given back', async () => (Number(await asking.get(key)) === spent ? true : undefined));
  expect([
    (await escrow.add([ask(key)]))[0],
    pool.guard.breaker.state,
    await asking.exists(`pre:sluice:holders:{${key}}`),
  ]).toEqual([spent + 1, 'closed', 0]);
});

describe('an operator', () => {
  const CONFIG =
    'domain: shop\ndescriptors:\n  - key: many\n    rate_limit: { unit: day, requests_per_unit: 1000000 }\n';

  async function start(env: Readonly<Record<string, string>>): Promise<RatelimitServer> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-ratelimit-'));
    closing.push(() => rm(folder, { recursive: true }));
    await mkdir(join(folder, 'config'));
    await writeFile(join(folder, 'config/shop.yaml'), CONFIG);
    const { settings } = readSettings({
      SLUICE_ESCROW: 'true',
      RUNTIME_ROOT: folder,
      REDIS_SOCKET_TYPE: 'tcp',
      SLUICE_REDIS_DEADLINE: '2s',
      HOST: '127.0.0.1',
      PORT: '0',
      DEBUG_HOST: '127.0.0.1',
      DEBUG_PORT: '0',
      GRPC_HOST: '127.0.0.1',
      GRPC_PORT: '0',
      ...env,
    });
    const server = await startRatelimitServer({ settings, log: SILENT });
    closing.push(() => server.drain());
    await until('it is healthy', async () =>
      (await fetch(`http://127.0.0.1:${server.httpPort}/healthcheck`)).status === 200 ? true : undefined,
    );
    return server;
  }
  const inspect = async ({ debugPort }: RatelimitServer): Promise<Inspection> =>
    (
      await fetch(`http://127.0.0.1:${debugPort}/limits/inspect?domain=shop&key=many&value=ann`)
    ).json() as Promise<Inspection>;

  test.each([
    ['SINGLE', () => `127.0.0.1:${redis.port}`],
    ['CLUSTER', () => cluster.url],
  ])('sees the leases of all holders at any replica, with workers as one: %s', async (type, url) => {
    const place = { REDIS_TYPE: type, REDIS_URL: url(), CACHE_KEY_PREFIX: randomUUID() };
    const [alone, crew] = [await start(place), await start({ ...place, SLUICE_WORKERS: '2' })];
    const request = shopRequest('many', 'ann');
    const isOver = new AbortController();
    /** Ongoing calls keep leases from becoming idle. */
    const calling = [alone, crew].flatMap(({ grpcPort }) =>
      Array.from({ length: 6 }, async () => {
        const client = rateLimitClient(grpcPort);
        while (!isOver.signal.aborted) await client.ask(request);
        client.close();
      }),
    );
    try {
      for (const [here, there] of [
        [alone, crew],
        [crew, alone],
      ] as const) {
        const { who } = await until('somebody else holds some', async () => {
          const [seen, seenThere] = [await inspect(here), await inspect(there)];
          const own = seenThere.holders?.find(({ units }) => units === seenThere.heldHere);
          return seen.holders?.find((one) => one.who === own?.who);
        });
        await until('two hold some', async () => {
          const { count = NaN, heldHere = NaN, holders = [], remaining } = await inspect(here);
          expect(remaining).toBe(1_000_000 - count);
          expect(holders.map((one) => one.who)).toEqual([...new Set(holders.map((one) => one.who))]);
          const own = holders.filter((one) => one.who !== who);
          expect(own.map(({ units }) => units)).toEqual(heldHere === 0 ? [] : [heldHere]);
          return holders.length === 2 ? true : undefined;
        });
        const { out } = await until('the command says so', async () => {
          const told = await run(['limits', 'inspect', '--to', `127.0.0.1:${here.debugPort}`, 'shop', 'many=ann']);
          return told.out.includes(who) ? told : undefined;
        });
        expect(out).toMatch(
          /\n {2}is at {6}\d+, \d+ left.*\n {2}held {7}\d+ by \S+-[0-9a-f]{8}(, \d+ by \S+-[0-9a-f]{8})?\n$/,
        );
      }
    } finally {
      isOver.abort();
      await Promise.all(calling);
    }
    await until('all is given back, and nobody is named', async () => {
      const [one, other] = [await inspect(alone), await inspect(crew)];
      return one.holders?.length === 0 && other.holders?.length === 0 && one.count === other.count ? true : undefined;
    });
  });
});
