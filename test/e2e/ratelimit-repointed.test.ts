/** An address that is repointed to another Redis, while the old one lives on as a replica with open connections. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startLink } from '../parts/link.ts';
import { type RateLimitPart, startSluiceRatelimit } from '../parts/ratelimits.ts';
import { startRedis } from '../parts/redis.ts';
import { until } from './sluice.ts';

const LIMIT = { fixed: '', gcra: ', sluice: { algorithm: gcra }', sliding: ', sluice: { algorithm: sliding }' };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-repointed-'));
  await mkdir(join(folder, 'config'));
  await writeFile(
    join(folder, 'config/a.yaml'),
    `domain: shop\ndescriptors:\n${Object.entries(LIMIT)
      .map(([key, own]) => `  - { key: ${key}, rate_limit: { unit: day, requests_per_unit: 100000${own} } }\n`)
      .join('')}`,
  );
});
const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});
afterAll(async () => rm(folder, { recursive: true }));

async function ask(
  { httpPort }: RateLimitPart,
  key: string,
): Promise<{ readonly status: number; readonly body: string }> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/json`, {
    method: 'POST',
    body: JSON.stringify({ domain: 'shop', descriptors: [{ entries: [{ key, value: 'v' }] }] }),
  });
  return { status: response.status, body: await response.text() };
}
const health = async ({ httpPort }: RateLimitPart): Promise<string> => {
  const response = await fetch(`http://127.0.0.1:${httpPort}/healthcheck`);
  return `${response.status} ${await response.text()}`;
};
const lines = (part: RateLimitPart, words: string): string[] =>
  part
    .printed()
    .split('\n')
    .filter((line) => line.includes(words));

test.each([
  ['fixed', {}],
  ['gcra', {}],
  ['sliding', {}],
  ['fixed', { SLUICE_ESCROW: 'true' }],
  ['fixed', { SLUICE_SAFE: 'true' }],
] as const)(
  '%s %o: it counts at the repointed address, with one log line for the loss and one for the return',
  async (key, env) => {
    const [old, renewed] = await Promise.all([startRedis(), startRedis()]);
    const link = await startLink(old.port);
    ends.push(
      () => renewed.stop(),
      () => old.kill(),
      () => link.stop(),
    ); // a master waits for its replica before it exits
    const part = await startSluiceRatelimit({
      RUNTIME_ROOT: folder,
      REDIS_SOCKET_TYPE: 'tcp',
      REDIS_URL: `127.0.0.1:${link.port}`,
      LOG_LEVEL: 'info',
      SLUICE_REDIS_DEADLINE: '300ms',
      ...env,
    });
    ends.push(() => part.stop());
    for (let call = 0; call < 5; call++) expect((await ask(part, key)).status).toBe(200);

    const admin = new Redis(old.url);
    await admin.replicaof('127.0.0.1', String(renewed.port));
    admin.disconnect();
    await until('the replica refuses', async () =>
      (await ask(part, key)).body.includes('READONLY') ? true : undefined,
    );
    await until('health says why', async () => (/^500 Redis.*READONLY/.test(await health(part)) ? true : undefined));
    link.repoint(renewed.port);
    await until('it is counted again', async () => ((await ask(part, key)).status === 200 ? true : undefined));
    expect(await health(part)).toBe('200 OK');

    const count = new Redis(renewed.url);
    expect((await count.keys('*shop*')).length).toBeGreaterThan(0);
    count.disconnect();
    expect([lines(part, 'Redis does not answer').length, lines(part, 'Redis answers again').length]).toEqual([1, 1]);
    expect(lines(part, 'Redis does not answer')[0]).toContain('READONLY');
  },
  60_000,
);

test('a round trip that fails alone has a log line with its cause, and is no outage', async () => {
  const redis = await startRedis();
  const part = await startSluiceRatelimit({
    RUNTIME_ROOT: folder,
    REDIS_SOCKET_TYPE: 'tcp',
    REDIS_URL: `127.0.0.1:${redis.port}`,
    SLUICE_REDIS_DEADLINE: '100ms',
  });
  ends.push(
    () => redis.stop(),
    () => part.stop(),
  );
  expect((await ask(part, 'fixed')).status).toBe(200);
  redis.freeze();
  expect((await ask(part, 'fixed')).body).toContain('no answer for 100 ms');
  redis.thaw();
  await until('it is counted again', async () => ((await ask(part, 'fixed')).status === 200 ? true : undefined));
  expect(lines(part, 'a round trip to Redis failed')).toEqual([expect.stringContaining('no answer for 100 ms')]);
  expect(lines(part, 'Redis does not answer')).toEqual([]);
});
