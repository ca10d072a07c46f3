/** `sluice ratelimit` as a drop-in for envoyproxy/ratelimit: its environment, its folder, its ports, on a real Redis. */
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { RateLimitResponse_Code as Code } from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { HealthCheckRequestSchema, HealthCheckResponseSchema } from '../../gen/grpc/health/v1/health_pb.ts';
import { dialGrpc, GrpcError } from '../../src/transport/index.ts';
import { freePort } from '../parts/free-port.ts';
import { shopRequest, shouldRateLimit as ask } from '../parts/ratelimit-client.ts';
import { type RateLimitPart, startSluiceRatelimit } from '../parts/ratelimits.ts';
import { type RedisPart, startRedis, startRedisWithClient } from '../parts/redis.ts';
import { run } from './command.ts';
import { until } from './sluice.ts';

const CONFIG = `
domain: shop
descriptors:
  - key: user
    rate_limit: { unit: day, requests_per_unit: 3 }
  - key: fast
    rate_limit: { unit: second, requests_per_unit: 1000 }
`;
const DAY_S = 86_400;

let redis: RedisPart;
let admin: Redis;
let folder: string;
const running: RateLimitPart[] = [];
beforeAll(async () => {
  ({ redis, admin } = await startRedisWithClient());
  folder = await mkdtemp(join(tmpdir(), 'sluice-ratelimit-'));
});
afterEach(async () => {
  for (const part of running.splice(0)) await part.stop();
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, { recursive: true });
});

async function start(env: NodeJS.ProcessEnv = {}, config = CONFIG): Promise<RateLimitPart & { readonly root: string }> {
  const root = join(await mkdtemp(join(folder, 'root-')), 'ratelimit');
  await mkdir(join(root, 'config'), { recursive: true });
  await writeFile(join(root, 'config', 'config.shop.yaml'), config);
  const part = await startSluiceRatelimit({
    RUNTIME_ROOT: join(root, '..'),
    RUNTIME_SUBDIRECTORY: 'ratelimit',
    REDIS_SOCKET_TYPE: 'tcp',
    REDIS_URL: `127.0.0.1:${redis.port}`,
    LOG_LEVEL: 'info',
    SLUICE_REDIS_DEADLINE: '1s',
    ...env,
  });
  running.push(part);
  return { ...part, root };
}

