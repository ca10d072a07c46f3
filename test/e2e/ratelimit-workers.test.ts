/** Several workers of `sluice ratelimit` behave as one: exact counts, summed pages, common configs and resets, restarts. */
import { createSocket } from 'node:dgram';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { SILENT } from '../../src/log/log.ts';
import { RateLimitResponse_Code as Code } from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import type { Inspection } from '../../src/ratelimit/inspect/inspector.ts';
import type { RatelimitServer } from '../../src/ratelimit/serve/server.ts';
import { startRatelimitServer } from '../../src/serve/ratelimit/server.ts';
import { readSettings } from '../../src/ratelimit/settings/settings.ts';
import { limitRequestBytes, rateLimitClient, shopRequest, SHOULD_RATE_LIMIT } from '../parts/ratelimit-client.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { until } from './sluice.ts';

const CONFIG = `
domain: shop
descriptors:
  - key: user
    rate_limit: { unit: day, requests_per_unit: 100 }
  - key: many
    rate_limit: { unit: day, requests_per_unit: 1000000 }
  - key: local
    rate_limit: { unit: day, requests_per_unit: 90, sluice: { outage: local } }
`;

const ALGORITHMS = `${CONFIG}  - key: log
    rate_limit: { requests_per_unit: 30, sluice: { algorithm: log, per: 1d } }
  - key: burst
    rate_limit: { requests_per_unit: 1, sluice: { algorithm: gcra, per: 1d, burst: 40 } }
`;

let redis: RedisPart;
let folder: string;
let file: string;
let threads: Worker[];
const servers: RatelimitServer[] = [];
const onWorker = (worker: Worker): void => {
  threads.push(worker);
};

beforeAll(async () => {
  redis = await startRedis();
  process.on('worker', onWorker);
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.drain();
  await rm(folder, { recursive: true });
});
afterAll(async () => {
  process.off('worker', onWorker);
  await redis.stop();
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<RatelimitServer> {
  threads = [];
  folder = await mkdtemp(join(tmpdir(), 'sluice-ratelimit-'));
  await mkdir(join(folder, 'config'));
  file = join(folder, 'config/shop.yaml');
  await writeFile(file, CONFIG);
  const { settings, problems } = readSettings({
    SLUICE_WORKERS: '3',
    RUNTIME_ROOT: folder,
    REDIS_SOCKET_TYPE: 'tcp',
    REDIS_URL: `127.0.0.1:${redis.port}`,
    CACHE_KEY_PREFIX: folder,
    SLUICE_REDIS_DEADLINE: '2s',
    HOST: '127.0.0.1',
    PORT: '0',
    DEBUG_HOST: '127.0.0.1',
    DEBUG_PORT: '0',
    GRPC_HOST: '127.0.0.1',
    GRPC_PORT: '0',
    USE_PROMETHEUS: 'true',
    PROMETHEUS_ADDR: '127.0.0.1:0',
    ...env,
  });
  expect(problems).toEqual([]);
  const server = await startRatelimitServer({ settings, log: SILENT });
  servers.push(server);
  await until('it is healthy', async () =>
    (await fetch(`http://127.0.0.1:${server.httpPort}/healthcheck`)).status === 200 ? true : undefined,
  );
  return server;
}

/** The number of calls that pass, each over its own connection. */
async function passing(
  server: RatelimitServer,
  key: string,
  value: string,
  calls: number,
  connections = 12,
): Promise<number> {
  const request = shopRequest(key, value);
  const passed = await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = rateLimitClient(server.grpcPort);
      const mine = Array.from({ length: calls / connections }, async () => client.ask(request));
      const codes = (await Promise.all(mine)).map(({ overallCode }) => overallCode);
      client.close();
      return codes.filter((code) => code === Code.OK).length;
    }),
  );
  return passed.reduce((sum, one) => sum + one, 0);
}

const page = async (port: number | undefined, path: string): Promise<string> =>
  (await fetch(`http://127.0.0.1:${port}${path}`)).text();
