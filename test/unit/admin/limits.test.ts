import { request } from 'node:http';
/** Valid requests to /limits/*, and the errors of invalid ones. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HttpPort } from '../../../src/admin/http-app.ts';
import { startAdmin } from '../../../src/admin/server.ts';
import type { QuotaInspection } from '../../../src/core/dispatch/quota-inspection.ts';
import type { ResetDone } from '../../../src/admin/limits.ts';
import { EMPTY_SOURCES } from './empty-sources.ts';
import type { AskedCall, LimitsAnswer } from '../../../src/admin/sources.ts';

let admin: HttpPort;
let asked: (readonly [depth: string, call: AskedCall])[];
let told: LimitsAnswer | undefined;
let resets: ResetDone[];
beforeEach(async () => {
  asked = [];
  resets = [];
  told = { rules: [] };
  admin = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    onFault: () => {},
    onReset: (done) => resets.push(done),
    onLetters: () => {},
    sources: {
      ...EMPTY_SOURCES,
      limits: async (depth, call) => {
        asked.push([depth, call]);
        return told;
      },
    },
  });
});
afterEach(async () => admin.close());

async function limits(
  path: string,
  body?: string,
  method = body === undefined ? 'GET' : 'POST',
): Promise<{ status: number; json: unknown }> {
  const answer = await fetch(`http://127.0.0.1:${admin.port}/limits/${path}`, {
    method,
    ...(body === undefined ? {} : { body }),
  });
  return { status: answer.status, json: await answer.json() };
}

describe('valid requests', () => {
  test('a descriptor in the query, entries in order', async () => {
    expect(await limits('inspect?domain=shop&key=user&value=ann&key=path&value=%2Fa')).toEqual({
      status: 200,
      json: { call: 'limit', rules: [] },
    });
    await limits('reset?domain=shop&key=user&value=ann', undefined, 'POST');
    expect(asked).toEqual([
      [
        'inspect',
        {
          call: 'limit',
          requests: [
            {
              'ratelimit.domain': 'shop',
              'ratelimit.entries': [
                { key: 'user', value: 'ann' },
                { key: 'path', value: '/a' },
              ],
            },
          ],
          carried: {},
        },
      ],
      [
        'reset',
        {
          call: 'limit',
          requests: [{ 'ratelimit.domain': 'shop', 'ratelimit.entries': [{ key: 'user', value: 'ann' }] }],
          carried: {},
        },
      ],
    ]);
  });

  test.each([
    ['attributes', { 'request.path': '/a' }, { call: 'http', requests: [{ 'request.path': '/a' }], carried: {} }],
    [
      'attributes and their call',
      { call: 'tcp', 'source.ip': '1.2.3.4' },
      { call: 'tcp', requests: [{ 'source.ip': '1.2.3.4' }], carried: {} },
    ],
    [
      'as in cases',
      { http: { 'request.path': '/a' }, carried: { contextExtension: { tier: 'gold' } } },
      { call: 'http', requests: [{ 'request.path': '/a' }], carried: { contextExtension: { tier: 'gold' } } },
    ],
    [
      'several descriptors',
      { limit: [{ 'ratelimit.domain': 'd' }, { 'ratelimit.domain': 'e' }] },
      { call: 'limit', requests: [{ 'ratelimit.domain': 'd' }, { 'ratelimit.domain': 'e' }], carried: {} },
    ],
  ])('a request as JSON: %s', async (_name, body, call) => {
    expect((await limits('explain', JSON.stringify(body))).status).toBe(200);
    expect(asked).toEqual([['explain', call]]);
  });
});

describe('invalid requests', () => {
  test.each([
    ['explain', undefined, /^expected one domain: \?domain=D&key=K&value=V/],
    ['explain?domain=a&domain=b', undefined, /^expected one domain/],
    ['explain?domain=a&key=k', undefined, /^expected one value per key; found 1 key and 0 values$/],
    ['explain', '{', /^the body is not JSON: /],
    ['explain', '[]', /^the body must be a JSON object, such as/],
    [
      'explain',
      '{"call": "https"}',
      /^call is "https"; expected one of http, tcp, authzen, limit, log, tcp-log, log-interim, tcp-log-interim, otlp-log, envoy-metric$/,
    ],
    ['explain', '{"http": {}, "tcp": {}}', /^expected one call; found http and tcp$/],
    ['explain', '{"http": [{}]}', /^http must be a map of attributes, such as \{"request.method": "GET"\}$/],
    ['explain', '{"limit": []}', /^limit must be a map of attributes, .*, or a list with one map per descriptor$/],
    ['explain', '{"http": {}, "want": {}}', /^expected only carried beside http; found want$/],
    ['explain', '{"http": {}, "carried": 1}', /^carried must be a map/],
  ])('%s with %s is answered 400 and why', async (path, body, why) => {
    expect(await limits(path, body)).toEqual({ status: 400, json: { error: expect.stringMatching(why) } });
    expect(asked).toEqual([]);
  });

  test('requests that the engine refuses', async () => {
    told = { wrong: 'no attribute is named request.pth' };
    expect(await limits('inspect', '{"request.pth": "/"}')).toEqual({
      status: 400,
      json: { error: 'no attribute is named request.pth' },
    });
  });

  test('any request without a policy', async () => {
    told = undefined;
    expect(await limits('inspect', '{}')).toEqual({ status: 503, json: { error: 'no policy is in force' } });
  });

  test("a reset from a browser's page", async () => {
    const answer = await fetch(`http://127.0.0.1:${admin.port}/limits/reset?domain=d`, {
      method: 'POST',
      headers: { origin: 'http://elsewhere.example' },
    });
    expect([answer.status, await answer.json(), asked]).toEqual([
      403,
      { error: 'counters can be reset from this machine only, and not by web pages of others' },
      [],
    ]);
  });

  test.each([
    ['a port of its own', 'http://127.0.0.1:1', undefined],
    ['a name that was made to resolve to this machine', 'http://evil.example', 'evil.example'],
  ])('a reset from a page at %s', async (_where, origin, host) => {
    expect(await resetFrom(origin, host)).toBe(403);
    expect(asked).toEqual([]);
  });

  test('a reset that a sidecar passes on', async () => {
    expect(await resetFrom(undefined, undefined, '127.0.0.6')).toBe(403);
    expect(asked).toEqual([]);
    expect(await resetFrom(undefined, undefined, '127.0.0.1')).toBe(200);
  });

  test('a reset by GET, and an endless request', async () => {
    expect(await limits('reset?domain=d')).toEqual({ status: 405, json: { error: 'counters are reset by POST' } });
    expect((await limits('explain', ' '.repeat(100_000))).status).toBe(413);
    expect(asked).toEqual([]);
  });
});

test('its own page may reset', async () => {
  expect(await resetFrom(`http://127.0.0.1:${admin.port}`, `127.0.0.1:${admin.port}`)).toBe(200);
});

/** fetch sends its own Host. */
function resetFrom(origin: string | undefined, host?: string, localAddress?: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(
      {
        host: '127.0.0.1',
        port: admin.port,
        path: '/limits/reset?domain=d',
        method: 'POST',
        ...(localAddress === undefined ? {} : { localAddress }),
        headers: { ...(origin === undefined ? {} : { origin }), ...(host === undefined ? {} : { host }) },
      },
      (answer) => resolve(answer.resume().statusCode),
    )
      .on('error', reject)
      .end();
  });
}

describe('the reason of a reset', () => {
  const inspected = { rule: 'per-user', applies: true, reset: true } as QuotaInspection;

  test('it is logged with the rules whose counters were reset, and who asked', async () => {
    told = { rules: [inspected, { ...inspected, rule: 'other', reset: false }] };
    const answer = await limits('reset?reason=ticket%2042', '{"http": {}}');
    expect(answer.status).toBe(200);
    expect(resets).toEqual([{ rules: ['per-user'], reason: 'ticket 42', who: expect.stringContaining('127.0.0.1') }]);
  });

  test('without one the reset is logged without; one that is empty, long or given twice is refused', async () => {
    told = { rules: [inspected] };
    await limits('reset', '{"http": {}}');
    expect(resets).toMatchObject([{ reason: null }]);
    for (const query of ['reason=', 'reason=%20', `reason=${'x'.repeat(201)}`, 'reason=a&reason=b'])
      expect([query, (await limits(`reset?${query}`, '{"http": {}}')).status]).toEqual([query, 400]);
    expect(asked).toHaveLength(1);
  });
});
