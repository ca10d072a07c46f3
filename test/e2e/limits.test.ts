/** `sluice limits` against a running `sluice serve`, with quotas in memory and in a real Redis. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RuleInspections } from '../../src/cli/limits/ask.ts';
import { freePort } from '../parts/free-port.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { type Ran, run } from './command.ts';
import { type ServedSluice, serveSluice } from './sluice.ts';

const ALGORITHMS = ['fixed', 'sliding', 'gcra', 'log', 'concurrency'];
const rules = (handler: string): string =>
  ALGORITHMS.map(
    (algorithm) => `
  - name: ${handler}-${algorithm}
    quota: { handler: ${handler}, key: [request.host], limit: 3, per: 30d, algorithm: ${algorithm}, once: 'request.headers[?"x-request-id"].orValue("")' }`,
  ).join('');

let redis: RedisPart;
let sluice: ServedSluice;
let asking: Redis;
beforeAll(async () => {
  redis = await startRedis();
  asking = new Redis(redis.url);
  sluice = await serveSluice(`
handlers:
  memory: { adapter: quota-memory }
  redis: { adapter: quota-redis, deadline: 5s, config: { url: "${redis.url}", prefix: "e2e:", timeoutMs: 5000 } }
  away: { adapter: quota-redis, config: { url: "redis://127.0.0.1:${await freePort()}" } }
rules:${rules('memory')}${rules('redis')}
  - name: nobody-at-home
    match: request.host == "away"
    quota: { handler: away, key: [], limit: 3, per: 1h }
  - name: per-user
    quota: { handler: memory, key: [ratelimit.descriptor.user], limit: 5, per: 1h }
`);
});
afterAll(async () => {
  asking.disconnect();
  await sluice.stop();
  await redis.stop();
});

const limits = async (
  depth: string,
  request: Readonly<Record<string, unknown>>,
  ...more: readonly string[]
): Promise<Ran> =>
  run(['limits', depth, '--to', `127.0.0.1:${sluice.adminPort}`, '--request', '-', ...more], {
    stdin: JSON.stringify(request),
  });
const looks = async (depth: string, request: Readonly<Record<string, unknown>>): Promise<RuleInspections['rules']> =>
  (JSON.parse((await limits(depth, request, '--json')).out) as RuleInspections).rules;
const check = async (host: string, headers: Readonly<Record<string, string>> = {}): Promise<number | null> =>
  (
    await run(['call', 'check', '--to', `127.0.0.1:${sluice.grpcPort}`, '--request', '-', '--timeout', '5000'], {
      stdin: JSON.stringify({
        'request.method': 'GET',
        'request.path': '/',
        'request.host': host,
        'request.headers': headers,
      }),
    })
  ).code;
const used = (told: RuleInspections['rules']): unknown[] =>
  told.filter(({ applies }) => applies).map(({ state }) => state?.used);
const TEN = ALGORITHMS.length * 2;

describe('the quotas of an http call', () => {
  test('show the state of every algorithm; inspection changes nothing; a reset affects that key only', async () => {
    for (const host of ['a', 'a', 'b']) expect(await check(host)).toBe(0);
    for (let look = 0; look < 4; look++)
      expect(used(await looks('inspect', { 'request.host': 'a' }))).toEqual(Array(TEN).fill(2));
    expect(used(await looks('inspect', { 'request.host': 'b' }))).toEqual(Array(TEN).fill(1));

    const reset = await looks('reset', { 'request.host': 'a' });
    expect(reset.filter(({ applies }) => applies).map(({ state, reset: done }) => [state?.used, done])).toEqual(
      Array(TEN).fill([2, true]),
    );
    expect(used(await looks('inspect', { 'request.host': 'a' }))).toEqual(Array(TEN).fill(0));
    expect(used(await looks('inspect', { 'request.host': 'b' }))).toEqual(Array(TEN).fill(1));
    for (let call = 0; call < 3; call++) expect(await check('a')).toBe(0);
    expect(await check('a')).toBe(1);
  });

  test('explain contacts no backend, not even one that is away', async () => {
    const commands = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await asking.info('commandstats'))?.[1] ?? 0);
    const before = await commands();
    expect(before).toBeGreaterThan(0);
    const told = await looks('explain', { 'request.host': 'away' });
    expect(told.find(({ rule }) => rule === 'nobody-at-home')).toMatchObject({
      applies: true,
      why: 'its match is true',
      handler: 'away',
      adapter: 'quota-redis',
      limit: 3,
    });
    expect(told.every((look) => !('state' in look) && !('failure' in look))).toBe(true);
    expect(await commands()).toBe(before);
  });

  test('show the Redis key of a counter', async () => {
    await check('where');
    const place =
      (await looks('inspect', { 'request.host': 'where' })).find(({ rule }) => rule === 'redis-fixed')?.place ?? '';
    expect(place).toMatch(/^e2e:f:2592000000:redis-fixed:=/);
    expect(await asking.exists(place)).toBe(1);
    await looks('reset', { 'request.host': 'where' });
    expect(await asking.exists(place)).toBe(0);
  });

  test('a backend that is away is reported for its rule; the others are inspected, and the exit code tells', async () => {
    const { code, out } = await limits('reset', { 'request.host': 'away' });
    expect(code).toBe(1);
    expect(out).toMatch(
      /^nobody-at-home {2}3 per 1h, fixed [^]*\n {2}\[quota-redis\/away\] [^\n]+\n {2}it was not reset\n/m,
    );
    expect(out.match(/^ {2}it is reset$/gm)).toHaveLength(TEN);
  });
});

describe('for people', () => {
  test('a call: the quotas that apply with their counters, then those that do not', async () => {
    const { code, out } = await limits('inspect', { 'request.host': 'people' });
    expect(code).toBe(0);
    expect(out).toMatch(
      /^memory-fixed {2}3 per 30d, fixed {2}\S+policy\.yaml:7\n {2}applies {5}it has no match\n {2}key {9}request\.host = "people"\n {2}counter {5}memory-fixed, kept by memory \(quota-memory\)\n {2}is at {7}0, 3 left\n {2}ends in {5}\d+ s\nmemory-sliding /,
    );
    expect(out).toMatch(/kept by redis \(quota-redis\) as e2e:g:/);
    expect(out).toMatch(
      /\nRules that do not apply\n {2}nobody-at-home {2}its match is false +request\.host == "away" +\S+policy\.yaml:\d+\n {2}per-user +it is asked in limit calls, not in http +\S+policy\.yaml:\d+\n$/,
    );
  });

  test('the calls that hold units, the oldest first, in memory and in Redis', async () => {
    for (const id of ['first', 'second']) expect(await check('held', { 'x-request-id': id })).toBe(0);
    const { out } = await limits('inspect', { 'request.host': 'held' });
    const lease = (id: string): string => ` {4}${id} +1 unit +held for \\d+ s +ends within \\d+ s\\n`;
    for (const handler of ['memory', 'redis'])
      expect(out).toMatch(
        new RegExp(
          `\\n${handler}-concurrency [^]*? {2}leases {5}2, the oldest first\\n${lease('first')}${lease('second')}`,
        ),
      );
    expect(out.match(/^ {2}leases /gm)).toHaveLength(2);
  });

  test('a descriptor, with the arguments of `sluice ratelimit`', async () => {
    const asked = async (depth: string, ...entries: string[]): Promise<Ran> =>
      run(['limits', depth, 'shop', ...entries, '--to', `127.0.0.1:${sluice.adminPort}`]);
    expect((await asked('inspect', 'user=ann')).out).toMatch(
      /^per-user {2}5 per 1h, fixed [^]*key {9}ratelimit\.descriptor\.user = "ann"\n[^]* {2}is at {7}0, 5 left\n/,
    );
    const none = await asked('explain', 'path=/a');
    expect([none.code, none.out]).toEqual([
      1,
      expect.stringMatching(
        /^no quota rule applies to this limit call: none is charged\nRules that do not apply\n[^]*per-user +the descriptor has no user/,
      ),
    ]);
    expect((await asked('reset', 'user=ann')).out).toContain('it is reset');
  });
});

describe('errors', () => {
  let stranger: Server;
  beforeAll(async () => {
    stranger = createServer((request, response) => {
      response.statusCode = request.method === 'POST' ? 404 : 200;
      response.end('hello');
    });
    await new Promise<void>((resolve) => {
      stranger.listen(0, '127.0.0.1', resolve);
    });
  });
  afterAll(() => stranger.close());

  test('in the request name its file', async () => {
    const unknown = await limits('inspect', { 'request.pth': '/' });
    expect([unknown.code, unknown.err]).toEqual([
      3,
      expect.stringContaining('CLI_REQUEST_FILE stdin: no attribute is named request.pth; did you mean request.path?'),
    ]);
    expect((await limits('inspect', { call: 'http', http: {} })).err).toContain(
      'CLI_REQUEST_FILE stdin: expected only carried beside http; found call',
    );
    expect((await limits('inspect', { 'request.host': 7 })).err).toMatch(
      /CLI_REQUEST_FILE stdin: request\.host is 7; expected .*/,
    );
  });

  test('in the command line', async () => {
    const usage = async (...args: string[]): Promise<unknown[]> => {
      const { code, err } = await run(['limits', 'explain', ...args]);
      return [code, err.split('\n')[0]];
    };
    expect(await usage()).toEqual([2, 'CLI_USAGE expected a descriptor, DOMAIN KEY=VALUE..., or --request FILE']);
    expect(await usage('shop')).toEqual([2, 'CLI_USAGE expected a descriptor, DOMAIN KEY=VALUE..., or --request FILE']);
    expect(await usage('shop', 'user=ann', '--request', '-')).toEqual([
      2,
      'CLI_USAGE expected a descriptor or --request, not both',
    ]);
    expect(await usage('shop', 'user=ann', '--call', 'http')).toEqual([
      2,
      'CLI_USAGE --call requires --request; a descriptor is always a limit call',
    ]);
  });

  test('at the address: no server, another kind of server, a server without that path', async () => {
    const port = (stranger.address() as AddressInfo).port;
    const nobody = await freePort();
    const said = async (to: number, ...args: string[]): Promise<unknown[]> => {
      const { code, err } = await run(['limits', 'explain', '--to', `127.0.0.1:${to}`, ...args], { stdin: '{}' });
      return [code, err.split('\n')[0]];
    };
    expect(await said(nobody, '--request', '-')).toEqual([
      3,
      `CLI_UNREACHABLE http://127.0.0.1:${nobody} does not answer: connect ECONNREFUSED 127.0.0.1:${nobody}`,
    ]);
    expect(await said(port, 'shop', 'user=ann')).toEqual([
      3,
      `CLI_UNREACHABLE http://127.0.0.1:${port}/limits/explain is neither \`sluice serve\` nor \`sluice ratelimit\`; it answers hello`,
    ]);
    expect(await said(port, '--request', '-')).toEqual([
      3,
      `CLI_UNREACHABLE http://127.0.0.1:${port} has no POST /limits/explain; use the admin port of \`sluice serve\`, or DOMAIN KEY=VALUE... for \`sluice ratelimit\``,
    ]);
    expect((await said(sluice.grpcPort, 'shop', 'user=ann'))[1]).toMatch(/^CLI_UNREACHABLE http:\S+ does not answer: /);
  });
});