const valueOf = (text: string, series: string): number =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `) || line.startsWith(`${series}: `))
      ?.split(' ')
      .at(-1),
  );
const metrics = async (server: RatelimitServer): Promise<string> => page(server.prometheusPort, '/metrics');

const HITS = 'ratelimit_service_rate_limit_total_hits{domain="shop",key1="user"}';
const ANSWERED = 'ratelimit_service_total_requests{grpc_method="ShouldRateLimit"}';

test.each([
  ['each hit counted', {}],
  ['in memory', { BACKEND_TYPE: 'memory' }],
])('exactly the limit passes over many connections, and the pages are sums: %s', async (mode, env) => {
  const server = await start(env);
  expect(await passing(server, 'user', 'ann', 600)).toBe(100);
  expect(await passing(server, 'user', 'ben', 60)).toBe(60);
  const text = await metrics(server);
  expect([valueOf(text, HITS), valueOf(text, ANSWERED)]).toEqual([660, 660]);
  expect(valueOf(text, 'ratelimit_service_rate_limit_over_limit{domain="shop",key1="user"}')).toBe(500);
  expect(valueOf(text, 'ratelimit_service_response_time_seconds_count{grpc_method="ShouldRateLimit"}')).toBe(660);
  expect(valueOf(text, 'ratelimit_service_response_time_seconds_bucket{grpc_method="ShouldRateLimit",le="+Inf"}')).toBe(
    660,
  );
  expect([valueOf(text, 'ratelimit_service_config_load_success'), valueOf(text, 'ratelimit_workers_serving')]).toEqual([
    1, 3,
  ]);
  expect(valueOf(await page(server.debugPort, '/stats'), 'ratelimit.service.rate_limit.shop.user.total_hits')).toBe(
    660,
  );
  if (mode === 'in memory') expect(valueOf(text, 'ratelimit_memory_keys')).toBe(2);
  else expect(valueOf(text, 'ratelimit_redis_pool_cx_active')).toBe(3);
});

test('escrow in each worker admits never more than the limit, and finally all of it', async () => {
  const server = await start({ SLUICE_ESCROW: 'true' });
  let passed = await passing(server, 'user', 'ann', 600);
  expect(passed).toBeLessThanOrEqual(100);
  // The rest of a worker's lease is returned, and admitted by any worker.
  await until('all of it is admitted', async () => {
    passed += await passing(server, 'user', 'ann', 12);
    return passed >= 100 ? true : undefined;
  });
  expect([passed, await passing(server, 'user', 'ann', 120)]).toEqual([100, 0]);
});

test('configs reach all workers soon; invalid ones change nothing, and are counted once', async () => {
  const server = await start();
  await writeFile(file, CONFIG.replace('requests_per_unit: 100 ', 'requests_per_unit: 30 '));
  expect(await server.reload()).toBe(true);
  expect(await passing(server, 'user', 'ann', 120)).toBe(30);
  expect(await page(server.debugPort, '/rlconfig')).toContain('shop.user: unit=DAY requests_per_unit=30');
  await writeFile(file, CONFIG.replace('unit: day', 'unit: eon'));
  expect(await server.reload()).toBe(false);
  expect(await passing(server, 'user', 'ben', 120)).toBe(30);
  const text = await metrics(server);
  expect(valueOf(text, 'ratelimit_service_config_load_success')).toBe(2);
  // On a busy machine the watcher tries the invalid file as well; three workers that each counted would make three.
  expect([1, 2]).toContain(valueOf(text, 'ratelimit_service_config_load_error'));
});

test('a dead worker is restarted with the config in force; the others serve, and no counter falls', async () => {
  const server = await start();
  await writeFile(file, CONFIG.replace('requests_per_unit: 100 ', 'requests_per_unit: 200 '));
  await server.reload();
  await passing(server, 'user', 'ann', 120);
  const before = await metrics(server);
  await threads[1]?.terminate();
  const later = await until('it is started again', async () => {
    const text = await metrics(server);
    expect(valueOf(text, HITS)).toBeGreaterThanOrEqual(valueOf(before, HITS));
    expect(valueOf(text, 'ratelimit_redis_pool_cx_total')).toBeGreaterThanOrEqual(3);
    expect((await fetch(`http://127.0.0.1:${server.httpPort}/healthcheck`)).status).toBe(200);
    expect(await passing(server, 'many', 'ann', 12)).toBe(12);
    return threads.length === 4 && valueOf(text, 'ratelimit_workers_serving') === 3 ? text : undefined;
  });
  expect([valueOf(later, HITS), valueOf(later, 'ratelimit_workers_restarts')]).toEqual([120, 1]);
  expect(await passing(server, 'user', 'ben', 600, 24)).toBe(200);
  expect(valueOf(await metrics(server), HITS)).toBe(720);
});

