/** Redis hangs or dies: each rule's onError applies behind a real Envoy, within its deadline, until Redis is back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { type Mesh, startMesh } from './mesh.ts';
import { until } from './sluice.ts';

const POLICY = `
handlers:
  limits: { adapter: quota-redis, config: { url: { $env: REDIS_URL } }, deadline: 40ms, breaker: { failures: 3, openFor: 300ms } }
  blocked: { adapter: check-list, config: { kind: prefix, values: [/blocked] } }
  near: { adapter: quota-memory, config: {} }
  shared: { adapter: quota-redis, config: { url: { $env: REDIS_URL } }, deadline: 40ms, breaker: { failures: 3, openFor: 300ms }, local: { handler: near, replicas: 2 } }
rules:
  - name: blocked
    check: { handler: blocked, params: { blocks: true }, input: { value: request.url_path } }
  - name: opens
    match: request.url_path == "/open"
    quota: { handler: limits, limit: 2, per: 1h, key: [] }
  - name: shuts
    match: request.url_path == "/shut"
    quota: { handler: limits, limit: 2, per: 1h, key: [] }
    onError: { handler: deny }
  - name: errs
    match: request.url_path == "/error"
    quota: { handler: limits, limit: 2, per: 1h, key: [] }
    onError: { handler: error }
  - name: goes-on
    match: request.url_path == "/local"
    quota: { handler: shared, limit: 5, per: 1h, key: [] }
    onError: { handler: local }
  - name: per-user
    match: ratelimit.domain == "edge"
    quota: { handler: limits, limit: 2, per: 1h, key: [ratelimit.descriptor.user] }
`;

let redis: RedisPart;
let mesh: Mesh;
beforeAll(async () => {
  redis = await startRedis();
  mesh = await startMesh(POLICY, { env: { REDIS_URL: redis.url } });
  await until('Redis to be reached', async () =>
    (await (await mesh.sluice.admin('/readyz')).text()).includes('not reached') ? undefined : true,
  );
});
afterAll(async () => {
  await mesh.stop();
  await redis.stop();
});

interface Seen {
  readonly status: number;
  readonly ms: number;
}
async function ask(path: string, headers: Record<string, string> = {}): Promise<Seen> {
  const began = performance.now();
  const { status } = await mesh.get(path, { headers });
  return { status, ms: performance.now() - began };
}

/** Errors (not denials) that Envoy's ext_authz filter counted. */
async function errors(): Promise<number> {
  return (await mesh.stats())['http.in.ext_authz.error'] ?? 0;
}

interface HandlerRow {
  readonly name: string;
  readonly ready: boolean;
  readonly breaker: string;
}
async function limits(): Promise<HandlerRow> {
  const { handlers } = (await (await mesh.sluice.admin('/handlers')).json()) as { handlers: HandlerRow[] };
  const row = handlers.find(({ name }) => name === 'limits');
  if (row === undefined) throw new Error('the admin port does not list limits');
  return row;
}

/** Limits are enforced: of three calls one is denied. */
async function enforcedAgain(path: string): Promise<void> {
  await until(`${path} to be limited again`, async () => {
    const { status } = await ask(path);
    return status === 429 ? true : undefined;
  });
}

/** While Redis cannot answer, each rule's onError applies, and no call waits long. `leftHere`: what is left of the local count. */
async function holdsWithout(leftHere: number): Promise<void> {
  const local = await Promise.all(Array.from({ length: 9 }, async () => (await ask('/local')).status));
  expect([local.filter((status) => status === 200).length, local.filter((status) => status === 429).length]).toEqual([
    leftHere,
    9 - leftHere,
  ]);
  const began = await errors();
  const seen: Seen[] = [];
  for (let call = 0; call < 6; call += 1) {
    const [open, shut, error, other, blocked] = [
      await ask('/open'),
      await ask('/shut'),
      await ask('/error'),
      await ask('/other'),
      await ask('/blocked'),
    ];
    expect([open.status, shut.status, error.status, other.status, blocked.status]).toEqual([200, 503, 503, 200, 403]);
    seen.push(open, shut, error, other, blocked);
  }
  // Of each kind the fastest, since a busy machine delays some; without its deadline each would wait for Envoy's.
  for (let kind = 0; kind < 5; kind++)
    expect(Math.min(...seen.filter((_, at) => at % 5 === kind).map(({ ms }) => ms))).toBeLessThan(500);
  expect((await errors()) - began).toBe(6); // the errs rule alone: a denial by failure is Sluice's own answer
  expect((await ask('/limited/a', { 'x-user': 'ann' })).status).toBe(200); // a failed rate limit grants by default
  await until('the breaker to open', async () => {
    // by failures over its window: a refused connection fails faster than that
    await ask('/open');
    return (await limits()).breaker === 'closed' ? undefined : true;
  });
}

describe('Redis behind quotas', () => {
  test('limits are enforced while Redis answers', async () => {
    await enforcedAgain('/open');
    await enforcedAgain('/shut');
    await enforcedAgain('/error');
    expect((await limits()).breaker).toBe('closed');
  });

  test('hung: each onError applies within the deadline, until Redis goes on', async () => {
    redis.freeze();
    try {
      await holdsWithout(3); // of 5, this replica's part
    } finally {
      redis.thaw();
    }
    await enforcedAgain('/open');
    await enforcedAgain('/shut');
    await until('the breaker to close', async () => ((await limits()).breaker === 'closed' ? true : undefined));
  });

  test('killed: the same, until a new Redis counts from 0', async () => {
    await redis.kill();
    await holdsWithout(0);
    redis = await startRedis({ port: redis.port });
    await enforcedAgain('/open');
    await enforcedAgain('/error');
    await until('limits to be ready', async () => ((await limits()).ready ? true : undefined));
  });
});
