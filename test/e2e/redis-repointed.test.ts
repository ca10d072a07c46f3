/**
 * Connections that stay open but are useless: the server has become a replica, or wants a password. Real servers behind an address that is
 * repointed.
 */
import { z } from 'zod';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { type AnyHandler, Rejected, Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testCall } from 'sluice/plugin/testing';
import { type Link, startLink } from '../parts/link.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import enrich from '../../plugins/enrich-redis/adapter.ts';
import quota from '../../plugins/quota-redis/adapter.ts';
import { connectionOptions, redisShape } from '../../src/counting/redis/config.ts';
import { openConnection } from '../../src/counting/redis/connection.ts';

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Pair {
  readonly old: RedisPart;
  readonly renewed: RedisPart;
  readonly link: Link;
  readonly url: string;
}
async function startPair(oldArgs: readonly string[] = []): Promise<Pair> {
  const [old, renewed] = await Promise.all([startRedis({ args: oldArgs }), startRedis()]);
  const link = await startLink(old.port);
  ends.push(
    () => renewed.stop(),
    () => old.kill(),
    () => link.stop(),
  ); // a master waits for its replica before it exits
  return { old, renewed, link, url: `redis://127.0.0.1:${link.port}` };
}

async function told(url: string, ...commands: readonly (readonly [string, ...string[]])[]): Promise<void> {
  const admin = new Redis(url);
  for (const [name, ...words] of commands) await admin.call(name, ...words);
  admin.disconnect();
}
const replicaOf = ({ port }: RedisPart): [string, ...string[]] => ['REPLICAOF', '127.0.0.1', String(port)];
const failure = async (asked: unknown): Promise<unknown> =>
  Promise.resolve(asked).then(
    () => undefined,
    (error: unknown) => error,
  );

const CHARGES = {
  fixed: {},
  gcra: {},
  sliding: {},
  'fixed in escrow': { escrow: true },
  'gcra in escrow': { escrow: true },
};

describe.each(Object.entries(CHARGES))('quota-redis, %s', (name, config) => {
  const algorithm = name.split(' ')[0] as 'fixed';
  const charger = (handler: AnyHandler) => {
    const bucket = handler.bucket?.({ rule: 'r', counter: 'c', algorithm, perMs: 86_400_000, params: undefined });
    let key = 0;
    return async (): Promise<unknown> =>
      handler.charge?.(
        [{ kind: 'spend', bucket, key: `k${key++}`, cost: 1, limit: 10, burst: 10, perMs: 86_400_000 }],
        testCall(),
      );
  };

  test('a master that becomes a replica: Unavailable and not ready, then counted at the repointed address', async () => {
    const { old, renewed, link, url } = await startPair();
    const { handler, readiness, close } = await openForTest(quota, { config: { url, ...config } });
    ends.push(close);
    const charge = charger(handler);
    await eventually(async () => expect(await failure(charge())).toBeUndefined());
    await told(old.url, replicaOf(renewed));
    await eventually(async () =>
      expect(String(await failure(charge()))).toMatch(/Redis at 127\.0\.0\.1:\d+: READONLY/),
    );
    expect(readiness()).toEqual({
      ready: false,
      why: expect.stringMatching(/Redis at .*READONLY (?!.*script: )/) as unknown,
    });
    link.repoint(renewed.port);
    await eventually(async () => expect(await failure(charge())).toBeUndefined());
    expect(readiness().ready).toBe(true);
    const counted = new Redis(renewed.url);
    expect((await counted.keys('sluice:*')).length).toBeGreaterThan(0);
    counted.disconnect();
  }, 30_000);
});

test('quota-redis: while the address points to a replica it is not ready, and reconnects back off', async () => {
  const { old, renewed, url } = await startPair();
  const { handler, readiness, close } = await openForTest(quota, { config: { url } });
  ends.push(close);
  const bucket = handler.bucket?.({ rule: 'r', counter: 'c', algorithm: 'fixed', perMs: 60_000, params: undefined });
  const charge = async (): Promise<unknown> =>
    failure(
      handler.charge?.([{ kind: 'spend', bucket, key: 'k', cost: 1, limit: 10, burst: 10, perMs: 60_000 }], testCall()),
    );
  await eventually(async () => expect(await charge()).toBeUndefined());
  await told(old.url, replicaOf(renewed));
  await eventually(async () => expect(await charge()).toBeInstanceOf(Unavailable));
  const admin = new Redis(old.url);
  const connections = async (): Promise<number> =>
    Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);
  const before = await connections();
  const untilMs = performance.now() + 3000;
  while (performance.now() < untilMs) {
    expect(await charge()).toBeInstanceOf(Unavailable);
    expect(readiness().ready).toBe(false);
  }
  expect((await connections()) - before).toBeLessThanOrEqual(12); // the back-off grows from 25 ms to a second
  await admin.replicaof('NO', 'ONE');
  admin.disconnect();
  await eventually(async () => expect(await charge()).toBeUndefined());
}, 30_000);