test('counters in memory outlive a worker', async () => {
  const server = await start({ BACKEND_TYPE: 'memory' });
  expect(await passing(server, 'user', 'ann', 60)).toBe(60);
  await threads[0]?.terminate();
  await until('it is started again', () => (threads.length === 4 ? true : undefined));
  expect(await passing(server, 'user', 'ann', 120)).toBe(40);
});

test.each([
  ['in Redis', {}],
  ['in memory', { BACKEND_TYPE: 'memory' }],
])('limits of other algorithms come with a reload, and are shared by all workers: %s', async (_mode, env) => {
  const server = await start(env);
  await writeFile(file, ALGORITHMS);
  expect(await server.reload()).toBe(true);
  await until('it is healthy', async () =>
    (await fetch(`http://127.0.0.1:${server.httpPort}/healthcheck`)).status === 200 ? true : undefined,
  );
  expect([await passing(server, 'log', 'ann', 120), await passing(server, 'burst', 'ann', 120)]).toEqual([30, 40]);
  const inspected = async (key: string): Promise<Inspection> =>
    (
      await fetch(`http://127.0.0.1:${server.debugPort}/limits/inspect?domain=shop&key=${key}&value=ann`)
    ).json() as Promise<Inspection>;
  expect([await inspected('log'), await inspected('burst')]).toMatchObject([
    { count: 30, remaining: 0 },
    { count: 40, remaining: 0 },
  ]);
  await threads[0]?.terminate();
  await until('it is started again', () => (threads.length === 4 ? true : undefined));
  await fetch(`http://127.0.0.1:${server.debugPort}/limits/reset?domain=shop&key=log&value=ann`, { method: 'POST' });
  expect([await passing(server, 'log', 'ann', 120), await passing(server, 'burst', 'ann', 12)]).toEqual([30, 0]);
});

test('a limit that is counted locally without Redis is one limit for all workers', async () => {
  const own = await startRedis();
  const server = await start({ REDIS_URL: `127.0.0.1:${own.port}`, SLUICE_REPLICAS: '3' });
  await own.stop();
  await until('it is unhealthy', async () =>
    (await fetch(`http://127.0.0.1:${server.httpPort}/healthcheck`)).status === 500 ? true : undefined,
  );
  expect(await passing(server, 'local', 'ann', 240)).toBe(30);
});

