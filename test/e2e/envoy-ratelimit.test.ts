/** A real Envoy with `sluice ratelimit` as its rate-limit service, on a real Redis, with a config file of envoyproxy/ratelimit. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RateLimitPart, startSluiceRatelimit } from '../parts/ratelimits.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { type Mesh, startMesh } from './mesh.ts';
import { until } from './sluice.ts';

const CONFIG = `
domain: edge
descriptors:
  - key: user
    rate_limit: { unit: day, requests_per_unit: 3 }
    descriptors:
      - key: path
        value: /limited/tight
        rate_limit: { unit: day, requests_per_unit: 1 }
  - key: tenant
    descriptors:
      - key: request
        rate_limit: { requests_per_unit: 2, sluice: { algorithm: concurrency, per: 1h } }
`;

let folder: string;
let redis: RedisPart;
let limits: RateLimitPart;
let mesh: Mesh;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-envoy-'));
  await mkdir(join(folder, 'config'));
  await writeFile(join(folder, 'config/edge.yaml'), CONFIG);
  redis = await startRedis();
  limits = await startSluiceRatelimit({
    RUNTIME_ROOT: folder,
    REDIS_SOCKET_TYPE: 'tcp',
    REDIS_URL: `127.0.0.1:${redis.port}`,
    LIMIT_RESPONSE_HEADERS_ENABLED: 'true',
    SLUICE_REDIS_DEADLINE: '300ms',
  });
  mesh = await startMesh('rules: [{ name: none, match: "false", deny: { status: 403 } }]', {
    ratelimitPort: limits.grpcPort,
  });
}, 60_000);
afterAll(async () => {
  await mesh.stop();
  await limits.stop();
  await redis.stop();
  await rm(folder, { recursive: true });
});

const get = async (path: string, user: string) => mesh.get(path, { headers: { 'x-user': user } });

test('the fourth call of a user is over the limit, and the headers of both have the numbers', async () => {
  const statuses: number[] = [];
  for (let call = 0; call < 4; call++) {
    const { status, headers } = await get('/limited/a', 'ann');
    statuses.push(status);
    expect(headers.get('x-ratelimit-limit')).toMatch(/^3/);
    expect([headers.get('ratelimit-limit'), headers.get('ratelimit-remaining')]).toEqual([
      '3',
      String(Math.max(0, 2 - call)),
    ]);
  }
  expect(statuses).toEqual([200, 200, 200, 429]);
});

test('the tighter descriptor decides, and each user has its own counts', async () => {
  expect((await get('/limited/tight', 'bob')).status).toBe(200);
  expect((await get('/limited/tight', 'bob')).status).toBe(429);
  expect((await get('/limited/tight', 'cid')).status).toBe(200);
});

test('a lease ends with its stream, whether answered or cancelled', async () => {
  const leases = async (): Promise<number> => {
    const query = new URLSearchParams([
      ['domain', 'edge'],
      ['key', 'tenant'],
      ['value', 'fay'],
      ['key', 'request'],
      ['value', 'any'],
    ]);
    return (
      (await (await fetch(`http://127.0.0.1:${limits.debugPort}/limits/inspect?${query.toString()}`)).json()) as {
        count: number;
      }
    ).count;
  };
  const untilLeased = async (count: number): Promise<unknown> =>
    until(`${count} leases`, async () => ((await leases()) === count ? true : undefined));
  const hold = (): { readonly end: () => void; readonly ended: Promise<unknown> } => {
    const stopping = new AbortController();
    return {
      end: () => stopping.abort(),
      ended: mesh
        .get('/leased?ms=600000', { headers: { 'x-user': 'fay' }, signal: stopping.signal })
        .catch(() => undefined),
    };
  };
  const [one, other] = [hold(), hold()];
  await untilLeased(2);
  const { status, headers } = await get('/leased', 'fay');
  expect([status, headers.get('ratelimit-limit'), headers.get('ratelimit-remaining')]).toEqual([429, '2', '0']);
  expect(headers.get('x-ratelimit-limit')).toMatch(/^2/);
  expect((await get('/leased', 'gus')).status).toBe(200);
  one.end();
  await untilLeased(1);
  expect((await get('/leased', 'fay')).status).toBe(200);
  await untilLeased(1);
  other.end();
  await untilLeased(0);
  await Promise.all([one.ended, other.ended]);
});

test('when Redis dies, Envoy gets an error and its failure mode decides; answers return with Redis', async () => {
  await redis.kill();
  await until('Envoy refuses', async () => ((await get('/limited/a', 'dan')).status === 500 ? true : undefined));
  const again = await startRedis({ port: redis.port });
  await until('Envoy passes again', async () => ((await get('/limited/a', 'eve')).status === 200 ? true : undefined));
  redis = again;
  const { 'cluster.app.ratelimit.error': errors = 0 } = await mesh.stats();
  expect(errors).toBeGreaterThan(0);
});