const user = (value: string) => shopRequest('user', value);
const json = async (part: RateLimitPart, body: unknown, method: 'POST' | 'PUT' = 'POST') =>
  fetch(`http://127.0.0.1:${part.httpPort}/json`, {
    method,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

describe('its ports', () => {
  test('gRPC, with the counts of the reference in Redis', async () => {
    await admin.flushall();
    const { grpcPort } = await start({ CACHE_KEY_PREFIX: 'pre:' });
    const codes: (readonly [Code | undefined, number | undefined])[] = [];
    for (let call = 0; call < 4; call++) {
      const {
        statuses: [status],
      } = await ask(grpcPort, user('ann'));
      codes.push([status?.code, status?.limitRemaining]);
    }
    expect(codes).toEqual([
      [Code.OK, 2],
      [Code.OK, 1],
      [Code.OK, 0],
      [Code.OVER_LIMIT, 0],
    ]);
    const nowS = Math.floor(Date.now() / 1000);
    const key = `pre:shop_user_ann_${nowS - (nowS % DAY_S)}`;
    expect(await admin.get(key)).toBe('4');
    const ttlS = await admin.ttl(key);
    expect(ttlS).toBeGreaterThanOrEqual(DAY_S - 5);
    expect(ttlS).toBeLessThanOrEqual(DAY_S + 300);
  });

  test('/json, with its status codes', async () => {
    const part = await start();
    const first = await json(part, user('json'));
    expect([first.status, first.headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(await first.json()).toMatchObject({
      overallCode: 'OK',
      statuses: [{ code: 'OK', currentLimit: { requestsPerUnit: 3, unit: 'DAY' }, limitRemaining: 2 }],
    });
    expect((await json(part, { ...user('json'), hitsAddend: 5 }, 'PUT')).status).toBe(429);
    for (const bad of [
      '',
      '{',
      '{"nope": 1}',
      JSON.stringify({ domain: 'shop', descriptors: [] }),
      JSON.stringify({ domain: 'shop', descriptors: [{ entries: [], limit: { requestsPerUnit: 1 } }] }),
    ]) {
      const answer = await json(part, bad);
      expect([answer.status, await answer.text()], bad).toEqual([400, 'Bad Request\n']);
    }
    expect((await json(part, user('json-still-there'))).status).toBe(200); // an unknown unit stops nothing
  });

  test('/healthcheck and gRPC health follow Redis, and the service "" does not', async () => {
    const own = await startRedis();
    const part = await start({ REDIS_URL: `127.0.0.1:${own.port}` });
    const healthy = async (): Promise<number> => (await fetch(`http://127.0.0.1:${part.httpPort}/healthcheck`)).status;
    const serving = async (service: string): Promise<number> => {
      const client = dialGrpc(`127.0.0.1:${part.grpcPort}`);
      const { status } = fromBinary(
        HealthCheckResponseSchema,
        await client.unary(
          '/grpc.health.v1.Health/Check',
          toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service })),
        ),
      );
      client.close();
      return status;
    };
    expect([await healthy(), await serving('ratelimit'), await serving('')]).toEqual([200, 1, 1]);
    await own.stop();
    await until('it is unhealthy', async () => ((await healthy()) === 500 ? true : undefined));
    expect([await serving('ratelimit'), await serving('')]).toEqual([2, 1]);
    await expect(ask(part.grpcPort, user('gone'))).rejects.toThrow(/Redis: /);
  });

  test('a unix socket in place of the gRPC port', async () => {
    const path = join(folder, 'grpc.sock');
    await start({ GRPC_UDS: path });
    expect((await ask(`unix:${path}`, user('uds'))).overallCode).toBe(Code.OK);
  });

  test('a page for Prometheus, /rlconfig and /stats', async () => {
    const part = await start();
    await ask(part.grpcPort, user('metrics'));
    const page = await (await fetch(`http://127.0.0.1:${part.prometheusPort}/metrics`)).text();
    expect(page).toContain('ratelimit_service_rate_limit_total_hits{domain="shop",key1="user"} 1');
    expect(page).toContain('ratelimit_service_response_time_seconds_count{grpc_method="ShouldRateLimit"} 1');
    const debug = async (path: string): Promise<string> =>
      (await fetch(`http://127.0.0.1:${part.debugPort}${path}`)).text();
    expect(await debug('/rlconfig')).toContain(
      'shop.user: unit=DAY requests_per_unit=3, shadow_mode: false, quota_mode: false\n',
    );
    expect(await debug('/stats')).toContain('ratelimit.service.rate_limit.shop.user.within_limit: 1\n');
  });
});

describe('its files', () => {
  test.each(['1', '2'])(
    'a changed file takes effect soon; an invalid one is rejected, counted, and changes nothing: %s workers',
    async (workers) => {
      const part = await start({ RUNTIME_WATCH_ROOT: 'false', SLUICE_WORKERS: workers });
      const file = join(part.root, 'config', 'config.shop.yaml');
      await writeFile(file, CONFIG.replace('requests_per_unit: 3', 'requests_per_unit: 7'));
      await until('the new limit', async () =>
        (await ask(part.grpcPort, user('reload'))).statuses[0]?.currentLimit?.requestsPerUnit === 7 ? true : undefined,
      );
      await writeFile(
        file,
        'domain: shop\ndescriptors:\n  - key: user\n    rate_limit: { unit: eon, requests_per_unit: 3 }\n',
      );
      await until('it says what is wrong', () =>
        part.printed().includes("config.shop.yaml:4:25 RATELIMIT_UNIT invalid rate limit unit 'eon'")
          ? true
          : undefined,
      );
      expect((await ask(part.grpcPort, user('reload'))).statuses[0]?.currentLimit?.requestsPerUnit).toBe(7);
      expect(part.printed().split('RATELIMIT_UNIT')).toHaveLength(2);
      const page = await (await fetch(`http://127.0.0.1:${part.prometheusPort}/metrics`)).text();
      expect(page).toMatch(/^ratelimit_service_config_load_success 2$/m);
      expect(page).toMatch(/^ratelimit_service_config_load_error 1$/m);
    },
  );

  test('RUNTIME_ROOT as a link that is swapped', async () => {
    const base = await mkdtemp(join(folder, 'swap-'));
    for (const [version, limit] of [
      ['v1', 3],
      ['v2', 5],
    ] as const) {
      await mkdir(join(base, version, 'config'), { recursive: true });
      await writeFile(
        join(base, version, 'config', 'a.yaml'),
        CONFIG.replace('requests_per_unit: 3', `requests_per_unit: ${limit}`),
      );
    }
    const current = join(base, 'current');
    await symlink(join(base, 'v1'), current);
    const part = await start({ RUNTIME_ROOT: current, RUNTIME_SUBDIRECTORY: '' });
    const limit = async (): Promise<number | undefined> =>
      (await ask(part.grpcPort, user('swap'))).statuses[0]?.currentLimit?.requestsPerUnit;
    expect(await limit()).toBe(3);
    await rm(current);
    await symlink(join(base, 'v2'), current);
    await until('the new limit', async () => ((await limit()) === 5 ? true : undefined));
  });

  test('with invalid files at the start it serves, tells callers, and loads valid ones later', async () => {
    const part = await start({}, 'domain: ""');
    await expect(ask(part.grpcPort, user('bad'))).rejects.toThrow(
      new GrpcError(2, 'no rate limit configuration loaded'),
    );
    await writeFile(join(part.root, 'config', 'config.shop.yaml'), CONFIG);
    await until('the good file', async () => ask(part.grpcPort, user('bad')).catch(() => undefined));
  });
});

describe('its settings', () => {
  test('all invalid settings are named at once, and it does not start', async () => {
    await expect(start({ REDIS_TYPE: 'RING', NEAR_LIMIT_RATIO: 'much' })).rejects.toThrow(
      /CLI_SETTING .*NEAR_LIMIT_RATIO is "much"; expected a number such as 0.8[^]*REDIS_TYPE is "RING"; expected one of SINGLE, SENTINEL, CLUSTER/,
    );
  });

  test.each([
    [
      { REDIS_URL: 'nowhere' },
      /CLI_SETTING REDIS_URL holds "nowhere", which is no address of Redis; HOST:PORT is expected/,
    ],
    [{ REDIS_TLS: 'true', REDIS_TLS_CACERT: '/not/there.pem' }, /CLI_SETTING REDIS_\.\.\.: .*\/not\/there\.pem/],
    [{ PROMETHEUS_ADDR: '9090' }, /CLI_SETTING PROMETHEUS_ADDR is "9090"; expected HOST:PORT or :PORT/],
    [{ PROMETHEUS_MAPPER_YAML: '/not/there.yaml' }, /CLI_SETTING PROMETHEUS_MAPPER_YAML: \/not\/there\.yaml: /],
  ])('%j: invalid targets of settings are named as well', async (env, says) => {
    await expect(start(env)).rejects.toThrow(says);
  });

  test('invalid mogrifiers are named as well', async () => {
    await expect(
      start({ USE_DOG_STATSD: 'true', USE_DOG_STATSD_MOGRIFIERS: 'N', DOG_STATSD_MOGRIFIER_N_PATTERN: '(' }),
    ).rejects.toThrow(/CLI_SETTING DOG_STATSD_MOGRIFIER_N_PATTERN is "\("; [^]*DOG_STATSD_MOGRIFIER_N_NAME is not set/);
  });

  test('--workers is the same as SLUICE_WORKERS', async () => {
    const { code, err } = await run(['ratelimit', '--workers', 'all'], { env: { SLUICE_WORKERS: '2' } });
    expect([code, err]).toEqual([
      2,
      expect.stringContaining('CLI_SETTING SLUICE_WORKERS is "all"; expected a whole number'),
    ]);
  });

  test('settings without effect are logged', async () => {
    const part = await start({ REDIS_POOL_SIZE: '50' });
    expect(part.printed()).toContain(
      'REDIS_POOL_SIZE has no effect: no pool is used; one connection carries all commands, pipelined',
    );
  });

  test.each(['1', '2'])('gRPC over TLS, with a certificate renewed while it serves: %s workers', async (workers) => {
    const certificate = async (): Promise<void> => {
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-keyout',
          'grpc.key',
          '-out',
          'grpc.pem',
          '-days',
          '2',
          '-subj',
          '/CN=localhost',
          '-addext',
          'subjectAltName=DNS:localhost',
        ],
        { cwd: folder, stdio: 'pipe' },
      );
    };
    await certificate();
    const part = await start({
      SLUICE_WORKERS: workers,
      GRPC_SERVER_USE_TLS: 'true',
      GRPC_SERVER_TLS_CERT: join(folder, 'grpc.pem'),
      GRPC_SERVER_TLS_KEY: join(folder, 'grpc.key'),
    });
    const asked = async (): Promise<Code> => {
      const tls = { ca: await readFile(join(folder, 'grpc.pem')) };
      return (await ask(`localhost:${part.grpcPort}`, shopRequest('fast', 'tls'), { tls })).overallCode;
    };
    expect(await asked()).toBe(Code.OK);
    await certificate();
    await until('it is renewed', () => (part.printed().includes('the certificate was renewed') ? true : undefined));
    for (let call = 0; call < 8; call++) expect(await asked()).toBe(Code.OK);
  });

  test('windows of a second in their own Redis', async () => {
    await admin.flushall();
    const own = await startRedis();
    const { grpcPort } = await start({
      REDIS_PERSECOND: 'true',
      REDIS_PERSECOND_SOCKET_TYPE: 'tcp',
      REDIS_PERSECOND_URL: `127.0.0.1:${own.port}`,
    });
    const response = await ask(grpcPort, {
      domain: 'shop',
      descriptors: [...user('ann').descriptors, ...shopRequest('fast', 'x').descriptors],
    });
    expect(response.statuses.map(({ currentLimit }) => currentLimit?.unit)).toEqual([4, 1]);
    const other = new Redis(own.url);
    const keys = [await admin.keys('*'), await other.keys('*')].map((found) =>
      found.map((key) => key.replace(/\d+$/, 'N')),
    );
    expect(keys).toEqual([['shop_user_ann_N'], ['shop_fast_x_N']]);
    other.disconnect();
    await own.stop();
  });

  test('in memory, without Redis', async () => {
    const { grpcPort } = await start({ BACKEND_TYPE: 'memory', REDIS_URL: '127.0.0.1:1' });
    const left: number[] = [];
    for (let call = 0; call < 3; call++)
      left.push((await ask(grpcPort, user('memory'))).statuses[0]?.limitRemaining ?? -1);
    expect(left).toEqual([2, 1, 0]);
  });

  test('all or none with SLUICE_SAFE', async () => {
    await admin.flushall();
    const { grpcPort } = await start({ SLUICE_SAFE: 'true' });
    await ask(grpcPort, { ...user('ann'), hitsAddend: 3 });
    const both = { domain: 'shop', descriptors: [...user('ann').descriptors, ...user('bob').descriptors] };
    expect((await ask(grpcPort, both)).statuses.map(({ code, limitRemaining }) => [code, limitRemaining])).toEqual([
      [Code.OVER_LIMIT, 0],
      [Code.OK, 2],
    ]);
    expect((await ask(grpcPort, user('bob'))).statuses[0]?.limitRemaining).toBe(2);
  });

  test('Redis with a user and a password', async () => {
    const own = await startRedis();
    const setup = new Redis(own.url);
    await setup.call('ACL', 'SETUSER', 'app', 'on', '>word', '~*', '+@all');
    await setup.config('SET', 'requirepass', 'secret');
    setup.disconnect();
    for (const auth of ['secret', 'app:word']) {
      const { grpcPort } = await start({ REDIS_URL: `127.0.0.1:${own.port}`, REDIS_AUTH: auth });
      expect((await ask(grpcPort, user('auth'))).overallCode).toBe(Code.OK);
    }
    await own.stop();
  });
});

