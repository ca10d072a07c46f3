/**
 * Escrow under faults in the midst of a burst: whatever ends, and whatever is charged again, no counter admits more than its limit.
 * FAULTS=all for those that take longer.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BurstResult, burstOfChecks } from '../parts/burst.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { serveSluice, type ServedSluice, until } from './sluice.ts';

const LIMIT = 400;
const PATIENT = { calls: 1200, timeoutMs: 60_000 };
const ALGORITHMS = ['fixed', 'sliding', 'gcra'] as const;
/** `gcra` refills 400 an hour; no test takes longer than a few seconds. */
const SLACK = { fixed: 0, sliding: 0, gcra: 5 };

/** Ends the thread of its worker. */
const ENDS = `
import { allow, defineAdapter } from 'sluice/plugin';
import { z } from 'zod';
export default defineAdapter({
  name: 'check-ends',
  summary: 'Ends the thread that asks it.',
  config: z.strictObject({}),
  serves: { check: { input: {} } },
  open: async () => ({ check: () => () => (process.reallyExit(), allow()) }),
});`;
const POLICY = `
plugins: [./ends.ts]
handlers:
  ends: { adapter: check-ends }
  redis: { adapter: quota-redis, deadline: 5s, config: { url: { $env: REDIS_URL }, escrow: true, timeoutMs: 1000 } }
rules:
  - { name: ends, match: 'request.headers["x-user"] == "ends"', check: { handler: ends, input: {} } }
${ALGORITHMS.map(
  (algorithm) => `
  - name: ${algorithm}
    match: request.headers["x-user"].startsWith("${algorithm}")
    quota: { handler: redis, algorithm: ${algorithm}, limit: ${LIMIT}, per: 1h, key: ['request.headers["x-user"]'] }
    onError: { handler: deny }
`,
).join('')}`;

let redis: RedisPart;
let folder: string;
let admin: Redis;
let sluice: ServedSluice;
const serve = (): Promise<ServedSluice> =>
  serveSluice(POLICY, { env: { REDIS_URL: redis.url }, files: { 'ends.ts': ENDS }, args: ['--workers', '2'] });
/** What it has answered outlives it. */
const startDurable = (port?: number): Promise<RedisPart> =>
  startRedis({
    ...(port === undefined ? {} : { port }),
    args: ['--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always'],
  });
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-escrow-'));
  redis = await startDurable();
  admin = new Redis(redis.url);
  admin.on('error', () => undefined); // while it is away
  sluice = await serve();
});
afterAll(async () => {
  await sluice.stop();
  admin.disconnect();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

const burstsOf = (what: string): Promise<BurstResult[]> =>
  Promise.all(ALGORITHMS.map((algorithm) => burstOfChecks(sluice.grpcPort, `${algorithm}-${what}`, PATIENT)));

type Fault = readonly [what: string, fault: () => Promise<void>, mend?: () => Promise<void>];
const QUICK: readonly Fault[] = [
  [
    'a worker ends',
    async () => {
      await burstOfChecks(sluice.grpcPort, 'ends', { calls: 1, timeoutMs: 5000 });
    },
  ],
  [
    'Redis is killed',
    async () => redis.kill(),
    async () => {
      redis = await startDurable(redis.port);
    },
  ],
];
const SLOW: readonly Fault[] = [
  ['Redis hangs', async () => redis.freeze(), async () => redis.thaw()],
  [
    'the server is killed',
    async () => {
      await sluice.stop('SIGKILL');
    },
    async () => {
      sluice = await serve();
    },
  ],
];

const faults = process.env['FAULTS'] === 'all' ? [...QUICK, ...SLOW] : QUICK;
test.each(faults.map(([name, fault, mend]) => ({ name, fault, mend })))(
  '$name',
  async ({ name, fault, mend = async () => undefined }) => {
    const what = name.replaceAll(' ', '-');
    const interrupted = burstsOf(what);
    await until('a charge of each algorithm', async () => (await admin.keys(`*-${what}*`)).length >= ALGORITHMS.length);
    await fault();
    const first = await interrupted;
    await mend();
    let passed = first.map((one) => one.passed);
    const last = await until('answers that are no failures', async () => {
      const results = await burstsOf(what);
      passed = passed.map((sum, at) => sum + (results[at]?.passed ?? 0));
      return results.every(({ failed }) => Object.keys(failed).length === 0) ? results : undefined;
    });
    const over = ALGORITHMS.filter((algorithm, at) => (passed[at] ?? 0) > LIMIT + SLACK[algorithm]);
    expect([over, passed], JSON.stringify([first, last])).toEqual([[], passed]);
    for (const [at] of ALGORITHMS.entries()) expect(passed[at]).toBeGreaterThan(0);
  },
  120_000,
);
