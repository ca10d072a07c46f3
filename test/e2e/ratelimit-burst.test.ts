/** Of a burst of ten thousand calls over a limit of five, five pass, in every store and during reloads. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { SILENT } from '../../src/log/log.ts';
import {
  RateLimitResponse_Code as Code,
  RateLimitResponseSchema,
} from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import type { RatelimitServer } from '../../src/ratelimit/serve/server.ts';
import { startRatelimitServer } from '../../src/serve/ratelimit/server.ts';
import { readSettings } from '../../src/ratelimit/settings/settings.ts';
import { freePort } from '../parts/free-port.ts';
import { sendAtOnce } from '../parts/grpc-burst.ts';
import { limitRequestBytes, SHOULD_RATE_LIMIT } from '../parts/ratelimit-client.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';

const ROUNDS = 4;
const CALLS = 2500;
const REQUEST = limitRequestBytes({ domain: 'd', descriptors: [{ entries: [{ key: 'user', value: 'ann' }] }] });

let redis: RedisPart;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

async function serving(env: Readonly<Record<string, string>>): Promise<RatelimitServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-burst-'));
  await mkdir(join(folder, 'config'));
  await writeFile(
    join(folder, 'config/a.yaml'),
    'domain: d\ndescriptors:\n  - key: user\n    rate_limit: { unit: year, requests_per_unit: 5 }\n',
  );
  const { settings, problems } = readSettings({
    HOST: '127.0.0.1',
    GRPC_HOST: '127.0.0.1',
    DEBUG_HOST: '127.0.0.1',
    PORT: '0',
    GRPC_PORT: '0',
    DEBUG_PORT: '0',
    DISABLE_STATS: 'true',
    RUNTIME_ROOT: folder,
    REDIS_SOCKET_TYPE: 'tcp',
    SLUICE_REDIS_DEADLINE: '10s',
    ...env,
  });
  expect(problems).toEqual([]);
  const server = await startRatelimitServer({ settings, log: SILENT });
  onTestFinished(async () => {
    await server.drain();
    await rm(folder, { recursive: true });
  });
  return server;
}

test.each<[string, () => Promise<Record<string, string>>]>([
  ['Redis', async () => ({ REDIS_URL: `127.0.0.1:${redis.port}` })],
  [
    'Redis, by two workers',
    async () => ({ REDIS_URL: `127.0.0.1:${redis.port}`, CACHE_KEY_PREFIX: 'workers:', SLUICE_WORKERS: '2' }),
  ],
  [
    'Redis with escrow',
    async () => ({ REDIS_URL: `127.0.0.1:${redis.port}`, CACHE_KEY_PREFIX: 'escrow:', SLUICE_ESCROW: 'true' }),
  ],
  [
    'Redis with escrow, by two workers',
    async () => ({
      REDIS_URL: `127.0.0.1:${redis.port}`,
      CACHE_KEY_PREFIX: 'escrows:',
      SLUICE_ESCROW: 'true',
      SLUICE_WORKERS: '2',
    }),
  ],
  [
    'Redis, all limits or none',
    async () => ({ REDIS_URL: `127.0.0.1:${redis.port}`, CACHE_KEY_PREFIX: 'safe:', SLUICE_SAFE: 'true' }),
  ],
  ['memory', async () => ({ BACKEND_TYPE: 'memory' })],
  ['memory, by two workers', async () => ({ BACKEND_TYPE: 'memory', SLUICE_WORKERS: '2', SLUICE_MAX_KEYS: '1000' })],
  [
    'one process without Redis',
    async () => ({ REDIS_URL: `127.0.0.1:${await freePort()}`, SLUICE_OUTAGE: 'local', SLUICE_REDIS_DEADLINE: '15ms' }),
  ],
  [
    'two workers without Redis',
    async () => ({
      REDIS_URL: `127.0.0.1:${await freePort()}`,
      SLUICE_OUTAGE: 'local',
      SLUICE_REDIS_DEADLINE: '15ms',
      SLUICE_WORKERS: '2',
    }),
  ],
])(
  'counted by %s',
  async (_name, env) => {
    const server = await serving(await env());
    const messages = Array.from({ length: CALLS }, () => REQUEST);
    const codes: Code[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [reloaded, answers] = await Promise.all([
        server.reload(),
        sendAtOnce(server.grpcPort, SHOULD_RATE_LIMIT, messages, { timeoutMs: 60_000 }),
      ]);
      expect(reloaded).toBe(true);
      expect(answers.filter(({ status }) => status !== '0')).toEqual([]);
      codes.push(...answers.map(({ message }) => fromBinary(RateLimitResponseSchema, message).overallCode));
    }
    expect(codes).toHaveLength(ROUNDS * CALLS);
    expect(codes.filter((code) => code === Code.OK)).toHaveLength(5);
    expect(codes.filter((code) => code === Code.OVER_LIMIT)).toHaveLength(codes.length - 5);
  },
  120_000,
);