describe('sluice limits', () => {
  test.each([
    ['each hit counted', {}],
    ['escrow', { SLUICE_ESCROW: 'true' }],
  ])('explains, inspects and resets: %s', async (_mode, settings) => {
    await admin.flushall();
    const part = await start(settings);
    const limits = async (...args: string[]): Promise<{ code: number | null; out: string; err: string }> => {
      const [what = '', ...rest] = args;
      return run(['limits', what, '--to', `127.0.0.1:${part.debugPort}`, ...rest]);
    };
    await ask(part.grpcPort, { ...user('ann'), hitsAddend: 2 });
    const nowS = Math.floor(Date.now() / 1000);
    const key = `shop_user_ann_${nowS - (nowS % DAY_S)}`;

    const explained = await limits('explain', 'shop', 'user=ann');
    expect(explained.code).toBe(0);
    expect(explained.out).toMatch(
      new RegExp(
        `user_ann: matches "user", after "user_ann", which has a limit\\nshop\\.user  3 per day  \\S+config\\.shop\\.yaml:5:17\\n  counter    ${key}\\n  ends in    \\d+ s\\n$`,
      ),
    );
    expect((await limits('inspect', 'shop', 'user=ann')).out).toContain('  is at      2, 1 left');
    expect(JSON.parse((await limits('inspect', '--json', 'shop', 'user=ann')).out)).toMatchObject({
      count: 2,
      remaining: 1,
      heldHere: 0,
      limit: { rule: 'shop.user', unit: 'DAY' },
    });
    expect((await limits('reset', 'shop', 'user=ann')).out).toContain('  was at     2, 1 left\nit is reset');
    expect(await admin.get(key)).toBeNull();
    expect((await ask(part.grpcPort, user('ann'))).statuses[0]?.limitRemaining).toBe(2);

    const none = await limits('explain', 'shop', 'user=ann', 'path=/a');
    expect([none.code, none.out]).toEqual([
      1,
      '  user_ann: matches "user", after "user_ann", which has nothing below; the request has one entry too many\nno limit: it passes\n',
    ]);
    expect((await limits('explain', 'other', 'user=ann')).out).toContain(
      'no file has the domain other; loaded are shop',
    );
    expect((await limits('inspect', 'shop', 'user')).err).toContain('"user" is not an entry; expected KEY=VALUE');
  });

  test('reports an unreachable server', async () => {
    const to = `127.0.0.1:${await freePort()}`;
    const { code, err } = await run(['limits', 'inspect', '--to', to, 'shop', 'user=ann']);
    expect([code, err]).toEqual([
      3,
      expect.stringContaining(`CLI_UNREACHABLE http://${to} does not answer: connect ECONNREFUSED`),
    ]);
  });
});

