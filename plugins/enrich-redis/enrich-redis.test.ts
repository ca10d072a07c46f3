import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Rejected } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { type RedisPart, startRedis, startRedisWithClient } from '../../test/parts/redis.ts';
import adapter from './adapter.ts';
import { Cache } from './cache.ts';

const COLUMNS = { plan: 'string', limit: 'int', until: 'timestamp' };

let redis: RedisPart;
let admin: Redis;
beforeAll(async () => {
  ({ redis, admin } = await startRedisWithClient());
  await admin.hset('t:ann', { plan: 'gold', limit: '20', other: 'x' });
  await admin.hset('t:odd', { plan: 'gold', limit: 'many' });
});
afterAll(() => redis.stop());

testAdapter(adapter, {
  runner: { describe, test },
  config: () => ({ url: redis.url, prefix: 't:', columns: COLUMNS }),
  enrich: {
    known: [{ input: { key: 'ann' }, output: { plan: 'gold', limit: 20 } }],
    unknown: [{ key: 'nobody' }, { key: '' }],
  },
  badConfigs: [
    { config: { url: 'redis://127.0.0.1:1', columns: {} }, says: /expected at least one column/ },
    { config: { url: 'http://127.0.0.1:1', columns: { a: 'int' } }, says: /expected redis:/ },
    { config: { url: 'redis://127.0.0.1:1', columns: { 'a-b': 'int' } }, says: /columns.a-b: Invalid key in record/ },
  ],
});

async function openOn(config: object = {}) {
  const opened = await openForTest(adapter, { config: { url: redis.url, prefix: 't:', columns: COLUMNS, ...config } });
  const lookup = opened.handler.lookup?.({ rule: 'r', params: undefined });
  return {
    ...opened,
    look: async (key: string): Promise<unknown> => lookup?.({ key }, testCall()),
    at: (key: string): unknown => lookup?.({ key }, testCall()),
  };
}

describe('enrich-redis', () => {
  test('what is changed in Redis is seen without a reload, once what is kept is old', async () => {
    const { look, clock, close } = await openOn({ cacheMs: 500 });
    expect(await look('bob')).toBeUndefined();
    await admin.hset('t:bob', { limit: '5' });
    expect(await look('bob')).toBeUndefined();
    clock.advance(501);
    expect(await look('bob')).toEqual({ limit: 5 });
    await admin.hset('t:bob', { limit: '6' });
    clock.advance(501);
    expect(await look('bob')).toEqual({ limit: 6 });
    await close();
  });

  test('what is known is answered at once, and a key that is asked for is asked once', async () => {
    const { look, at, close } = await openOn();
    const before = Number(/total_commands_processed:(\d+)/.exec(await admin.info('stats'))?.[1]);
    await Promise.all(Array.from({ length: 50 }, async () => look('ann')));
    expect(at('ann')).toEqual({ plan: 'gold', limit: 20 });
    expect(Number(/total_commands_processed:(\d+)/.exec(await admin.info('stats'))?.[1]) - before).toBeLessThan(6);
    await close();
  });

  test('keeps so many answers and no more, and none where told so', async () => {
    const few = await openOn({ cacheKeys: 2 });
    for (const key of ['ann', 'b', 'c']) await few.look(key);
    const asked = few.at('ann');
    expect(asked).toBeInstanceOf(Promise);
    await asked;
    await few.close();
    const none = await openOn({ cacheMs: 0 });
    await none.look('ann');
    const again = none.at('ann');
    expect(again).toBeInstanceOf(Promise);
    await again;
    await none.close();
  });

  test('a field of another type is refused by name', async () => {
    const { look, close } = await openOn();
    await expect(look('odd')).rejects.toThrow(
      'the field limit of t:odd: expected a whole number within 2^53, found "many"',
    );
    await close();
  });

  test('Redis that is away fails the lookup at once, and is found again', async () => {
    const own = await startRedis();
    const { look, close, readiness } = await openOn({ url: own.url, cacheMs: 0 });
    expect(await look('ann')).toBeUndefined();
    await own.kill();
    await eventually(async () => expect(readiness().ready).toBe(false));
    await expect(look('ann')).rejects.toThrow(/Redis at 127\.0\.0\.1/);
    const again = await startRedis({ port: own.port });
    await eventually(async () => expect(await look('ann')).toBeUndefined(), 8000);
    await close();
    await again.stop();
  });

  test('while Redis is away or hangs, what was known is given for as long as staleMs says, and a key that was not known fails', async () => {
    const own = await startRedis();
    const write = new Redis(own.url);
    await write.hset('t:ann', { plan: 'gold' });
    write.disconnect();
    const { look, clock, close, readiness } = await openOn({ url: own.url, cacheMs: 1000, staleMs: 60_000 });
    expect(await look('ann')).toEqual({ plan: 'gold' });
    own.freeze();
    clock.advance(2000);
    for (let call = 0; call < 5; call++) expect(await look('ann')).toEqual({ plan: 'gold' });
    expect(readiness().why).toMatch(/Redis at 127\.0\.0\.1:\d+: no answer/);
    await own.kill();
    await expect(look('bob')).rejects.toThrow(/Redis at 127\.0\.0\.1/);
    clock.advance(58_000);
    expect(await look('ann')).toEqual({ plan: 'gold' });
    clock.advance(2000);
    await expect(look('ann')).rejects.toThrow(/Redis at 127\.0\.0\.1/);
    await close();
  });

  test('a field that is too long is refused by name, and one that is no hash by its key', async () => {
    await admin.hset('t:long', { plan: 'x'.repeat(70_000) });
    await admin.set('t:text', 'x');
    const { look, close, readiness } = await openOn();
    await expect(look('long')).rejects.toThrow('the field plan of t:long: 70000 characters, at most 65536 are allowed');
    const error = await look('text').catch((thrown: unknown) => thrown);
    expect([error instanceof Rejected, String(error)]).toEqual([true, expect.stringContaining('WRONGTYPE')]);
    expect(readiness().ready).toBe(true);
    await close();
  });
});

test('a cache keeps so many bytes and no more, however long keys and answers are', async () => {
  const cache = new Cache<string>({
    forMs: 1000,
    staleMs: 0,
    maxKeys: 1_000_000,
    maxBytes: 1_000_000,
    weigh: (value) => value.length * 2,
    nowMs: () => 0,
    find: async (key) => key.slice(0, 1000),
    isAway: () => false,
  });
  for (let at = 0; at < 10_000; at++) {
    await cache.get(`${at}${'k'.repeat(5000)}`);
    expect(cache.bytes).toBeLessThanOrEqual(1_000_000);
  }
  expect(cache.bytes).toBeGreaterThan(900_000);
  expect(cache.get(`9999${'k'.repeat(5000)}`), 'it is kept').toBe(`9999${'k'.repeat(996)}`);
});
