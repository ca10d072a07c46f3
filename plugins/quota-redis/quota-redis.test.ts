import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AnyHandler, type QuotaAnswer, Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { freePort } from '../../test/parts/free-port.ts';
import { startLink } from '../../test/parts/link.ts';
import { type RedisPart, startRedis, startRedisWithClient } from '../../test/parts/redis.ts';
import {
  type RedisClusterPart,
  startRedisCluster,
  startRedisSentinel,
  startRedisTls,
} from '../../test/parts/redis-kinds.ts';
import adapter from './adapter.ts';

let redis: RedisPart;
let admin: Redis;
beforeAll(async () => {
  ({ redis, admin } = await startRedisWithClient());
});
afterAll(() => redis.stop());

const bad = (config: object, says: RegExp) => ({ config: { url: 'redis://127.0.0.1:1', ...config }, says });
testAdapter(adapter, {
  runner: { describe, test },
  config: () => ({ url: redis.url, clock: 'local', timeoutMs: 10_000 }),
  badConfigs: [
    bad({ url: 'http://127.0.0.1:6379' }, /expected redis:/),
    bad({ url: '127.0.0.1:6379' }, /expected redis:/),
    bad({ url: 'redis://:pw@127.0.0.1:6379' }, /hidden everywhere/),
    bad({ url: 'redis://127.0.0.1:6379/3' }, /named by db/),
    bad({ tls: {} }, /rediss/),
    bad({ url: 'rediss://127.0.0.1:1', tls: { cert: 'a.pem' } }, /go together/),
    bad({ url: 'redis://mymaster:6379', sentinels: ['127.0.0.1:1'] }, /the name that they know the master by/),
    bad({ sentinels: ['127.0.0.1'], url: 'redis://mymaster' }, /expected HOST:PORT/),
    bad({ sentinelPassword: 'x' }, /goes with sentinels/),
    bad({ sentinelUsername: 'x', sentinels: ['127.0.0.1:1'], url: 'redis://m' }, /goes with sentinelPassword/),
    bad({ url: 'redis+unix://127.0.0.1/redis.sock' }, /redis\+unix:\/\/\/PATH/),
    bad({ url: 'redis+unix:///redis.sock', cluster: [] }, /a unix socket is of one server/),
    bad({ url: 'redis+unix:///redis.sock', tls: {} }, /tls is for rediss/),
    bad({ cluster: [], db: 1 }, /the database 0 alone/),
    bad({ cluster: [], sentinels: ['127.0.0.1:1'], url: 'redis://m' }, /not both/),
    bad({ url: 'rediss://127.0.0.1:1', tls: { ca: 'not-there.pem' } }, /not-there\.pem/),
  ],
});

describe('in escrow', () => {
  testAdapter(adapter, {
    runner: { describe, test },
    config: () => ({ url: redis.url, clock: 'local', timeoutMs: 10_000, escrow: true }),
  });

  const DAY_MS = 86_400_000;
  const asks = (handler: AnyHandler, counter: string, limit: number, algorithm: 'fixed' | 'gcra' = 'fixed') => {
    const bucket = handler.bucket?.({ rule: 'r', counter, algorithm, perMs: DAY_MS, params: undefined });
    return { kind: 'spend' as const, bucket, key: 'k', cost: 1, limit, burst: limit, perMs: DAY_MS };
  };

  test('most asks are answered synchronously, replicas together admit the limit, and operators see who holds how many units', async () => {
    const [one, other] = await Promise.all(
      [1, 2].map(() => openForTest(adapter, { config: { url: redis.url, escrow: true } })),
    );
    if (one === undefined || other === undefined) throw new Error('not open');
    const counter = `escrow ${Math.random()}`;
    const limit = 3000;
    const [mine, theirs] = [one, other].map(({ handler }) => asks(handler, counter, limit));
    let [granted, atOnce, asked] = [0, 0, 0];
    let holders: readonly { readonly units: number }[] = [];
    for (let turn = 0; turn < 8000 && granted < limit; turn++) {
      for (const [{ handler }, ask] of [
        [one, mine],
        [other, theirs],
      ] as const) {
        const answer = handler.charge?.([ask as never], testCall());
        asked++;
        if (!(answer instanceof Promise)) atOnce++;
        if ((await answer)?.[0]?.granted === true) granted++;
      }
      if (turn === 400) holders = (await one.handler.look?.([mine as never]))?.[0]?.holders ?? [];
      if (turn < 1500) continue;
      for (const { clock } of [one, other]) clock.advance(50);
      await new Promise((resolve) => {
        setTimeout(resolve, 1);
      }); // the other replica gives back
    }
    expect(granted).toBe(limit);
    expect(atOnce / asked).toBeGreaterThan(0.8);
    expect(holders).toHaveLength(2);
    for (const { units } of holders) expect(units).toBeGreaterThan(0);
    await Promise.all([one.close(), other.close()]);
  });

  test('leases are given back on close and when idle', async () => {
    const { handler, close, clock } = await openForTest(adapter, { config: { url: redis.url, escrow: true } });
    const watching = await openForTest(adapter, { config: { url: redis.url } });
    const counter = `returned ${Math.random()}`;
    const left = async (): Promise<number | undefined> =>
      (await watching.handler.charge?.([{ ...asks(watching.handler, counter, 10_000), kind: 'look' }], testCall()))?.[0]
        ?.remaining;
    const ask = asks(handler, counter, 10_000);
    for (let times = 0; times < 200; times++) await handler.charge?.([ask], testCall());
    expect(await left()).toBeLessThan(9800);
    clock.advance(250);
    await eventually(async () => expect(await left()).toBe(9800));
    for (let times = 0; times < 200; times++) await handler.charge?.([ask], testCall());
    await close();
    expect(await left()).toBe(9600);
    await watching.close();
  });

  test('a reset drops leases', async () => {
    const { handler, close } = await openForTest(adapter, { config: { url: redis.url, escrow: true } });
    const ask = asks(handler, `reset ${Math.random()}`, 1000);
    for (let times = 0; times < 100; times++) await handler.charge?.([ask], testCall());
    await handler.reset?.([ask]);
    expect((await handler.charge?.([ask], testCall()))?.[0]?.remaining).toBe(999);
    await close();
  });
});

