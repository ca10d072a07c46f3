/** A burst never exceeds a limit: of ten thousand simultaneous calls over a limit of five, five pass in every store. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { burstOfChecks, burstOfLimits, burstOfRequests } from '../parts/burst.ts';
import { startSluiceRatelimit } from '../parts/ratelimits.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { startMesh } from './mesh.ts';
import { serveSluice, type ServedSluice } from './sluice.ts';

const CALLS = 10_000;
const LIMIT = 5;
const PATIENT = { calls: CALLS, timeoutMs: 60_000 };
const FIVE_PASS = { passed: LIMIT, refused: CALLS - LIMIT, failed: {} };
const TAKES_MS = 300_000;

let redis: RedisPart;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});

async function forgetAll(): Promise<void> {
  const client = new Redis(redis.port, { host: '127.0.0.1' });
  await client.flushall();
  client.disconnect();
}

const ALGORITHMS = ['fixed', 'sliding', 'gcra', 'log', 'concurrency'];
const rule = (handler: string, algorithm: string): string => `
  - name: ${handler}-${algorithm}
    match: request.headers["x-user"] == "${handler}-${algorithm}"
    quota:
      handler: ${handler}
      limit: ${LIMIT}
      per: 1h
      algorithm: ${algorithm}
      key: ['request.headers["x-user"]']${
        algorithm === 'concurrency'
          ? `
      once: request.id`
          : ''
      }`;
/** A Redis that has no core for 150 ms is away by default, and the calls that wait pass; on a busy machine it has none for longer. */
const PATIENT_HANDLER = { handler: ', deadline: 60s', config: ', timeoutMs: 60000' };
const policy = ({ handler, config } = PATIENT_HANDLER): string => `
handlers:
  memory: { adapter: quota-memory }
  redis: { adapter: quota-redis${handler}, config: { url: { $env: REDIS_URL }${config} } }
  escrow: { adapter: quota-redis${handler}, config: { url: { $env: REDIS_URL }${config}, prefix: "escrow:", escrow: true } }
rules:
${['memory', 'redis'].flatMap((handler) => ALGORITHMS.map((algorithm) => rule(handler, algorithm))).join('')}
${['fixed', 'sliding', 'gcra'].map((algorithm) => rule('escrow', algorithm)).join('')}
`;
const RULES = [
  ...['memory', 'redis'].flatMap((handler) => ALGORITHMS.map((algorithm) => `${handler}-${algorithm}`)),
  'escrow-fixed',
  'escrow-sliding',
  'escrow-gcra',
];

async function served(args: readonly string[] = [], text = policy()): Promise<ServedSluice> {
  const sluice = await serveSluice(text, { env: { REDIS_URL: redis.url }, args });
  onTestFinished(async () => {
    await sluice.stop();
  });
  await forgetAll();
  return sluice;
}

async function eachPassesFive(sluice: ServedSluice, rules: readonly string[]): Promise<void> {
  for (const user of rules)
    expect([user, await burstOfChecks(sluice.grpcPort, user, PATIENT)]).toEqual([user, FIVE_PASS]);
}

