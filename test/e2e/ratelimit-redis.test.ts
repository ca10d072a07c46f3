/** `sluice ratelimit` on every kind of Redis and in its outages: real servers that are killed, frozen and flushed. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startLink } from '../parts/link.ts';
import { leftOf, rateLimitClient } from '../parts/ratelimit-client.ts';
import { startSluiceRatelimit } from '../parts/ratelimits.ts';
import { startRedis } from '../parts/redis.ts';
import { startRedisCluster, startRedisSentinel, startRedisTls } from '../parts/redis-kinds.ts';
import { REDIS_PROXIES, startRedisProxy } from '../parts/redis-proxies.ts';
import { until } from './sluice.ts';

const CONFIG = `
domain: shop
descriptors:
  - key: user
    rate_limit: { unit: day, requests_per_unit: 20 }
  - key: both
    rate_limit: { unit: day, requests_per_unit: 20, sluice: { also: [{ unit: week, requests_per_unit: 3 }, { unit: year, requests_per_unit: 30 }] } }
  - key: many
    rate_limit: { unit: day, requests_per_unit: 100000 }
`;

let folder: string;
const ends: (() => Promise<unknown> | void)[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-ratelimit-'));
  await mkdir(join(folder, 'config'));
  await writeFile(join(folder, 'config/a.yaml'), CONFIG);
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});
afterAll(async () => rm(folder, { recursive: true }));

interface Asked {
  readonly ask: (users: readonly string[], key?: string, hits?: number) => Promise<(number | 'over')[]>;
}

async function start(env: NodeJS.ProcessEnv): Promise<Asked> {
  const part = await startSluiceRatelimit({
    RUNTIME_ROOT: folder,
    REDIS_SOCKET_TYPE: 'tcp',
    LOG_LEVEL: 'info',
    SLUICE_REDIS_DEADLINE: '300ms',
    ...env,
  });
  ends.push(() => part.stop());
  const client = rateLimitClient(part.grpcPort);
  ends.push(() => client.close());
  return {
    ask: async (users, key = 'user', hits = 1) => {
      const descriptors = users.map((value) => ({ entries: [{ key, value }], hitsAddend: BigInt(hits) }));
      return leftOf(await client.ask({ domain: 'shop', descriptors }));
    },
  };
}

/** A try with a key of its own, since one that was late may have been counted. */
const anew =
  (ask: Asked['ask']): (() => Promise<(number | 'over')[] | undefined>) =>
  async () =>
    ask([randomUUID()]).catch(() => undefined);

const MODES = [
  ['each hit counted', {}],
  ['escrow', { SLUICE_ESCROW: 'true' }],
] as const;

