/** Redis credentials from a URL are used, and never printed. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { freePort } from '../parts/free-port.ts';
import { type RateLimitPart, startSluiceRatelimit } from '../parts/ratelimits.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { startRedisTls, type TlsRedisPart } from '../parts/redis-kinds.ts';
import { run } from './command.ts';
import { until } from './sluice.ts';

const ENV = { REDIS_SOCKET_TYPE: 'tcp', LOG_LEVEL: 'debug', SLUICE_REDIS_DEADLINE: '300ms' };

let folder: string;
let redis: RedisPart;
let tls: TlsRedisPart;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-credentials-'));
  await mkdir(join(folder, 'config'));
  await writeFile(
    join(folder, 'config/a.yaml'),
    'domain: shop\ndescriptors:\n  - { key: fixed, rate_limit: { unit: day, requests_per_unit: 1000 } }\n  - { key: gcra, rate_limit: { unit: day, requests_per_unit: 1000, sluice: { algorithm: gcra } } }\n',
  );
  [redis, tls] = await Promise.all([startRedis({ args: ['--requirepass', 's3:cret@x'] }), startRedisTls()]);
  const admin = new Redis({ port: redis.port, password: 's3:cret@x' });
  await admin.call('ACL', 'SETUSER', 'ann', 'on', '>s3cret', '~*', '+@all');
  admin.disconnect();
}, 60_000);
const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});
afterAll(async () => {
  await Promise.all([redis.stop(), tls.stop()]);
  await rm(folder, { recursive: true });
});

async function start(env: Readonly<Record<string, string>>, health?: number): Promise<RateLimitPart> {
  const part = await startSluiceRatelimit({ RUNTIME_ROOT: folder, ...ENV, ...env }, health);
  ends.push(() => part.stop());
  return part;
}
async function ask({ httpPort }: RateLimitPart, key: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/json`, {
    method: 'POST',
    body: JSON.stringify({ domain: 'shop', descriptors: [{ entries: [{ key, value: 'v' }] }] }),
  });
  return `${response.status} ${await response.text()}`;
}

test.each([
  ['a password', () => `redis://:s3%3Acret%40x@127.0.0.1:${redis.port}`],
  ['a user and a password', () => `redis://ann:s3cret@127.0.0.1:${redis.port}`],
])(
  'REDIS_URL with %s: windows and algorithms are counted',
  async (_name, url) => {
    const part = await start({ REDIS_URL: url() });
    for (const key of ['fixed', 'gcra']) expect(await ask(part, key)).toMatch(/^200 /);
    expect(part.printed()).not.toMatch(/s3.*cret/);
  },
  30_000,
);

test('rediss:// is TLS', async () => {
  const part = await start({
    REDIS_URL: tls.url,
    REDIS_TLS_CACERT: tls.ca,
    REDIS_TLS_CLIENT_CERT: tls.cert,
    REDIS_TLS_CLIENT_KEY: tls.key,
  });
  for (const key of ['fixed', 'gcra']) expect(await ask(part, key)).toMatch(/^200 /);
}, 30_000);

test('rediss:// to a server without TLS is never answered in plain text', async () => {
  const part = await start({ REDIS_URL: `rediss://:s3cret@127.0.0.1:${redis.port}`, REDIS_TIMEOUT: '500ms' }, 500);
  expect(await ask(part, 'fixed')).toMatch(/^400 Bad Request: Redis: /);
}, 30_000);

test.each(['tcp://:s3cret@127.0.0.1:1', 'redis://:s3cret@redis.example', 'redis://ann:s3cret@127.0.0.1:1/3'])(
  '%s: the start fails, and no line contains the password',
  async (url) => {
    const { code, out, err } = await run(['ratelimit'], {
      env: { RUNTIME_ROOT: folder, ...ENV, REDIS_URL: url, GRPC_PORT: '0', PORT: '0', DEBUG_PORT: '0' },
    });
    expect(code).not.toBe(0);
    expect(err).toMatch(/REDIS_URL/);
    expect(out + err).not.toContain('s3cret');
  },
  30_000,
);

test.each([
  ['a wrong password', () => `redis://:wr0ng@127.0.0.1:${redis.port}`, /WRONGPASS/],
  ['no password', () => `redis://127.0.0.1:${redis.port}`, /NOAUTH/],
  ['no server', async () => `127.0.0.1:${await freePort()}`, /ECONNREFUSED/],
])(
  '%s: one log line, and the cause in /healthcheck and /json',
  async (_name, url, cause) => {
    const part = await start({ REDIS_URL: await url(), LOG_LEVEL: 'warn' }, 500);
    await until('health says why', async () =>
      cause.test(await (await fetch(`http://127.0.0.1:${part.httpPort}/healthcheck`)).text()) ? true : undefined,
    );
    for (let call = 0; call < 10; call++)
      expect(await ask(part, call % 2 === 0 ? 'fixed' : 'gcra')).toMatch(/^400 Bad Request: Redis/);
    expect(await ask(part, 'fixed')).toMatch(cause);
    const lines = part
      .printed()
      .split('\n')
      .filter((line) => line.includes('Redis does not answer'));
    expect([lines.length, lines[0]]).toEqual([1, expect.stringMatching(cause)]);
    expect(part.printed()).not.toContain('wr0ng');
  },
  30_000,
);

test('killed while it serves: one log line when it goes, one when it is back', async () => {
  const own = await startRedis();
  ends.push(() => own.stop());
  const part = await start({ REDIS_URL: `127.0.0.1:${own.port}`, LOG_LEVEL: 'info' });
  for (const key of ['fixed', 'gcra']) expect(await ask(part, key)).toMatch(/^200 /);
  await own.kill();
  for (let call = 0; call < 20; call++) expect(await ask(part, call % 2 === 0 ? 'fixed' : 'gcra')).toMatch(/^400 /);
  const again = await startRedis({ port: own.port });
  ends.push(() => again.stop());
  for (const key of ['fixed', 'gcra'])
    await until(`${key} is counted again`, async () => ((await ask(part, key)).startsWith('200') ? true : undefined));
  const lines = (words: string): number =>
    part
      .printed()
      .split('\n')
      .filter((line) => line.includes(words)).length;
  expect([lines('Redis does not answer'), lines('Redis answers again')]).toEqual([1, 1]);
}, 30_000);
