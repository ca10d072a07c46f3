/** Keys from a URL: rotation, outages, a service that hangs or sends too much. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type CheckAnswer, type LookupAnswer, Rejected, Unavailable, valuesOf } from 'sluice/plugin';
import { eventually, openForTest, testCall } from 'sluice/plugin/testing';
import { type Answering, startHttpService } from '../../test/parts/http-service.ts';
import adapter from './adapter.ts';

const first = await generateKeyPair('ES256');
const second = await generateKeyPair('ES256');
const JWKS = {
  first: { keys: [{ ...(await exportJWK(first.publicKey)), kid: 'first' }] },
  second: { keys: [{ ...(await exportJWK(second.publicKey)), kid: 'second' }] },
};
const ISSUER = 'https://issuer.test';
const sign = (kid: keyof typeof JWKS | (string & {}), { iss = ISSUER, sub = 'ann' } = {}) =>
  new SignJWT({ iss, sub })
    .setProtectedHeader({ alg: 'ES256', kid })
    .setExpirationTime('1h')
    .sign((kid === 'second' ? second : first).privateKey);
const sends =
  (body: unknown, headers: Record<string, string> = {}): Answering =>
  (_, response) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    response.writeHead(200, { 'content-length': Buffer.byteLength(text), ...headers }).end(text);
  };
const hangs: Answering = () => {};

function bearer(token: string) {
  return { 'headers.authorization': `Bearer ${token}` };
}

async function serviceOf(answer: Answering) {
  const service = await startHttpService(answer);
  onTestFinished(() => service.stop());
  return service;
}

async function opened(issuers: object[], more: object = {}) {
  const { handler, logged, readiness, metrics, close } = await openForTest(adapter, {
    config: { issuers: issuers.map((one) => ({ issuer: ISSUER, refetchMs: 100, ...one })), ...more },
  });
  onTestFinished(() => close());
  const check = handler.check?.({ rule: 'r', params: adapter.serves.check?.params?.parse({}) });
  const lookup = handler.lookup?.({ rule: 'r', params: undefined });
  const ask = (token: string) => check?.(bearer(token), testCall()) as CheckAnswer | Promise<CheckAnswer>;
  const kind = async (token: string) => (await ask(token)).kind;
  const claims = async (token: string) => valuesOf((await lookup?.(bearer(token), testCall())) as LookupAnswer);
  const isReady = () => eventually(() => expect(readiness()).toMatchObject({ ready: true }));
  const messages = () => logged.map(({ message }) => message);
  return { ask, kind, claims, isReady, logged, messages, readiness, metrics };
}

describe('keys from a url', () => {
  test('serve at the first token after they are loaded; before, each token is Unavailable and none is refused', async () => {
    let release = (): void => undefined;
    const service = await serviceOf((request, response) => {
      release = () => sends(JWKS.first)(request, response);
    });
    const { ask, kind, isReady, readiness } = await opened([{ url: service.url }]);
    const token = await sign('first');
    expect(() => ask(token)).toThrow(Unavailable);
    expect(readiness().why).toMatch(/^the key set of 127\.0\.0\.1:\d+ is not loaded/);
    await eventually(() => expect(service.requests.length).toBe(1));
    release();
    await isReady();
    expect(await kind(token)).toBe('allow');
  });

  test('are loaded again for a token with an unknown key, at a bounded rate', async () => {
    const service = await serviceOf(sends(JWKS.first));
    const { kind, isReady } = await opened([{ url: service.url, refetchMs: 300 }]);
    await isReady();
    service.answer = sends({ keys: [...JWKS.first.keys, ...JWKS.second.keys] });
    const token = await sign('second');
    expect(await kind(token)).toBe('allow');
    expect(await kind(await sign('first'))).toBe('allow');
    expect(service.requests.length).toBe(2);
    const strangers = await Promise.all(Array.from({ length: 300 }, (_, at) => sign(`stranger-${at}`)));
    expect(new Set(await Promise.all(strangers.map(kind)))).toEqual(new Set(['deny']));
    expect(service.requests.length).toBeLessThanOrEqual(3);
  });

  test('that were withdrawn verify no token any more, not even one that was seen before', async () => {
    const service = await serviceOf(sends(JWKS.first));
    const { kind, isReady } = await opened([{ url: service.url }]);
    await isReady();
    const token = await sign('first');
    expect(await kind(token)).toBe('allow');
    service.answer = sends(JWKS.second);
    expect(await kind(await sign('second'))).toBe('allow');
    expect(await kind(token)).toBe('deny');
  });

  test.each<[name: string, answer: Answering]>([
    ['is away', (_, response) => response.destroy()],
    ['answers 500', (_, response) => response.writeHead(500).end()],
    ['hangs', hangs],
    ['sends no key set', sends('<html>')],
    ['sends a set without keys', sends({ keys: [] })],
    ['sends 300 kB', sends({ keys: JWKS.second.keys, x: 'x'.repeat(300_000) })],
    ['sends private keys', sends({ keys: [{ ...JWKS.second.keys[0], d: 'AAAA' }] })],
    ['sends a shared secret', sends({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'second' }] })],
    ['sends 101 keys', sends({ keys: Array.from({ length: 101 }, () => JWKS.second.keys[0]) })],
  ])('stay while the url %s, and others are served', async (_, answer) => {
    const service = await serviceOf(sends(JWKS.first));
    const { kind, isReady, messages, metrics } = await opened([{ url: service.url, downloadTimeoutMs: 1000 }]);
    await isReady();
    const [known, stranger] = [await sign('first'), await sign('second')];
    service.answer = answer;
    let isOver = false;
    const unknown = kind(stranger).finally(() => (isOver = true));
    expect(await kind(known)).toBe('allow');
    expect(answer === hangs && isOver).toBe(false); // it has not waited for the url
    expect(await unknown).toBe('deny');
    expect(messages()).toEqual([
      'a key set was loaded from its url',
      'a key set cannot be loaded from its url; the last good one stays in use',
    ]);
    expect(await metrics()).toMatch(/sluice_plugin_jwks_refresh_failures_total\{handler="tested"\} 1/);
    expect(await kind(await sign('first', { sub: 'bob' }))).toBe('allow');
  });

  test('of one issuer that cannot be loaded leave the others alone', async () => {
    const { ask, kind, readiness } = await opened([
      { keys: JWKS.first },
      { issuer: 'https://away.test', url: 'http://127.0.0.1:1' },
    ]);
    const away = await sign('first', { iss: 'https://away.test' });
    expect(() => ask(away)).toThrow(Rejected);
    expect(await kind(await sign('first'))).toBe('allow');
    expect(readiness().ready).toBe(false);
  });

  test('are loaded before they are stale', async () => {
    const service = await serviceOf(sends(JWKS.first));
    const { isReady } = await opened([{ url: service.url, refreshMs: 1000 }]);
    await isReady();
    await eventually(() => expect(service.requests.length).toBeGreaterThanOrEqual(2));
  });

  test('each of 100 calls that wait for an unknown key is answered, and the 101st at once', async () => {
    const service = await serviceOf(sends(JWKS.first));
    const { kind, isReady } = await opened([{ url: service.url, downloadTimeoutMs: 400 }]);
    await isReady();
    service.answer = hangs;
    const tokens = await Promise.all(Array.from({ length: 150 }, (_, at) => sign(`stranger-${at}`)));
    let settled = 0;
    const all = tokens.map(async (token) => {
      const answer = await kind(token);
      settled++;
      return answer;
    });
    await eventually(() => expect(settled).toBe(50));
    expect(new Set(await Promise.all(all))).toEqual(new Set(['deny']));
  });
});

describe('OpenID discovery', () => {
  const discovering = (configuration: (url: string) => object): Answering =>
    function answer(request, response) {
      const url = `http://${request.headers.host ?? ''}`;
      if (request.path === '/tenant/.well-known/openid-configuration') sends(configuration(url))(request, response);
      else if (request.path === '/keys') sends(JWKS.first)(request, response);
      else response.writeHead(404).end();
    };

  test('finds the keys of an issuer', async () => {
    const service = await serviceOf(discovering((url) => ({ issuer: `${url}/tenant`, jwks_uri: `${url}/keys` })));
    const issuer = `${service.url}/tenant`;
    const { claims, isReady, logged } = await opened([{ issuer, discovery: true }]);
    await isReady();
    expect(await claims(await sign('first', { iss: issuer }))).toMatchObject({ issuer, subject: 'ann' });
    const from = new URL(service.url).host;
    expect(logged.map(({ message, fields }) => ({ message, fields }))).toEqual([
      { message: 'a key set was loaded from its url', fields: { adapter: 'jwt', handler: 'tested', from } },
      { message: 'a discovery document was loaded from its url', fields: { adapter: 'jwt', handler: 'tested', from } },
    ]);
  });

  test.each<[why: RegExp, configuration: (url: string) => object]>([
    [/its issuer is another one/, (url) => ({ issuer: 'https://evil.test', jwks_uri: `${url}/keys` })],
    [/it has no jwks_uri/, (url) => ({ issuer: `${url}/tenant` })],
    [/its jwks_uri must be https/, (url) => ({ issuer: `${url}/tenant`, jwks_uri: 'file:///etc/passwd' })],
    [/key set of .* is not loaded/, (url) => ({ issuer: `${url}/tenant`, jwks_uri: `${url}/missing` })],
  ])('of a wrong configuration is not ready: %s', async (why, configuration) => {
    const service = await serviceOf(discovering(configuration));
    const issuer = `${service.url}/tenant`;
    const { ask, readiness } = await opened([{ issuer, discovery: true }]);
    await eventually(() => expect(readiness().why).toMatch(why));
    const token = await sign('first', { iss: issuer });
    expect(() => ask(token)).toThrow(Unavailable);
  });
});
