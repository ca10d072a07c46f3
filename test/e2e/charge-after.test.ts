/** Effects of a request's access log entry: its cost is charged, and its lease is released. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type RedisPart } from '../parts/redis.ts';
import { run } from './command.ts';
import { peerClient } from './peer-client.ts';
import { type ServedSluice, serveSluice, until } from './sluice.ts';

const policy = (handler: string): string => `
handlers:
  limits: ${handler}
rules:
  - name: any-tokens-left
    quota: { handler: limits, counter: tokens, limit: 100, per: 1d, cost: 0, key: ['request.headers[?"x-user"].orValue("nobody")'] }
  - name: tokens-used
    calls: [log]
    quota: { handler: limits, counter: tokens, limit: 100, per: 1d, cost: 'int(response.headers[?"x-tokens"].orValue("0"))', key: ['request.headers[?"x-user"].orValue("nobody")'] }
`;

let redis: RedisPart;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => redis.stop());

test.each(['memory', 'redis'])('%s: a cost is charged in full, though it exceeds what was left', async (kind) => {
  await using sluice: ServedSluice = await serveSluice(
    policy(
      kind === 'memory'
        ? '{ adapter: quota-memory, config: {} }'
        : `{ adapter: quota-redis, config: { url: "${redis.url}" } }`,
    ),
  );
  const to = `127.0.0.1:${sluice.grpcPort}`;
  using client = peerClient(to);
  const passes = async (user: string): Promise<boolean> =>
    (await client.check({ path: '/complete', headers: { 'x-user': user } })).http_response === 'ok_response';
  const answered = async (user: string, tokens: number): Promise<void> => {
    const { code, err } = await run(['call', 'log', '--to', to, '--request', '-'], {
      stdin: JSON.stringify({
        'request.path': '/complete',
        'request.headers': { 'x-user': user },
        'response.headers': { 'x-tokens': String(tokens) },
      }),
    });
    expect([code, err]).toEqual([0, '']);
  };
  expect(await passes('ann')).toBe(true);
  await answered('ann', 60);
  expect(await passes('ann')).toBe(true);
  await answered('ann', 60); // 120 of 100: the request was allowed, so it is charged
  await until('she is refused', async () => ((await passes('ann')) ? undefined : true));
  expect(await passes('bob')).toBe(true);
  await sluice.stop();
});

const AT_ONCE = (handler: string): string => `
handlers:
  limits: ${handler}
rules:
  - name: two-at-once
    quota: { handler: limits, counter: places, algorithm: concurrency, limit: 2, per: 60s, key: [], once: 'request.headers["x-request-id"]' }
  - name: place-is-free
    calls: [log]
    quota: { handler: limits, counter: places, algorithm: concurrency, limit: 2, per: 60s, key: [], once: 'request.headers["x-request-id"]' }
`;

test.each(['memory', 'redis'])(
  '%s: limits concurrent requests, and admits the next when one has been answered',
  async (kind) => {
    await using sluice: ServedSluice = await serveSluice(
      AT_ONCE(
        kind === 'memory'
          ? '{ adapter: quota-memory, config: {} }'
          : `{ adapter: quota-redis, config: { url: "${redis.url}" } }`,
      ),
    );
    const to = `127.0.0.1:${sluice.grpcPort}`;
    using client = peerClient(to);
    const passes = async (id: string): Promise<boolean> =>
      (await client.check({ path: '/', headers: { 'x-request-id': id } })).http_response === 'ok_response';
    expect([await passes('a'), await passes('b'), await passes('c'), await passes('a')]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    const ended = JSON.stringify({ 'request.path': '/', 'request.headers': { 'x-request-id': 'a' } });
    expect((await run(['call', 'log', '--to', to, '--request', '-'], { stdin: ended })).code).toBe(0);
    await until('a place is free', async () => ((await passes('c')) ? true : undefined));
    expect(await passes('d')).toBe(false);
    await sluice.stop();
  },
);

/** The example of docs/rules.md. */
const PENALTY = `
handlers:
  limits: { adapter: quota-memory, config: {} }
rules:
  - name: penalty
    quota: { handler: limits, counter: excess, algorithm: log, limit: 2, per: 10m, cost: 0, key: ['request.headers[?"x-user"].orValue("nobody")'] }
  - name: per-user
    quota: { handler: limits, limit: 1, per: 1d, key: ['request.headers[?"x-user"].orValue("nobody")'] }
  - name: excess
    calls: [log]
    match: response.code == 429
    quota: { handler: limits, counter: excess, algorithm: log, limit: 2, per: 10m, key: ['request.headers[?"x-user"].orValue("nobody")'] }
`;

test('a penalty for callers that retry although they are denied', async () => {
  await using sluice = await serveSluice(PENALTY);
  const to = `127.0.0.1:${sluice.grpcPort}`;
  using client = peerClient(to);
  const refusedBy = async (): Promise<string | undefined> => {
    const { http_response, status } = await client.check({ path: '/', headers: { 'x-user': 'ann' } });
    return http_response === 'denied_response' ? status?.message : undefined;
  };
  const retried = JSON.stringify({
    'request.path': '/',
    'request.headers': { 'x-user': 'ann' },
    'response.code': 429,
  });
  expect(await refusedBy()).toBeUndefined();
  for (let times = 0; times < 3; times++) {
    expect(await refusedBy()).toBe('per-user');
    await run(['call', 'log', '--to', to, '--request', '-'], { stdin: retried });
  }
  await until('it is the penalty', async () => ((await refusedBy()) === 'penalty' ? true : undefined));
  await sluice.stop();
});
