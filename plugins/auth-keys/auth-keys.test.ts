import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { type CheckAnswer, type LookupAnswer, Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { startRedis } from '../../test/parts/redis.ts';
import adapter from './adapter.ts';

const folder = mkdtempSync(join(tmpdir(), 'auth-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));
const digest = (key: string) => createHash('sha256').update(key).digest('hex');
const KEY = 'k-4f9c2a7e51d8';
writeFileSync(join(folder, 'keys.txt'), `# of the shop\n${digest(KEY)} ann plan=gold team=web\n`);
writeFileSync(join(folder, 'plain.txt'), `${KEY} ann\n`);
const of = (key: string) => ({ 'headers.x-api-key': key });

testAdapter(adapter, {
  runner: { describe, test },
  folder,
  config: { file: 'keys.txt' },
  badConfigs: [
    { config: {}, says: /expected either file or redis/ },
    { config: { file: 'plain.txt' }, says: /plain\.txt: line 1: expected the SHA-256 of the key in hex, 64 digits/ },
  ],
  unreachable: { redis: { url: 'redis://127.0.0.1:1' } },
  check: { allowed: [of(KEY)], denied: [{}, of('wrong'), of(digest(KEY)), of('x'.repeat(2000))] },
  enrich: {
    known: [{ input: of(KEY), output: { owner: 'ann', labels: { plan: 'gold', team: 'web' } } }],
    unknown: [{}, of('wrong')],
  },
});

test('a key that is withdrawn from the file works no longer', async () => {
  const { handler, close } = await openForTest(adapter, { folder, config: { file: 'keys.txt' } });
  onTestFinished(() => close());
  const check = handler.check?.({ rule: 'r', params: { required: true } });
  const kind = () => ((check as NonNullable<typeof check>)(of(KEY), testCall()) as CheckAnswer).kind;
  const lookup = handler.lookup?.({ rule: 'r', params: undefined });
  expect(kind()).toBe('allow');
  writeFileSync(join(folder, 'keys.txt'), `${digest('another')} bob\n`);
  await eventually(() => expect(kind()).toBe('deny'));
  expect(lookup?.(of(KEY), testCall()) as LookupAnswer).toBeUndefined();
});

test('keys in Redis are found by digest, kept for cacheMs, and fail while it is away', async () => {
  const redis = await startRedis();
  const admin = new Redis(redis.url);
  onTestFinished(async () => {
    admin.disconnect();
    await redis.stop();
  });
  await admin.hset(`apikey:${digest(KEY)}`, { owner: 'ann', plan: 'gold' });
  const config = { redis: { url: redis.url }, cacheMs: 1000 };
  const { handler, clock, close } = await openForTest(adapter, { config });
  onTestFinished(() => close());
  const lookup = handler.lookup?.({ rule: 'r', params: undefined });
  const find = async (key: string) => lookup?.(of(key), testCall());
  expect(await find(KEY)).toEqual({ owner: 'ann', labels: { plan: 'gold' } });
  expect(await find('wrong')).toBeUndefined();
  expect(lookup?.(of(KEY), testCall())).not.toBeInstanceOf(Promise);
  await admin.del(`apikey:${digest(KEY)}`);
  clock.advance(1001);
  expect(await find(KEY)).toBeUndefined();
  await redis.stop();
  clock.advance(1001);
  await expect(find(KEY)).rejects.toThrow(Unavailable);
});