async function openOn(url: string, config: object = {}) {
  const opened = await openForTest(adapter, { config: { url, ...config } });
  const bucket = (of: { perMs?: number; counter?: string; algorithm?: 'fixed' | 'gcra' } = {}) => {
    const rule = { rule: 'r', counter: 'r', algorithm: 'fixed' as const, perMs: 60_000, params: undefined, ...of };
    return { bucket: opened.handler.bucket?.(rule), perMs: rule.perMs };
  };
  const charge = async (
    of: { bucket: unknown; perMs: number },
    ask: { key?: string; cost?: number; limit?: number } = {},
  ): Promise<QuotaAnswer> => {
    const limit = ask.limit ?? 1_000_000;
    const [answer] =
      (await opened.handler.charge?.(
        [{ kind: ask.cost === 0 ? 'look' : 'spend', key: 'k', cost: 1, burst: limit, ...of, ...ask, limit }],
        testCall(),
      )) ?? [];
    if (answer === undefined) throw new Error('no answer');
    return answer;
  };
  return { ...opened, bucket, charge };
}

describe('quota-redis', () => {
  test('counts by the time of Redis, and says when the window ends', async () => {
    const { bucket, charge, close } = await openOn(redis.url);
    const day = bucket({ perMs: 86_400_000, counter: 'by-redis' });
    const [seconds] = (await admin.time()) as unknown as [string];
    const { resetMs } = await charge(day);
    expect(Math.abs(resetMs - (86_400_000 - ((Number(seconds) * 1000) % 86_400_000)))).toBeLessThan(3000);
    const window = bucket({ perMs: 500, counter: 'short' });
    while ((await charge(window, { limit: 1 })).granted);
    await new Promise((resolve) => {
      setTimeout(resolve, 510);
    });
    expect((await charge(window, { limit: 1 })).granted).toBe(true);
    await close();
  });

  test('two replicas share their counts', async () => {
    const [one, other] = [await openOn(redis.url), await openOn(redis.url)];
    const granted = await Promise.all(
      Array.from({ length: 60 }, (_, n) => {
        const { bucket, charge } = n % 2 === 0 ? one : other;
        return charge(bucket({ perMs: 86_400_000, counter: 'shared' }), { limit: 25 });
      }),
    );
    expect(granted.filter((answer) => answer.granted)).toHaveLength(25);
    await Promise.all([one.close(), other.close()]);
  });

  test('behind a sentinel: the master dies, its replica is promoted, and counts continue', async () => {
    const sentinel = await startRedisSentinel();
    const [name, ...sentinels] = sentinel.url.split(',');
    const { bucket, charge, close } = await openOn(`redis://${name}`, { sentinels });
    const mine = bucket({ perMs: 86_400_000, counter: 'failover' });
    expect((await charge(mine, { limit: 10 })).remaining).toBe(9);
    await new Promise((resolve) => {
      setTimeout(resolve, 500);
    }); // replicated
    await sentinel.master.kill();
    await eventually(async () => expect((await charge(mine, { limit: 10 })).remaining).toBe(8), 60_000);
    await close();
    await sentinel.stop();
  }, 90_000);

  test('every key has the prefix and expires', async () => {
    await admin.flushall();
    const { bucket, charge, close } = await openOn(redis.url, { prefix: 'mine:', db: 0 });
    for (const algorithm of ['fixed', 'gcra'] as const)
      await charge(bucket({ algorithm, counter: 'ttl' }), { limit: 10 });
    await charge(bucket({ counter: 'only-looked-at' }), { cost: 0 });
    const keys = (await admin.keys('*')).toSorted();
    expect(keys).toEqual(['mine:f:60000:ttl:=k', 'mine:g:60000:ttl:=k']);
    for (const key of keys) {
      const ttlMs = await admin.pttl(key);
      expect(ttlMs).toBeGreaterThan(0);
      expect(ttlMs).toBeLessThanOrEqual(62_000);
    }
    await close();
  });

  test('counts continue after SCRIPT FLUSH and FLUSHALL', async () => {
    const { bucket, charge, close } = await openOn(redis.url);
    const mine = bucket({ counter: 'flushed', perMs: 86_400_000 });
    await charge(mine, { limit: 1 });
    await admin.script('FLUSH');
    const answers = await Promise.all(Array.from({ length: 10 }, () => charge(mine, { limit: 1 })));
    expect(answers.every(({ granted }) => !granted)).toBe(true);
    await admin.flushall();
    expect((await charge(mine, { limit: 1 })).granted).toBe(true);
    await close();
  });

  test('large numbers stay exact', async () => {
    const { bucket, charge, close } = await openOn(redis.url);
    const limit = 2 ** 53 - 1;
    const mine = bucket({ counter: 'large', perMs: 86_400_000 });
    expect((await charge(mine, { limit, cost: limit - 3 })).remaining).toBe(3);
    expect((await charge(mine, { limit, cost: 2 })).remaining).toBe(1);
    await close();
  });

  test('a wrong password is Unavailable, with the reason', async () => {
    const locked = await startRedis({ args: ['--requirepass', 'right'] });
    const wrong = await openOn(locked.url, { password: 'wrong' });
    await expect(wrong.charge(wrong.bucket())).rejects.toThrow(Unavailable);
    expect(wrong.readiness()).toMatchObject({ ready: false, why: expect.stringMatching(/WRONGPASS|NOAUTH/) as string });
    const right = await openOn(locked.url, { password: 'right' });
    expect((await right.charge(right.bucket())).granted).toBe(true);
    await Promise.all([wrong.close(), right.close(), locked.stop()]);
  });

  test('counts over a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice redis ')); // with a space
    const own = await startRedis({ args: ['--unixsocket', join(folder, 'redis.sock')] });
    const { bucket, charge, close } = await openOn(`redis+unix://${encodeURI(join(folder, 'redis.sock'))}`);
    expect((await charge(bucket(), { limit: 5 })).remaining).toBe(4);
    await close();
    await own.stop();
    await rm(folder, { recursive: true });
  });

  test('over TLS the name in the certificate must match, unless anyName is set', async () => {
    const own = await startRedisTls();
    const tls = { ca: own.ca, cert: own.cert, key: own.key, serverName: 'elsewhere.example' };
    const named = await openOn(own.url, { tls });
    expect(named.readiness()).toMatchObject({
      ready: false,
      why: expect.stringContaining('elsewhere.example') as string,
    });
    const any = await openOn(own.url, { tls: { ...tls, anyName: true } });
    expect((await any.charge(any.bucket(), { limit: 5 })).remaining).toBe(4);
    await Promise.all([named.close(), any.close()]);
    await own.stop();
  });
});

