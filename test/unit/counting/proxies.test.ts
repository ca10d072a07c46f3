/** Counting behind real proxies that spread keys over real servers, none of which a client is told of. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Algorithm, QuotaAsk } from '../../../src/adapters/contract.ts';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { type Connection, openConnection } from '../../../src/counting/redis/connection.ts';
import { RedisCounters } from '../../../src/counting/redis/redis-counters.ts';
import type { BucketSpec, CounterAnswer } from '../../../src/counting/store.ts';
import { REDIS_PROXIES, type RedisProxyPart, startRedisProxy } from '../../parts/redis-proxies.ts';
import { type RedisPart, startRedis } from '../../parts/redis.ts';

const DAY_MS = 86_400_000;
const KINDS = REDIS_PROXIES.flatMap((kind) => [1, 3].map((count) => [kind, count] as const));

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function connected(port: number, more: object = {}): Promise<Connection> {
  const connection = openConnection({
    redis: { shown: '', db: 0, connectTimeout: 5000, host: '127.0.0.1', port, ...more },
    timeoutMs: 10_000,
    onReady() {},
    hasPipe: true,
  });
  ends.push(() => connection.close());
  await eventually(() => expect(connection.why).toBeUndefined());
  return connection;
}

async function counters(port: number): Promise<RedisCounters> {
  const connection = await connected(port);
  return new RedisCounters({ connection, prefix: 'sluice:', clock: 'redis', nowMs: Date.now });
}

const spend = (
  counter: string,
  algorithm: Algorithm,
  more: Partial<QuotaAsk<BucketSpec>> = {},
): QuotaAsk<BucketSpec> => {
  const bucket = { counter, algorithm, perMs: DAY_MS };
  return {
    kind: 'spend',
    bucket,
    key: 'k',
    cost: 1,
    limit: 5,
    burst: 5,
    perMs: DAY_MS,
    ...more,
  } as QuotaAsk<BucketSpec>;
};
const hit = (key: string): QuotaAsk<BucketSpec> => ({
  kind: 'owe',
  bucket: { counter: '', algorithm: 'window', perMs: DAY_MS },
  key,
  cost: 1,
  limit: 5,
  burst: 5,
  perMs: DAY_MS,
  endsAtMs: Date.now() + DAY_MS,
});
const isGranted = ({ granted }: CounterAnswer): boolean => granted;

describe.each(KINDS)('%s before servers: %i', (kind, count) => {
  let proxy: RedisProxyPart;
  beforeAll(async () => {
    proxy = await startRedisProxy(kind, count);
  }, 60_000);
  afterAll(() => proxy.stop());

  test('hits of windows are counted, by many commands in one write', async () => {
    const clients = [await counters(proxy.port), await counters(proxy.port)];
    const keys = Array.from({ length: 200 }, (_, at) => `hits ${at}`);
    for (let round = 1; round <= 3; round++)
      for (const [nth, client] of clients.entries()) {
        const answers = await Promise.all(keys.map(async (key) => client.charge([hit(key)])));
        expect(new Set(answers.map(([answer]) => answer?.used))).toEqual(new Set([2 * round - 1 + nth]));
      }
  });

  test.each<Algorithm>(['fixed', 'gcra', 'sliding', 'log', 'concurrency'])(
    '%s: a call that asks several counters is charged to all of them, whichever comes first',
    async (algorithm) => {
      const client = await counters(proxy.port);
      const names = Array.from({ length: 8 }, (_, at) => `all ${algorithm} ${at}`);
      const asks = names.map((name, at) =>
        spend(name, algorithm, algorithm === 'concurrency' ? { idempotencyKey: `lease ${at}` } : {}),
      );
      const again = (round: number): QuotaAsk<BucketSpec>[] =>
        asks.map((ask) => (ask.idempotencyKey === undefined ? ask : { ...ask, idempotencyKey: `lease ${round}` }));
      for (let round = 0; round < 5; round++) {
        const turned = again(round);
        turned.push(...turned.splice(0, round));
        expect((await client.charge(turned)).every(isGranted)).toBe(true);
      }
      for (let round = 5; round < 10; round++) {
        const turned = again(round);
        turned.push(...turned.splice(0, round - 3));
        expect((await client.charge(turned)).some(isGranted)).toBe(false);
      }
    },
  );

  test('a call that one counter refuses is charged to none', async () => {
    const client = await counters(proxy.port);
    for (let call = 0; call < 5; call++) await client.charge([spend('refusing', 'fixed')]);
    const others = Array.from({ length: 8 }, (_, at) => spend(`others ${at}`, 'fixed'));
    for (let call = 0; call < 3; call++) await client.charge([...others, spend('refusing', 'fixed')]);
    const looks = others.map((ask): QuotaAsk<BucketSpec> => {
      const { bucket, key, limit, burst, perMs } = ask;
      return { kind: 'look', bucket, key, limit, burst, perMs };
    });
    expect((await client.charge(looks)).map(({ remaining }) => remaining)).toEqual(others.map(() => 5));
  });

  test('a repeated ask is charged once', async () => {
    const client = await counters(proxy.port);
    const once = spend('once', 'fixed', { idempotencyKey: 'request 1' });
    for (let call = 0; call < 3; call++) expect((await client.charge([once]))[0]?.remaining).toBe(4);
  });

  test('leases are listed by the time of their server', async () => {
    const client = await counters(proxy.port);
    await client.charge([spend('leases', 'concurrency', { idempotencyKey: 'request' })]);
    const [place] = await client.look([spend('leases', 'concurrency')], { from: 0, count: 10 });
    const [lease] = place?.leases ?? [];
    expect(lease?.id).toBe('request');
    expect(Math.abs((lease?.endsInMs ?? 0) - DAY_MS)).toBeLessThan(60_000);
  });

  test('after all connections were closed, it is found to be a proxy again', async () => {
    const connection = await connected(proxy.port);
    expect(connection.isSharded).toBe(true);
    await connection.ask(async (redis) => redis.disconnect(true));
    await eventually(() => expect(connection.connections.total).toBe(2));
    expect(connection.isSharded).toBe(true);
    expect(await connection.ask(async (redis) => redis.get('k'))).toBeNull();
  });
});

describe.each(REDIS_PROXIES)('%s', (kind) => {
  test('a server that is away fails the counters that it has, as unavailable, and no others', async () => {
    const proxy = await startRedisProxy(kind, 3);
    ends.push(() => proxy.stop());
    const client = await counters(proxy.port);
    const keys = Array.from({ length: 60 }, (_, at) => `key ${at * 7919}`);
    const ask = async () => {
      const asked = await Promise.allSettled(
        keys.flatMap((key) => [client.charge([hit(key)]), client.charge([spend(key, 'fixed', { limit: 1000 })])]),
      );
      return asked.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
    };
    expect(await ask()).toEqual([]);
    await (proxy.servers[0] as RedisPart).kill();
    let failed: string[] = [];
    await eventually(async () => {
      failed = await ask();
      expect(failed.length).toBeGreaterThan(0);
    });
    expect(failed.length).toBeLessThan(keys.length * 2);
    for (const one of failed) expect(one).toMatch(/^Unavailable: /);
    const again = await startRedis({ port: (proxy.servers[0] as RedisPart).port });
    ends.push(() => again.stop());
    await eventually(async () => expect(await ask()).toEqual([]));
  }, 60_000);
});

test('a command that twemproxy does not know is named, and tried again with a back-off', async () => {
  const proxy = await startRedisProxy('twemproxy', 1);
  ends.push(() => proxy.stop());
  const connection = await connected(proxy.port);
  const add = async () => connection.ask((redis) => redis.xadd('stream', '*', 'f', 'v'));
  await expect(add()).rejects.toThrow(/closed in place of an answer to XADD: .* a proxy that knows this command/);
});

test('a database that twemproxy cannot select is named', async () => {
  const proxy = await startRedisProxy('twemproxy', 1);
  ends.push(() => proxy.stop());
  const connection = openConnection({
    redis: { shown: '', db: 3, connectTimeout: 5000, host: '127.0.0.1', port: proxy.port },
    timeoutMs: 10_000,
    onReady() {},
  });
  ends.push(() => connection.close());
  await eventually(() => expect(connection.why).toMatch(/in place of an answer to SELECT/));
});

test('a Redis is no proxy, also for a user who may run no script', async () => {
  const redis = await startRedis();
  ends.push(() => redis.stop());
  const connection = await connected(redis.port);
  expect(connection.isSharded).toBe(false);
  await connection.ask((client) =>
    client.call('ACL', 'SETUSER', 'plain', 'on', '>pw', '~*', '+@all', '-@scripting', '-ping'),
  );
  expect((await connected(redis.port, { username: 'plain', password: 'pw' })).isSharded).toBe(false);
});
