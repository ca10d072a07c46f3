/**
 * gcra, log and concurrency in configs of `sluice ratelimit`: in memory, in a single Redis, over a unix socket, in a cluster, behind
 * proxies, and during outages.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { leftOf, rateLimitClient } from '../parts/ratelimit-client.ts';
import { type RateLimitPart, startSluiceRatelimit } from '../parts/ratelimits.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { type RedisClusterPart, startRedisCluster } from '../parts/redis-kinds.ts';
import { type RedisProxyPart, startRedisProxy } from '../parts/redis-proxies.ts';
import { run } from './command.ts';
import { until } from './sluice.ts';

const CONFIG = `
domain: shop
descriptors:
  - key: user
    rate_limit: { unit: day, requests_per_unit: 24, sluice: { algorithm: gcra, burst: 3 } }
  - key: pay
    rate_limit: { requests_per_unit: 5, sluice: { algorithm: log, per: 1h } }
  - key: tenant
    descriptors:
      - key: request
        rate_limit: { requests_per_unit: 2, sluice: { algorithm: concurrency, per: 60s } }
  - key: fast
    rate_limit: { unit: second, requests_per_unit: 1000, sluice: { algorithm: gcra } }
  - key: path
    rate_limit: { unit: day, requests_per_unit: 2 }
  - key: soft
    rate_limit: { unit: day, requests_per_unit: 8, sluice: { algorithm: gcra, outage: local } }
`;

let folder: string;
let redis: RedisPart;
let cluster: RedisClusterPart;
let envoy: RedisProxyPart;
let twemproxy: RedisProxyPart;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-algorithms-'));
  [redis, cluster, envoy, twemproxy] = await Promise.all([
    startRedis({ args: ['--unixsocket', join(folder, 'redis.sock')] }),
    startRedisCluster(),
    startRedisProxy('Envoy', 3),
    startRedisProxy('twemproxy', 3),
  ]);
}, 60_000);
const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});
afterAll(async () => {
  await Promise.all([redis.stop(), cluster.stop(), envoy.stop(), twemproxy.stop()]);
  await rm(folder, { recursive: true });
});

type Text = string; // KEY=VALUE,KEY=VALUE
type Ask = (...descriptors: readonly Text[]) => Promise<(number | 'over')[]>;
interface Started extends RateLimitPart {
  readonly file: string;
  readonly ask: Ask;
  readonly look: Ask;
}

async function start(env: NodeJS.ProcessEnv, config = CONFIG): Promise<Started> {
  const root = await mkdtemp(join(folder, 'root-'));
  const file = join(root, 'config', 'shop.yaml');
  await mkdir(join(root, 'config'));
  await writeFile(file, config);
  const part = await startSluiceRatelimit({
    RUNTIME_ROOT: root,
    REDIS_SOCKET_TYPE: 'tcp',
    LOG_LEVEL: 'info',
    SLUICE_REDIS_DEADLINE: '300ms',
    ...env,
  });
  ends.push(() => part.stop());
  const client = rateLimitClient(part.grpcPort);
  ends.push(() => client.close());
  const send = async (texts: readonly Text[], hitsAddend?: bigint): Promise<(number | 'over')[]> => {
    const descriptors = texts.map((text) => ({
      entries: text.split(',').map((entry) => ({ key: entry.split('=')[0] ?? '', value: entry.split('=')[1] ?? '' })),
      ...(hitsAddend === undefined ? {} : { hitsAddend }),
    }));
    return leftOf(await client.ask({ domain: 'shop', descriptors }));
  };
  return { ...part, file, ask: (...descriptors) => send(descriptors), look: (...descriptors) => send(descriptors, 0n) };
}

const alone = (): NodeJS.ProcessEnv => ({ REDIS_URL: `127.0.0.1:${redis.port}` });
const PLACES: readonly (readonly [string, () => NodeJS.ProcessEnv])[] = [
  ['memory', () => ({ BACKEND_TYPE: 'memory' })],
  ['Redis', alone],
  ['Redis at a unix socket', () => ({ REDIS_SOCKET_TYPE: 'unix', REDIS_URL: join(folder, 'redis.sock') })],
  ['a cluster', () => ({ REDIS_TYPE: 'CLUSTER', REDIS_URL: cluster.url })],
  ['three Redis behind Envoy', () => ({ REDIS_URL: `127.0.0.1:${envoy.port}` })],
  ['three Redis behind twemproxy', () => ({ REDIS_URL: `127.0.0.1:${twemproxy.port}` })],
];

test('/json gives the same answers', async () => {
  const { httpPort } = await start({ BACKEND_TYPE: 'memory' });
  const ask = async (...entries: readonly (readonly [key: string, value: string])[]) => {
    const response = await fetch(`http://127.0.0.1:${httpPort}/json`, {
      method: 'POST',
      body: JSON.stringify({
        domain: 'shop',
        descriptors: [{ entries: entries.map(([key, value]) => ({ key, value })) }],
      }),
    });
    return [response.status, await response.json()];
  };
  const tenant = ['tenant', 'json'] as const;
  const status = (code: string, limitRemaining: number, durationUntilReset: RegExp): unknown =>
    expect.objectContaining({
      statuses: [
        {
          code,
          currentLimit: { requestsPerUnit: 2 },
          ...(limitRemaining === 0 ? {} : { limitRemaining }),
          durationUntilReset: expect.stringMatching(durationUntilReset) as unknown,
        },
      ],
    });
  expect(await ask(tenant, ['request', '1'])).toEqual([200, status('OK', 1, /^60s$/)]);
  expect(await ask(tenant, ['request', '2'])).toEqual([200, status('OK', 0, /^60s$/)]);
  expect(await ask(tenant, ['request', '3'])).toEqual([429, status('OVER_LIMIT', 0, /^[56]\ds$/)]);
  expect(await ask(tenant, ['request', '1'], ['stream_done', ''])).toEqual([200, status('OK', 1, /^[56]\ds$/)]);
  expect(await ask(tenant, ['request', '3'])).toEqual([200, status('OK', 0, /^60s$/)]);
});

describe.each(PLACES)('%s', (name, env) => {
  const own = name.replaceAll(' ', '-');

  test('each admits its limit and reports what is left', async () => {
    const { ask, debugPort } = await start(env());
    const answers = [];
    for (let n = 0; n < 4; n++) answers.push(await ask(`user=${own}`, `pay=${own}`));
    expect(answers).toEqual([
      [2, 4],
      [1, 3],
      [0, 2],
      ['over', 1],
    ]); // each charged separately, as in the reference
    const leases = [
      await ask(`tenant=${own},request=1`),
      await ask(`tenant=${own},request=2`),
      await ask(`tenant=${own},request=3`),
      await ask(`tenant=${own},request=1,stream_done=1`),
      await ask(`tenant=${own},request=3`),
    ];
    expect(leases).toEqual([[1], [0], ['over'], [1], [0]]);
    const descriptor = `domain=shop&key=tenant&value=${own}&key=request&value=any`;
    const held = await fetch(`http://127.0.0.1:${debugPort}/limits/inspect?${descriptor}&from=0`);
    expect(await held.json()).toMatchObject({ count: 2, leaseCount: 2, leases: [{ id: '2' }, { id: '3' }] });
    expect((await fetch(`http://127.0.0.1:${debugPort}/limits/inspect?${descriptor}&from=-1`)).status).toBe(400);
    expect(await ask('fast=x')).toEqual([999]);
  });

  test('exactly the limit is admitted of many concurrent calls to two replicas', async () => {
    const replicas = [await start(env()), ...(name === 'memory' ? [] : [await start(env())])];
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, n) =>
        (replicas[n % replicas.length] as Started).ask(
          `user=${own}-many`,
          `pay=${own}-many`,
          `tenant=${own}-many,request=${n}`,
        ),
      ),
    );
    expect([0, 1, 2].map((at) => answers.filter((statuses) => statuses[at] !== 'over').length)).toEqual([3, 5, 2]);
  });

  test('SLUICE_SAFE: a call that one limit denies is charged to no limit of either kind', async () => {
    const { ask, look } = await start({ ...env(), SLUICE_SAFE: 'true' });
    const [user, pay, lease, path] = [
      `user=${own}-safe`,
      `pay=${own}-safe`,
      `tenant=${own}-safe,request=1`,
      `path=${own}-safe`,
    ];
    await ask(path);
    await ask(path);
    for (let n = 0; n < 8; n++) expect((await ask(user, pay, lease, path))[3]).toBe('over');
    expect(await look(user, pay, lease)).toEqual([3, 5, 2]);
    for (let n = 0; n < 3; n++) await ask(user);
    for (let n = 0; n < 8; n++) expect((await ask(pay, `path=${own}-other`, user))[2]).toBe('over');
    expect(await look(pay, `path=${own}-other`)).toEqual([5, 2]);
  });

  test('sluice limits explains, inspects and resets', async () => {
    const { ask, debugPort } = await start(env());
    const limits = async (what: string, ...entries: string[]): Promise<string> =>
      (await run(['limits', what, '--to', `127.0.0.1:${debugPort}`, 'shop', ...entries])).out;
    await ask(`user=${own}-seen`);
    await ask(`tenant=${own}-seen,request=1`);
    expect(await limits('explain', `user=${own}-seen`)).toMatch(
      /shop\.user {2}24 per day, gcra, burst 3 {2}\S+shop\.yaml:5:17\n {2}counter {4}gcra shop user_\S+\n$/,
    );
    expect(await limits('inspect', `user=${own}-seen`)).toMatch(
      / {2}free in {4}3[56]\d\d s\n {2}is at {6}1, 2 left\n$/,
    );
    expect(await limits('inspect', `user=${own}-seen`)).toMatch(
      name === 'memory'
        ? / {2}counter {4}gcra shop user_/
        : / {2}counter {4}sluice:limits:(\{.+\}:?)?g:86400000:shop:=user_/,
    );
    expect(await limits('inspect', `tenant=${own}-seen`, 'request=9')).toMatch(
      /shop\.tenant\.request {2}2 at once, each for 60 s at most {2}[^]* {2}is at {6}1, 1 left\n {2}leases {5}1\n {4}1 {2}1 unit {2}held for \d+ s {2}ends within \d+ s\n$/,
    );
    expect(await limits('reset', `user=${own}-seen`)).toContain('  was at     1, 2 left\nit is reset');
    expect(await ask(`user=${own}-seen`)).toEqual([2]);
  });
});

test('all algorithms count over the connection of windows, also those that a reload adds, under their own key names', async () => {
  const admin = new Redis(redis.url);
  ends.push(() => admin.disconnect());
  const clients = async (): Promise<number> =>
    String(await admin.client('LIST'))
      .trim()
      .split('\n').length;
  const before = await clients();
  const { ask, file } = await start(
    { ...alone(), CACHE_KEY_PREFIX: 'edge:' },
    'domain: shop\ndescriptors:\n  - key: path\n    rate_limit: { unit: day, requests_per_unit: 2 }\n',
  );
  await ask('path=before');
  const without = await clients();
  await writeFile(file, CONFIG);
  await until('the new limits', async () => ((await ask('user=reloaded'))[0] === 2 ? true : undefined));
  expect([without - before, (await clients()) - without]).toEqual([2, 0]);
  expect(await admin.keys('edge:sluice:limits:g:86400000:shop:*')).toEqual([
    'edge:sluice:limits:g:86400000:shop:=user_reloaded_',
  ]);
});

test('limits per second in their own Redis', async () => {
  const other = await startRedis();
  ends.push(() => other.stop());
  const admin = new Redis(other.url);
  ends.push(() => admin.disconnect());
  const { ask } = await start({
    ...alone(),
    REDIS_PERSECOND: 'true',
    REDIS_PERSECOND_SOCKET_TYPE: 'tcp',
    REDIS_PERSECOND_URL: `127.0.0.1:${other.port}`,
  });
  expect(await ask('fast=own', 'user=own')).toEqual([999, 2]);
  expect(await admin.keys('*')).toEqual(['sluice:limits:g:1000:shop:=fast_own_']);
});

describe('an outage of Redis', () => {
  let own: RedisPart;
  let started: Started;
  const begin = async (env: NodeJS.ProcessEnv = {}): Promise<void> => {
    own = await startRedis();
    ends.push(() => own.stop());
    started = await start({ REDIS_URL: `127.0.0.1:${own.port}`, SLUICE_REPLICAS: '4', ...env });
  };

  test('dead: errors at once, or local counts up to a share; it reconnects by itself, and health follows', async () => {
    await begin();
    expect(await started.ask('user=a', 'soft=a')).toEqual([2, 7]);
    await own.kill();
    await until('a failure', async () =>
      started.ask('user=a').then(
        () => undefined,
        () => true,
      ),
    );
    await expect(started.ask('user=a')).rejects.toThrow(/Redis/);
    expect(await until('local answers', async () => started.ask('soft=b').catch(() => undefined))).toEqual([1]);
    expect([await started.ask('soft=b'), await started.ask('soft=b')]).toEqual([[0], ['over']]);
    expect((await fetch(`http://127.0.0.1:${started.httpPort}/healthcheck`)).status).toBe(500);
    const again = await startRedis({ port: own.port });
    ends.push(() => again.stop());
    await until('Redis counts again', async () =>
      (await started.ask('soft=b').catch(() => []))[0] === 7 ? true : undefined,
    );
    await until('it is healthy', async () =>
      (await fetch(`http://127.0.0.1:${started.httpPort}/healthcheck`)).status === 200 ? true : undefined,
    );
  });

  test('hung: the deadline holds, the breaker opens, and answers return when it goes on', async () => {
    await begin();
    await started.ask('user=a');
    own.freeze();
    await expect(started.ask('user=a')).rejects.toThrow(/Redis: no answer for 300 ms/);
    const stats = async (): Promise<string> => (await fetch(`http://127.0.0.1:${started.debugPort}/stats`)).text();
    await until('the breaker is open', async () => {
      await Promise.allSettled(Array.from({ length: 10 }, async () => started.ask('user=a')));
      return (await stats()).includes('ratelimit.algorithms.breaker_open: 1') ? true : undefined;
    });
    own.thaw();
    expect(await until('an answer', async () => started.ask('user=c').catch(() => undefined))).toEqual([2]);
    expect(await stats()).toContain('ratelimit.algorithms.breaker_open: 0');
  });
});