test('enrich-redis: a replica without its master that serves no stale data is left for the repointed address', async () => {
  const { old, renewed, link, url } = await startPair(['--replica-serve-stale-data', 'no']);
  await told(renewed.url, ['HSET', 'ann', 'plan', 'gold']);
  await told(old.url, ['HSET', 'ann', 'plan', 'old']);
  const { handler, readiness, close } = await openForTest(enrich, {
    config: { url, columns: { plan: 'string' }, cacheMs: 0 },
  });
  ends.push(close);
  const lookup = handler.lookup?.({ rule: 'r', params: undefined });
  const look = async (): Promise<unknown> => lookup?.({ key: 'ann' }, testCall());
  expect(await look()).toEqual({ plan: 'old' });
  await told(old.url, ['REPLICAOF', '127.0.0.1', '1']); // no server there
  await eventually(async () => expect(String(await failure(look()))).toMatch(/MASTERDOWN/));
  expect(readiness().why).toMatch(/Redis at .*MASTERDOWN/);
  link.repoint(renewed.port);
  await eventually(async () => expect(await failure(look())).toBeUndefined());
  expect(await look()).toEqual({ plan: 'gold' });
  expect(readiness().ready).toBe(true);
}, 30_000);

describe('a connection', () => {
  const open = async (config: object) => {
    const why: (string | undefined)[] = [];
    const redis = await connectionOptions(z.object(redisShape).parse(config), '/');
    const connection = openConnection({
      redis,
      timeoutMs: 300,
      onReady: (isReady, reason) => why.push(isReady ? undefined : reason),
    });
    ends.push(() => connection.close());
    return { connection, why, get: async () => failure(connection.ask(async (client) => client.get('k'))) };
  };

  test('reports that the server wants another password, and is replaced when it accepts ours', async () => {
    const redis = await startRedis();
    ends.push(() => redis.stop());
    const { get, why } = await open({ url: redis.url, password: 'right' });
    await eventually(async () => expect(await get()).toBeUndefined());
    await told(redis.url, ['CONFIG', 'SET', 'requirepass', 'other']);
    await told(`redis://:other@127.0.0.1:${redis.port}`, ['CLIENT', 'KILL', 'TYPE', 'normal']);
    await eventually(async () => expect(String(await get())).toMatch(/WRONGPASS/));
    expect(why.at(-1)).toMatch(/Redis at .*: WRONGPASS/);
    expect(JSON.stringify(why)).not.toContain('right');
    await told(`redis://:other@127.0.0.1:${redis.port}`, ['CONFIG', 'SET', 'requirepass', 'right']);
    await eventually(async () => expect(await get()).toBeUndefined());
  }, 20_000);

  test('to a hung server is replaced, through the address', async () => {
    const { old, renewed, link, url } = await startPair();
    const { get } = await open({ url });
    await eventually(async () => expect(await get()).toBeUndefined());
    old.freeze();
    await eventually(async () => expect(await get()).toBeInstanceOf(Unavailable));
    link.repoint(renewed.port);
    await eventually(async () => expect(await get()).toBeUndefined());
    old.thaw();
  }, 20_000);

  test('stays when Redis rejects one key, which is Rejected', async () => {
    const redis = await startRedis();
    ends.push(() => redis.stop());
    await told(redis.url, ['LPUSH', 'k', 'v']);
    const { connection, get, why } = await open({ url: redis.url });
    await eventually(async () => expect(await get()).toBeInstanceOf(Rejected));
    expect(String(await get())).toMatch(/WRONGTYPE/);
    expect(await connection.ask(async (client) => client.llen('k'))).toBe(1);
    expect(why.at(-1)).toBeUndefined();
  });

  test.each(["OOM command not allowed when used memory > 'maxmemory'."])(
    '%s affects every key: Unavailable',
    async (reply) => {
      const redis = await startRedis({ args: ['--maxmemory', '1'] });
      ends.push(() => redis.stop());
      const { connection, get } = await open({ url: redis.url });
      await eventually(async () => expect(await get()).toBeUndefined());
      const error = await failure(connection.ask(async (client) => client.set('k', 'v')));
      expect([error instanceof Unavailable, String(error)]).toEqual([true, expect.stringContaining(reply)]);
    },
  );
});
