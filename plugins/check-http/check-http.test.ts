import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type CheckAnswer, Rejected, Unavailable } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { type Answering, type HttpService, json, startHttpService } from '../../test/parts/http-service.ts';
import adapter from './adapter.ts';

let users: HttpService;
beforeAll(async () => {
  users = await startHttpService(({ path }, response) => {
    response.writeHead(path === '/v1/users/ann' ? 204 : 403).end();
  });
});
afterAll(() => users.stop());

testAdapter(adapter, {
  runner: { describe, test },
  config: () => ({ url: `${users.url}/v1` }),
  unreachable: { url: 'http://127.0.0.1:1' },
  badConfigs: [
    { config: {}, says: /url: Invalid input/ },
    { config: { url: 'ftp://a' }, says: /url: expected http:\/\/HOST:PORT\/PATH or https/ },
    {
      config: { url: 'http://ann:secret@a' },
      says: /url: must have no user or password; write an authorization header/,
    },
    { config: { url: 'http://a/#b' }, says: /url: must have no fragment/ },
    { config: { url: 'http://a', tls: {} }, says: /tls: tls is for https/ },
    { config: { url: 'https://a', tls: { cert: 'a.pem' } }, says: /tls: cert and key go together/ },
    { config: { url: 'https://a', tls: { ca: 'missing.pem' } }, says: /missing\.pem cannot be read: ENOENT/ },
    { config: { url: 'http://a', headers: { host: 'b' } }, says: /headers\.host: the host is that of the url/ },
    { config: { url: 'http://a', headers: { a: 'x\ny' } }, says: /headers\.a: it has control characters/ },
    { config: { url: 'http://a', json: { allow: 'result' } }, says: /json\.allow: expected a JSON pointer/ },
    { config: { url: 'http://a', deny: [200] }, says: /deny\.0: Too small/ },
  ],
  check: {
    params: { path: 'users/{user}' },
    allowed: [{ user: 'ann' }],
    denied: [{ user: 'bob' }, { user: 'ann/bob' }],
  },
});

/** A handler that asks a service with these answers. */
async function asking(answer: Answering, config: object = {}, params: object = {}) {
  const service = await startHttpService(answer);
  const opened = await openForTest(adapter, { config: { url: service.url, ...config } });
  onTestFinished(async () => {
    await opened.close();
    await service.stop();
  });
  const check = opened.handler.check?.({ rule: 'r', params: adapter.serves.check?.params?.parse(params) });
  const ask = async (input: object = {}, call = testCall()): Promise<CheckAnswer> =>
    check?.({ ...input }, call) as Promise<CheckAnswer>;
  return { ...opened, service, ask };
}

describe('check-http', () => {
  test('sends the request that config, params and input make', async () => {
    const { ask, service } = await asking(
      (_, response) => json(response, {}),
      { headers: { authorization: 'Bearer t' } },
      { method: 'POST', path: 'a/{user}', query: { q: '{q?}' }, headers: { 'x-user': '{user}' } },
    );
    await ask({ user: 'Jürgen', body: { input: { groups: ['a', 'b'], at: new Date(0) } } });
    const [request] = service.requests;
    expect(request).toMatchObject({
      method: 'POST',
      path: '/a/J%C3%BCrgen',
      body: '{"input":{"groups":["a","b"],"at":"1970-01-01T00:00:00.000Z"}}',
      headers: { authorization: 'Bearer t', 'content-type': 'application/json', accept: 'application/json' },
    });
    expect(Buffer.from(String(request?.headers['x-user']), 'latin1').toString()).toBe('Jürgen');
  });

  test('allows by a status of 2xx, and gives status, headers and body of the answer', async () => {
    const { ask } = await asking((_, response) => json(response, { user: 'ann' }, { 'x-plan': 'gold' }));
    const answer = await ask();
    expect(answer).toMatchObject({ kind: 'allow', output: { status: 200, body: { user: 'ann' } } });
    expect(answer.output?.['headers']).toMatchObject({ 'x-plan': 'gold' });
  });

  test.each([
    [401, 16],
    [403, 7],
  ])('denies by a status of %i', async (status, code) => {
    const { ask } = await asking((_, response) => {
      response.writeHead(status, { 'content-type': 'text/plain', 'www-authenticate': 'Bearer' }).end('log in first');
    });
    const answer = await ask();
    expect(answer).toMatchObject({ kind: 'deny', code, reason: `it answered ${status}` });
    expect(answer.output).toMatchObject({ status, body: 'log in first', headers: { 'www-authenticate': 'Bearer' } });
  });

  test('denies by the statuses of its config alone', async () => {
    let status = 302;
    const { ask } = await asking(
      (_, response) => void response.writeHead(status, { location: 'https://login' }).end(),
      { deny: [302, 429] },
    );
    expect(await ask()).toMatchObject({ kind: 'deny', output: { headers: { location: 'https://login' } } });
    status = 429;
    expect(await ask()).toMatchObject({ kind: 'deny', code: 8 });
    status = 403;
    await expect(ask()).rejects.toThrow('it answered 403; expected 2xx, 302, 429');
  });

  test.each([500, 503, 429])('does not read %i as an answer', async (status) => {
    const { ask, readiness } = await asking(
      (_, response) => void response.writeHead(status, { 'retry-after': '3' }).end(),
    );
    const error: unknown = await ask().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Unavailable);
    expect(error).toMatchObject({ message: `it answered ${status}`, retryAfterMs: 3000 });
    expect(readiness().ready, 'it can be reached').toBe(true);
  });

  test('does not follow a redirect', async () => {
    const elsewhere = await startHttpService((_, response) => json(response, {}));
    onTestFinished(() => elsewhere.stop());
    const { ask } = await asking((_, response) => void response.writeHead(307, { location: elsewhere.url }).end());
    await expect(ask()).rejects.toThrow('it answered 307; expected 2xx, 401, 403 (redirects are not followed)');
    expect(elsewhere.requests).toEqual([]);
  });

  test('fails for an input that would leave the path of the url, without a request', async () => {
    const { ask, service } = await asking((_, response) => json(response, {}), {}, { path: 'users/{user}' });
    await expect(ask({ user: '../admin' })).rejects.toThrow(Rejected);
    expect(service.requests).toEqual([]);
  });

  test('says how long an answer is valid', async () => {
    const { ask } = await asking(
      ({ headers }, response) => json(response, {}, { 'cache-control': String(headers['x-cache']) }),
      { maxValidForMs: 10_000 },
      { headers: { 'x-cache': '{cache}' } },
    );
    const of = async (cache: string): Promise<number | undefined> => (await ask({ cache })).validForMs;
    expect([await of('max-age=5'), await of('max-age=60'), await of('max-age=0'), await of('no-store')]).toEqual([
      5000,
      10_000,
      0,
      undefined,
    ]);
    const refusing = await asking((_, response) => void response.writeHead(403, { 'retry-after': '7' }).end());
    expect(await refusing.ask()).toMatchObject({ kind: 'deny', validForMs: 7000 });
    const fixed = await asking((_, response) => json(response, {}), { validForMs: 1 }, { validForMs: 2 });
    expect(await fixed.ask()).toMatchObject({ validForMs: 2 });
  });
});