/** A DogStatsD agent, and the environment of a server that sends to it. */
async function dogStatsD() {
  const agent = createSocket('udp4');
  let received = '';
  agent.on('message', (packet) => {
    received += `${packet.toString()}\n`;
  });
  await new Promise<void>((resolve) => {
    agent.bind(0, '127.0.0.1', resolve);
  });
  return {
    env: {
      USE_PROMETHEUS: 'false',
      USE_DOG_STATSD: 'true',
      STATSD_HOST: '127.0.0.1',
      STATSD_PORT: String(agent.address().port),
      STATS_FLUSH_INTERVAL: '100ms',
      EXTRA_TAGS: 'zone:a',
    },
    received: () => received,
    [Symbol.asyncDispose]: async (): Promise<void> => void agent.close(),
  };
}

describe('its counters', () => {
  test('to statsd, over TCP', async () => {
    const port = await freePort();
    let told = '';
    const statsd = createServer((socket) =>
      socket.on('data', (data) => {
        told += data.toString();
      }),
    ).listen(port, '127.0.0.1');
    const part = await start({
      USE_PROMETHEUS: 'false',
      USE_STATSD: 'true',
      STATSD_HOST: '127.0.0.1',
      STATSD_PORT: String(port),
      STATS_FLUSH_INTERVAL: '100ms',
      EXTRA_TAGS: 'zone:a',
    });
    for (let call = 0; call < 3; call++) await ask(part.grpcPort, user('statsd'));
    await until('three hits', () => {
      const hits = [
        ...told.matchAll(/^ratelimit\.service\.rate_limit\.shop\.user\.total_hits\.__zone=a:(\d+)\|c$/gm),
      ].reduce((sum, [, more]) => sum + Number(more), 0);
      return hits === 3 ? true : undefined;
    });
    expect(told).toMatch(/^ratelimit_server\.ShouldRateLimit\.response_time\.__zone=a:[\d.]+\|ms(\|@[\d.]+)?$/m);
    await part.stop();
    statsd.close();
  });

  test('to DogStatsD, over UDP', async () => {
    await using dog = await dogStatsD();
    const part = await start({
      ...dog.env,
    });
    await ask(part.grpcPort, user('dog'));
    await until('a hit', () =>
      /^ratelimit\.service\.rate_limit\.shop\.user\.total_hits:1\|c\|#zone:a$/m.test(dog.received()) ? true : undefined,
    );
  });

  test('to DogStatsD, with rewritten names and tags from them', async () => {
    await using dog = await dogStatsD();
    const part = await start({
      ...dog.env,
      USE_DOG_STATSD_MOGRIFIERS: 'HITS,TIMES',
      DOG_STATSD_MOGRIFIER_HITS_PATTERN: '^ratelimit\\.service\\.rate_limit\\.([^.]+)\\.(.*)\\.([^.]+)$',
      DOG_STATSD_MOGRIFIER_HITS_NAME: 'limits.$3',
      DOG_STATSD_MOGRIFIER_HITS_TAGS: 'domain:$1,descriptor:$2',
      DOG_STATSD_MOGRIFIER_TIMES_PATTERN: '\\.response_time$',
      DOG_STATSD_MOGRIFIER_TIMES_NAME: 'limits.took',
    });
    await ask(part.grpcPort, user('dog'));
    await until('a hit', () =>
      /^limits\.total_hits:1\|c\|#zone:a,domain:shop,descriptor:user$/m.test(dog.received()) ? true : undefined,
    );
    await until('how long it took', () =>
      /^limits\.took:[\d.]+\|ms\|#zone:a$/m.test(dog.received()) ? true : undefined,
    );
    await until('what no pattern fits', () =>
      /^ratelimit_server\.ShouldRateLimit\.total_requests:1\|c\|#zone:a$/m.test(dog.received()) ? true : undefined,
    );
    await until('gauges', () =>
      /^ratelimit\.redis_pool\.cx_active:1\|g\|#zone:a$/m.test(dog.received()) ? true : undefined,
    );
  });
});