describe.each(MODES)('%s', (mode, settings) => {
  test('a cluster of three masters: descriptors of one request in different slots', async () => {
    const cluster = await startRedisCluster();
    ends.push(async () => cluster.stop());
    const { ask } = await start({ REDIS_TYPE: 'CLUSTER', REDIS_URL: cluster.url, ...settings });
    // Similar names have similar slots
    const users = Array.from({ length: 40 }, (_, n) => createHash('sha1').update(String(n)).digest('hex'));
    for (let call = 1; call <= 20; call++) expect(await ask(users)).toEqual(users.map(() => 20 - call));
    expect(await ask(users)).toEqual(users.map(() => 'over'));
    const keys = await Promise.all(
      cluster.nodes.map(async ({ url }) => {
        const redis = new Redis(url);
        const found = await redis.keys('*');
        redis.disconnect();
        return found.length;
      }),
    );
    expect(
      keys.every((count) => count > 0),
      `keys by node: ${keys.join(', ')}`,
    ).toBe(true);
    expect(keys.reduce((sum, count) => sum + count, 0)).toBe(40);
  });

  test.each(REDIS_PROXIES)('three servers behind %s: descriptors of one request on all of them', async (kind) => {
    const proxy = await startRedisProxy(kind, 3);
    ends.push(async () => proxy.stop());
    const { ask } = await start({ REDIS_URL: `127.0.0.1:${proxy.port}`, ...settings });
    const users = Array.from({ length: 40 }, (_, n) => `user ${n}`);
    for (let call = 1; call <= 20; call++) expect(await ask(users)).toEqual(users.map(() => 20 - call));
    expect(await ask(users)).toEqual(users.map(() => 'over'));
    for (const { url } of proxy.servers) {
      const redis = new Redis(url);
      expect(await redis.dbsize()).toBeGreaterThan(0);
      redis.disconnect();
    }
    expect([await ask(['ann'], 'both', 2), await ask(['ann'], 'both', 2)]).toEqual([[1], ['over']]);
    expect(
      await until('nothing more is charged', async () => {
        const left = await ask(['ann'], 'both', 1);
        return left[0] === 0 ? left : undefined;
      }),
    ).toEqual([0]);
  });

  test.each(['SINGLE', 'CLUSTER'])(
    '%s: several limits of one descriptor; a call that one denies is charged to none',
    async (type) => {
      const redis = type === 'CLUSTER' ? await startRedisCluster() : await startRedis();
      ends.push(async () => redis.stop());
      const { ask } = await start({
        REDIS_TYPE: type,
        REDIS_URL: 'nodes' in redis ? redis.url : `127.0.0.1:${redis.port}`,
        ...settings,
      });
      expect([await ask(['ann'], 'both', 2), await ask(['ann'], 'both', 2), await ask(['ann'], 'both', 2)]).toEqual([
        [1],
        ['over'],
        ['over'],
      ]);
      expect(
        await until('nothing more is charged', async () => {
          const left = await ask(['ann'], 'both', 1);
          return left[0] === 0 ? left : undefined;
        }),
      ).toEqual([0]);
      expect(await ask(['ann', 'bob'], 'both')).toEqual(['over', 2]);
    },
  );

  test('a cluster, all or none: a call that one limit denies is charged to no other, in any slots', async () => {
    const cluster = await startRedisCluster();
    ends.push(async () => cluster.stop());
    const { ask } = await start({ REDIS_TYPE: 'CLUSTER', REDIS_URL: cluster.url, SLUICE_SAFE: 'true', ...settings });
    await ask(['full'], 'user', 20);
    for (let call = 0; call < 5; call++) expect(await ask(['a', 'b', 'full', 'c'])).toEqual([19, 19, 'over', 19]);
    expect(
      await until('the refund', async () => {
        const left = await ask(['a', 'b', 'c'], 'user', 0);
        return left.every((one) => one === 20) ? left : undefined;
      }),
    ).toEqual([20, 20, 20]);
  });

  test('behind a sentinel: the master dies, its replica is promoted, and counting continues', async () => {
    const sentinel = await startRedisSentinel();
    ends.push(async () => sentinel.stop());
    const { ask } = await start({ REDIS_TYPE: 'SENTINEL', REDIS_URL: sentinel.url, ...settings });
    expect(await ask(['ann'])).toEqual([19]);
    expect(await ask(['ann'])).toEqual([18]);
    await new Promise((resolve) => {
      setTimeout(resolve, 500);
    }); // replicated
    await sentinel.master.kill();
    let why: unknown;
    const left = await until(
      'an answer of the new master',
      async () => ask(['ann']).catch((error: unknown): undefined => void (why = error)),
      60_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; last: ${String(why)}; the sentinel printed:\n${sentinel.printed()}`);
    });
    expect(left[0]).toBeLessThan(18);
  }, 90_000); // a sentinel without a good replica retries later

  test('over TLS, with a certificate of our own', async () => {
    const redis = await startRedisTls();
    ends.push(async () => redis.stop());
    const tls = {
      REDIS_TLS: 'true',
      REDIS_TLS_CACERT: redis.ca,
      REDIS_TLS_CLIENT_CERT: redis.cert,
      REDIS_TLS_CLIENT_KEY: redis.key,
    };
    const { ask } = await start({ REDIS_URL: `127.0.0.1:${redis.port}`, ...tls, ...settings });
    expect([await ask(['ann']), await ask(['ann'])]).toEqual([[19], [18]]);
  });

  test('a restart of Redis: errors at once while it is away, answers when it is back', async () => {
    const redis = await startRedis();
    const { ask } = await start({ REDIS_URL: `127.0.0.1:${redis.port}`, ...settings });
    await ask(['ann']);
    await redis.kill();
    await until('a failure', async () => {
      try {
        await ask(['bob']);
      } catch {
        return true;
      }
      return undefined;
    });
    await expect(ask(['cid'])).rejects.toThrow(/Redis: (?!no answer)/); // at once: no timeout was waited for
    const again = await startRedis({ port: redis.port });
    ends.push(async () => again.stop());
    expect(await until('an answer', anew(ask))).toEqual([19]);
  });

  test('a hung Redis: the deadline holds, and no backlog is left when it goes on', async () => {
    const redis = await startRedis();
    ends.push(async () => redis.stop());
    const { ask } = await start({ REDIS_URL: `127.0.0.1:${redis.port}`, ...settings });
    await ask(['ann']);
    redis.freeze();
    const beganMs = performance.now();
    await expect(ask(['bob'])).rejects.toThrow(/Redis: no answer for 300 ms/);
    expect(performance.now() - beganMs).toBeLessThan(15_000); // the client gives up after 20 s
    redis.thaw();
    expect(await until('an answer', anew(ask))).toEqual([19]);
  });

  test('a slow Redis: late calls fail in time, and no backlog is left when it is fast again', async () => {
    const redis = await startRedis();
    const link = await startLink(redis.port);
    ends.push(
      async () => redis.stop(),
      async () => link.stop(),
    );
    const { ask } = await start({ REDIS_URL: `127.0.0.1:${link.port}`, ...settings });
    await ask(['ann']);
    link.delay(400);
    await expect(ask(['bob'])).rejects.toThrow(/Redis: no answer for 300 ms/);
    link.delay(0);
    expect(await until('an answer', anew(ask))).toEqual([19]);
    link.delay(20); // slower, but within the timeout
    expect(await until('an answer', anew(ask))).toEqual([19]);
  });

  test('a partition: the isolated replica answers as its limits say, the other continues, and together they admit the limit', async () => {
    const redis = await startRedis();
    const link = await startLink(redis.port);
    ends.push(
      async () => redis.stop(),
      async () => link.stop(),
    );
    const cutOff = await start({ REDIS_URL: `127.0.0.1:${link.port}`, SLUICE_OUTAGE: 'closed', ...settings });
    const other = await start({ REDIS_URL: `127.0.0.1:${redis.port}`, ...settings });
    let admitted = 0;
    const spend = async ({ ask }: Asked): Promise<boolean> => {
      const [left] = await ask(['ann']);
      if (left !== 'over') admitted++;
      return left !== 'over';
    };
    for (let n = 0; n < 3; n++) expect([await spend(cutOff), await spend(other)]).toEqual([true, true]);
    link.cut();
    for (let n = 0; n < 12; n++) await spend(cutOff); // with escrow its lease is spent first, then the limit denies
    expect(await spend(cutOff)).toBe(false);
    for (let n = 0; n < 5; n++) expect(await spend(other)).toBe(true);
    link.mend();
    await until('all is spent', async () => {
      const spent = [await spend(cutOff).catch(() => true), await spend(other)];
      return spent.includes(true) ? undefined : true;
    });
    expect(admitted).toBeLessThanOrEqual(20);
    expect(admitted).toBeGreaterThan(10);
  });

  test('without Redis, a limit with a local fallback is counted locally until Redis is back', async () => {
    const redis = await startRedis();
    const { ask } = await start({
      REDIS_URL: `127.0.0.1:${redis.port}`,
      SLUICE_OUTAGE: 'local',
      SLUICE_REPLICAS: '4',
      ...settings,
    });
    expect(await ask(['ann'])).toEqual([19]);
    await redis.kill();
    const answers: (number | 'over')[] = [];
    for (let call = 0; call < 10; call++) answers.push(...(await ask(['bob'])));
    expect(answers.filter((answer) => answer !== 'over')).toHaveLength(5);
    const again = await startRedis({ port: redis.port });
    ends.push(async () => again.stop());
    await until('Redis counts again', async () => ((await ask(['bob']))[0] === 19 ? true : undefined));
  });

  test('FLUSHALL: counts restart, and at most the leased amount is admitted in excess', async () => {
    const redis = await startRedis();
    ends.push(async () => redis.stop());
    const admin = new Redis(redis.url);
    ends.push(() => admin.disconnect());
    const { ask } = await start({ REDIS_URL: `127.0.0.1:${redis.port}`, ...settings });
    for (let call = 0; call < 20; call++) await ask(['ann']);
    expect(await ask(['ann'])).toEqual(['over']);
    await admin.flushall();
    let admitted = 0;
    await until('it is over again', async () => {
      const [left] = await ask(['ann']);
      if (left !== 'over') admitted++;
      return admitted > 0 && left === 'over' ? true : undefined;
    });
    expect(admitted).toBe(20);
  });

  test('many concurrent calls on two replicas: exactly the limit', async () => {
    const redis = await startRedis();
    ends.push(async () => redis.stop());
    const replicas = [
      await start({ REDIS_URL: `127.0.0.1:${redis.port}`, SLUICE_REDIS_DEADLINE: '5s', ...settings }),
      await start({ REDIS_URL: `127.0.0.1:${redis.port}`, SLUICE_REDIS_DEADLINE: '5s', ...settings }),
    ];
    const limit = 100_000;
    const answers = await Promise.all(
      Array.from({ length: 3000 }, async (_, n) => replicas[n % 2]?.ask(['hot'], 'many', 50)),
    );
    let admitted = answers.filter((answer) => answer?.[0] !== 'over').length * 50;
    await until(
      'all of it is taken',
      async () => {
        const answer = await replicas[0]?.ask(['hot'], 'many', 50);
        if (answer?.[0] !== 'over') admitted += 50;
        return admitted >= limit ? true : undefined;
      },
      mode === 'escrow' ? 10_000 : 100,
    ).catch(() => undefined);
    expect(admitted).toBe(limit);
  }, 30_000);
});
