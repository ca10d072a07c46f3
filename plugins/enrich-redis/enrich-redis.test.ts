import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { type RedisPart, startRedis } from '../../test/parts/redis.ts';
import adapter from './adapter.ts';

const COLUMNS = { plan: 'string', limit: 'int', until: 'timestamp' };

let redis: RedisPart;
let admin: Redis;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  await admin.hset('t:ann', { plan: 'gold', limit: '20', other: 'x' });
  await admin.hset('t:odd', { plan: 'gold', limit: 'many' });
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

testAdapter(adapter, {
  runner: { describe, test },
  config: () => ({ url: redis.url, prefix: 't:', columns: COLUMNS }),
  enrich: { known: [{ input: { key: 'ann' }, output: { plan: 'gold', limit: 20 } }], unknown: [{ key: 'nobody' }, { key: '' }] },
  badConfigs: [
    { config: { url: 'redis://127.0.0.1:1', columns: {} }, says: /expected at least one column/ },
    { config: { url: 'http://127.0.0.1:1', columns: { a: 'int' } }, says: /expected redis:/ },
    { config: { url: 'redis://127.0.0.1:1', columns: { 'a-b': 'int' } }, says: /columns.a-b: Invalid key in record/ },
  ],
});

async function openOn(config: object = {}) {
  const opened = await openForTest(adapter, { config: { url: redis.url, prefix: 't:', columns: COLUMNS, ...config } });
  const lookup = opened.handler.lookup?.({ rule: 'r', params: undefined });
  return { ...opened, look: async (key: string): Promise<unknown> => lookup?.({ key }, testCall()), at: (key: string): unknown => lookup?.({ key }, testCall()) };
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
    await expect(look('odd')).rejects.toThrow('the field limit of t:odd: expected a whole number within 2^53, found "many"');
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
});