describe('sluice serve', () => {
  test(
    'one process: each algorithm in memory, in Redis and with escrow',
    async () => {
      await eachPassesFive(await served(), RULES);
    },
    TAKES_MS,
  );

  test(
    'two workers',
    async () => {
      await eachPassesFive(await served(['--workers', '2']), [
        'memory-fixed',
        'redis-fixed',
        'redis-gcra',
        'escrow-fixed',
      ]);
    },
    TAKES_MS,
  );

  test(
    'all on one core',
    async () => {
      const sluice = await served();
      if (spawnSync('taskset', ['-V']).status !== 0) return;
      const onto = (cores: string): void => {
        for (const pid of [redis.pid, sluice.child.pid])
          execFileSync('taskset', ['-a', '-c', '-p', cores, String(pid)], { stdio: 'ignore' });
      };
      onto('0');
      onTestFinished(() => {
        execFileSync('taskset', ['-a', '-c', '-p', '0-1023', String(redis.pid)], { stdio: 'ignore' });
      });
      await eachPassesFive(sluice, ['redis-fixed', 'redis-sliding', 'escrow-fixed']);
    },
    TAKES_MS,
  );

  test(
    'with a timeout of 200 ms, or without one: no call passes in excess, and Redis does not count as away',
    async () => {
      const sluice = await served([], policy({ handler: '', config: '' }));
      for (const [user, timeoutMs] of [
        ['redis-fixed', 200],
        ['redis-sliding', undefined],
      ] as const) {
        for (let round = 0; round < 2; round += 1) {
          const { passed } = await burstOfChecks(sluice.grpcPort, user, {
            calls: CALLS,
            ...(timeoutMs === undefined ? {} : { timeoutMs }),
          });
          expect(passed).toBeLessThanOrEqual(round === 0 ? LIMIT : 0);
        }
      }
      const { handlers } = (await (await sluice.admin('/handlers')).json()) as {
        handlers: { name: string; breaker: string }[];
      };
      expect(handlers.find(({ name }) => name === 'redis')?.breaker).toBe('closed');
      const page = await (await sluice.admin('/metrics')).text();
      for (const kind of ['late', 'unavailable', 'breaker'])
        expect(page).toContain(`sluice_handler_failures_total{handler="redis",kind="${kind}"} 0`);
    },
    TAKES_MS,
  );
});

test(
  'through Envoy, by ext_authz and by its rate limit filter',
  async () => {
    const mesh = await startMesh(
      `${policy()}
  - name: per-user
    quota: { handler: redis, limit: ${LIMIT}, per: 1h, key: [ratelimit.descriptor.user] }
`,
      { env: { REDIS_URL: redis.url }, timeout: '60s' },
    );
    onTestFinished(() => mesh.stop());
    await forgetAll();
    expect(await burstOfRequests(mesh.httpPort, '/a', { 'x-user': 'redis-sliding' }, CALLS)).toEqual(FIVE_PASS);
    expect(await burstOfRequests(mesh.httpPort, '/limited', { 'x-user': 'somebody' }, CALLS)).toEqual(FIVE_PASS);
  },
  TAKES_MS,
);

describe('sluice ratelimit', () => {
  const STORES: Readonly<Record<string, () => Record<string, string>>> = {
    memory: () => ({ BACKEND_TYPE: 'memory' }),
    redis: () => ({
      BACKEND_TYPE: 'redis',
      REDIS_SOCKET_TYPE: 'tcp',
      REDIS_URL: `127.0.0.1:${redis.port}`,
      SLUICE_REDIS_DEADLINE: '60s',
    }),
    'redis with escrow': () => ({
      BACKEND_TYPE: 'redis',
      REDIS_SOCKET_TYPE: 'tcp',
      REDIS_URL: `127.0.0.1:${redis.port}`,
      SLUICE_ESCROW: 'true',
      SLUICE_REDIS_DEADLINE: '60s',
    }),
  };
  test.each(Object.entries(STORES))(
    '%s',
    async (_name, env) => {
      const folder = await mkdtemp(join(tmpdir(), 'sluice-burst-'));
      onTestFinished(() => rm(folder, { recursive: true, force: true }));
      await mkdir(join(folder, 'config'));
      const descriptors = [
        { key: 'user', rate_limit: { unit: 'year', requests_per_unit: LIMIT } },
        ...['gcra', 'sliding', 'log'].map((algorithm) => ({
          key: algorithm,
          rate_limit: { requests_per_unit: LIMIT, sluice: { algorithm, per: '1h' } },
        })),
      ];
      await writeFile(join(folder, 'config/edge.yaml'), JSON.stringify({ domain: 'edge', descriptors }));
      await forgetAll();
      const part = await startSluiceRatelimit({
        ...env(),
        RUNTIME_ROOT: folder,
        RUNTIME_SUBDIRECTORY: '',
        RUNTIME_WATCH_ROOT: 'true',
      });
      onTestFinished(async () => {
        await part.stop();
      });
      for (const key of descriptors.map((one) => one.key))
        expect([key, await burstOfLimits(part.grpcPort, { [key]: 'eve' }, PATIENT)]).toEqual([key, FIVE_PASS]);
    },
    TAKES_MS,
  );
});