test.each([
  ['each hit counted', {}],
  ['escrow', { SLUICE_ESCROW: 'true' }],
])('counts and leases of all workers are shown as one, and a reset clears all: %s', async (_mode, env) => {
  const server = await start({ LOCAL_CACHE_SIZE_IN_BYTES: '100000', ...env });
  const about = async (what: string, key: string, method = 'GET'): Promise<Inspection> =>
    (
      await fetch(`http://127.0.0.1:${server.debugPort}/limits/${what}?domain=shop&key=${key}&value=ann`, { method })
    ).json() as Promise<Inspection>;
  expect(await passing(server, 'many', 'ann', 1200)).toBe(1200);
  // Workers read the counter one after the other: a sum may miss or double a lease until idle leases are returned.
  await until('nothing is held', async () => ((await about('inspect', 'many')).heldHere === 0 ? true : undefined));
  expect(await about('inspect', 'many')).toMatchObject({ count: 1200, remaining: 998_800 });
  expect(await about('reset', 'many', 'POST')).toMatchObject({ count: 1200 });
  expect(await about('inspect', 'many')).toMatchObject({ count: 0, heldHere: 0, remaining: 1_000_000 });
  for (let round = 0; round < 3; round++) {
    expect(await passing(server, 'user', 'ann', 360)).toBeLessThanOrEqual(100);
    await about('reset', 'user', 'POST');
    expect(await passing(server, 'user', 'ann', 24)).toBe(24); // no worker has a cached denial
    await about('reset', 'user', 'POST');
  }
  expect((await about('explain', 'user')).limit?.requestsPerUnit).toBe(100);
});

test('a draining server is unhealthy, and answers calls in flight', async () => {
  const server = await start();
  const session = connect(`http://127.0.0.1:${server.grpcPort}`);
  const call = session.request({
    ':method': 'POST',
    ':path': SHOULD_RATE_LIMIT,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const trailers = Promise.withResolvers<Record<string, unknown>>();
  call.on('trailers', trailers.resolve).on('error', trailers.reject);
  call.on('close', () => trailers.reject(new Error('the call was reset before its trailers')));
  call.resume();
  // Twice: a PING overtakes the HEADERS that wait with it, so only the second shows that the server has read them.
  for (let pings = 0; pings < 2; pings++)
    await new Promise((resolve) => {
      session.ping(resolve);
    });
  const draining = server.drain();
  await until('it is unhealthy', async () =>
    (await fetch(`http://127.0.0.1:${server.httpPort}/healthcheck`)).status === 500 ? true : undefined,
  );
  const request = limitRequestBytes(shopRequest('user', 'ann'));
  call.end(Buffer.concat([Buffer.from([0, 0, 0, 0, request.length]), request]));
  expect((await trailers.promise)['grpc-status']).toBe('0');
  session.close();
  await draining;
});

test('one worker sends to DogStatsD: each hit once, and gauges of all', async () => {
  const dog = createSocket('udp4');
  const lines: string[] = [];
  dog.on('message', (packet) => {
    lines.push(...packet.toString().split('\n'));
  });
  await new Promise<void>((resolve) => {
    dog.bind(0, '127.0.0.1', resolve);
  });
  const server = await start({
    USE_PROMETHEUS: 'false',
    USE_DOG_STATSD: 'true',
    STATSD_HOST: '127.0.0.1',
    STATSD_PORT: String(dog.address().port),
    STATS_FLUSH_INTERVAL: '100ms',
  });
  expect(await passing(server, 'many', 'ann', 120)).toBe(120);
  await until('gauges are told', () => (lines.includes('ratelimit.redis_pool.cx_active:3|g') ? true : undefined));
  await server.drain(); // the last counts are sent at the end
  const sumOf = (name: string): number =>
    lines
      .filter((line) => line.startsWith(`${name}:`))
      .reduce((sum, line) => sum + Number(/:(\d+)\|c/.exec(line)?.[1]), 0);
  await until('all hits are told', () =>
    sumOf('ratelimit.service.rate_limit.shop.many.total_hits') === 120 ? true : undefined,
  );
  await until('all requests are told', () =>
    sumOf('ratelimit_server.ShouldRateLimit.total_requests') === 120 ? true : undefined,
  );
  dog.close();
});

test('/json is answered and counted', async () => {
  const server = await start();
  const json = async (): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.httpPort}/json`, {
      method: 'POST',
      body: JSON.stringify({
        domain: 'shop',
        descriptors: [{ entries: [{ key: 'user', value: 'ann' }], hitsAddend: '34' }],
      }),
    });
  expect([(await json()).status, (await json()).status, (await json()).status]).toEqual([200, 200, 429]);
  expect(valueOf(await metrics(server), HITS)).toBe(102);
});
