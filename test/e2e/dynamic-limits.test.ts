/** Limits per tenant, read from Redis: a change there takes effect without a reload. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { run } from './command.ts';
import { type ServedSluice, serveSluice } from './sluice.ts';

let redis: RedisPart;
let sluice: ServedSluice;
beforeAll(async () => {
  redis = await startRedis();
  sluice = await serveSluice(`
handlers:
  limits: { adapter: quota-redis, config: { url: "${redis.url}" } }
  tenants: { adapter: enrich-redis, config: { url: "${redis.url}", prefix: "tenant:", columns: { limit: int }, cacheMs: 0 } }
rules:
  - name: whose
    enrich: { handler: tenants, input: { key: 'request.headers[?"x-tenant"].orValue("nobody")' }, as: my.tenant }
  - name: per-tenant
    quota: { handler: limits, limit: 'my.tenant.?limit.orValue(1)', per: 1d, key: ['request.headers[?"x-tenant"].orValue("nobody")'] }
`);
});
afterAll(async () => {
  await sluice.stop();
  await redis.stop();
});

const passes = async (tenant: string): Promise<boolean> =>
  (
    await run(['call', 'check', '--to', `127.0.0.1:${sluice.grpcPort}`, '--request', '-'], {
      stdin: JSON.stringify({ 'request.path': '/', 'request.headers': { 'x-tenant': tenant } }),
    })
  ).code === 0;

test('the default applies until a limit is written to Redis', async () => {
  expect([await passes('ann'), await passes('ann')]).toEqual([true, false]);
  const admin = new Redis(redis.url);
  await admin.hset('tenant:ann', { limit: '3' });
  admin.disconnect();
  expect([await passes('ann'), await passes('ann'), await passes('ann')]).toEqual([true, true, false]);
  expect([await passes('bob'), await passes('bob')]).toEqual([true, false]);
});