describe('check-http that reads JSON', () => {
  const opa = (result: unknown, pointers: object = {}) =>
    asking((_, response) => json(response, result), { json: { allow: '/result/allow', ...pointers } });

  test('allows and denies by a boolean', async () => {
    const allowing = await opa({ result: { allow: true } });
    expect(await allowing.ask()).toMatchObject({ kind: 'allow', output: { body: { result: { allow: true } } } });
    const denying = await opa({ result: { allow: false } });
    expect(await denying.ask()).toMatchObject({ kind: 'deny', code: 7, reason: '/result/allow is false' });
    const whole = await asking((_, response) => json(response, false), { json: { allow: '' } });
    expect(await whole.ask()).toMatchObject({ kind: 'deny' });
  });

  test('reads reason, status and code of a denial', async () => {
    const pointers = { reason: '/result/why', status: '/result/http_status', code: '/result/code' };
    const of = async (result: object) => (await opa({ result: { allow: false, ...result } }, pointers)).ask();
    expect(await of({ why: 'no plan', http_status: 401 })).toMatchObject({ code: 16, reason: 'no plan' });
    expect(await of({ why: ['a', 'b'], http_status: 402 })).toMatchObject({ code: 7, reason: '["a","b"]' });
    expect(await of({ code: 5, http_status: 401 })).toMatchObject({ code: 5, reason: '/result/allow is false' });
    expect(await of({ code: 0 })).toMatchObject({ code: 7 });
    expect(await of({ why: 'x'.repeat(5000) })).toMatchObject({ reason: `${'x'.repeat(200)}...` });
  });

  test.each([
    ['{}', /^its answer has no boolean at \/result\/allow$/], // as OPA answers for a rule that is undefined
    ['{"result": {"allow": "yes"}}', /no boolean/],
    ['{"result": [true]}', /no boolean/],
    ['', /^its answer is not JSON: it is empty$/],
    ['<html></html>', /^its answer is not JSON: Unexpected token/],
    [`{"result": ${'['.repeat(100)}${']'.repeat(100)}}`, /^its answer is JSON deeper than 32 levels$/],
  ])('fails for the body %s', async (body, says) => {
    const { ask } = await asking((_, response) => void response.end(body), { json: { allow: '/result/allow' } });
    await expect(ask()).rejects.toThrow(Rejected);
    await expect(ask()).rejects.toThrow(says);
  });

  test('fails for 401 and 403, which refuse Sluice itself', async () => {
    const { ask } = await asking((_, response) => void response.writeHead(401).end('{"result": {"allow": true}}'), {
      json: { allow: '/result/allow' },
    });
    await expect(ask()).rejects.toThrow('it answered 401; expected 2xx');
  });
});