describe('quota-redis without Redis', () => {
  let own: RedisPart;
  let opened: Awaited<ReturnType<typeof openOn>>;
  beforeEach(async () => {
    own = await startRedis();
    opened = await openOn(own.url, { timeoutMs: 100 });
  });
  afterEach(async () => {
    await opened.close();
    await own.stop();
  });
  /** Its timeout is 100 ms; without one it would wait for as long as Redis is hung. */
  const failsInTime = async () => {
    const beganMs = performance.now();
    await expect(opened.charge(opened.bucket())).rejects.toThrow(Unavailable);
    expect(performance.now() - beganMs).toBeLessThan(10_000);
  };
  /** Before anything else can happen: nothing was waited for. */
  const failsAtOnce = async () => {
    const turn = new Promise((resolve) => {
      setImmediate(resolve, 'a turn of the event loop is over');
    });
    await expect(Promise.race([opened.charge(opened.bucket()), turn])).rejects.toThrow(Unavailable);
  };
  const comesBack = () =>
    eventually(async () => {
      expect((await opened.charge(opened.bucket())).granted).toBe(true);
      expect(opened.readiness().ready).toBe(true);
    }, 8000);

  test('hung: Unavailable within the timeout, then at once; recovers by itself', async () => {
    expect((await opened.charge(opened.bucket())).remaining).toBe(999_999);
    own.freeze();
    const first = await Promise.allSettled(Array.from({ length: 20 }, () => failsInTime()));
    expect(first.filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(opened.readiness()).toMatchObject({ ready: false, why: expect.stringContaining('127.0.0.1') as string });
    for (let times = 0; times < 20; times++) await failsAtOnce();
    own.thaw();
    await comesBack();
  });

  test('hung for longer than all timeouts: Unavailable at once; recovers by itself', async () => {
    own.freeze();
    await failsInTime();
    await new Promise((resolve) => {
      setTimeout(resolve, 3000);
    });
    await failsAtOnce();
    own.thaw();
    await comesBack();
  });

  test('killed: Unavailable at once; recovers when it is restarted', async () => {
    await opened.charge(opened.bucket());
    await own.kill();
    await failsInTime();
    await eventually(() => expect(opened.readiness().ready).toBe(false)); // noticed when the socket closes
    await failsAtOnce();
    own = await startRedis({ port: own.port });
    await comesBack();
  });

  test('partitioned: Unavailable within the timeout, then at once; recovers with the network', async () => {
    const link = await startLink(own.port);
    const far = await openOn(`redis://127.0.0.1:${link.port}`, { timeoutMs: 100 });
    await eventually(async () => expect((await far.charge(far.bucket())).granted).toBe(true));
    link.cut();
    await expect(far.charge(far.bucket())).rejects.toThrow(/no answer for 100 ms/);
    await expect(far.charge(far.bucket())).rejects.toThrow(Unavailable);
    link.mend();
    await eventually(async () => expect((await far.charge(far.bucket())).granted).toBe(true), 8000);
    link.delay(5);
    expect((await far.charge(far.bucket())).granted).toBe(true);
    await far.close();
    await link.stop();
  });

  test('absent at the start: opens at once, is Unavailable, and connects when Redis starts', async () => {
    const port = await freePort();
    const beganMs = performance.now();
    const absent = await openOn(`redis://127.0.0.1:${port}`);
    expect(performance.now() - beganMs).toBeLessThan(5000); // Redis comes later
    expect(absent.readiness()).toMatchObject({ ready: false, why: expect.stringContaining('ECONNREFUSED') as string });
    await expect(absent.charge(absent.bucket())).rejects.toThrow(/Redis at 127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    const late = await startRedis({ port });
    await eventually(async () => expect((await absent.charge(absent.bucket())).granted).toBe(true), 8000);
    await absent.close();
    await late.stop();
  });
});

describe('on a cluster of three masters', () => {
  let cluster: RedisClusterPart;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  }, 60_000);
  afterAll(async () => cluster.stop());
  const config = () => ({
    url: cluster.nodes[0]?.url ?? '',
    cluster: cluster.nodes.slice(1).map(({ port }) => `127.0.0.1:${port}`),
  });

  testAdapter(adapter, {
    runner: { describe, test },
    config: () => ({ ...config(), clock: 'local', timeoutMs: 10_000 }),
  });

  test('a dead node fails the asks of its slots, and charges on other nodes are given back', async () => {
    const own = await startRedisCluster();
    const opened = await openForTest(adapter, {
      config: {
        url: own.nodes[0]?.url,
        cluster: own.nodes.slice(1).map(({ port }) => `127.0.0.1:${port}`),
        timeoutMs: 500,
      },
    });
    const bucket = opened.handler.bucket?.({
      rule: 'r',
      counter: 'dies',
      algorithm: 'fixed',
      perMs: 86_400_000,
      params: undefined,
    });
    const ask = (key: string, kind: 'spend' | 'look' = 'spend') => ({
      kind,
      bucket,
      key,
      cost: 1,
      limit: 5,
      burst: 5,
      perMs: 86_400_000,
    });
    const charge = async (...asks: ReturnType<typeof ask>[]) => opened.handler.charge?.(asks, testCall());
    const keys = Array.from({ length: 12 }, (_, n) => `user ${n}`);
    await charge(...keys.map((key) => ask(key)));
    await own.nodes[2]?.kill();
    await expect(charge(...keys.map((key) => ask(key)))).rejects.toThrow(Unavailable);
    const left = await Promise.all(
      keys.map(async (key) => (await charge(ask(key, 'look')).catch(() => undefined))?.[0]?.remaining),
    );
    expect(new Set(left)).toEqual(new Set([4, undefined]));
    await opened.close();
    await own.stop();
  });
});
