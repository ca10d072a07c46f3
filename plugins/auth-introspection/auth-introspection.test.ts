import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { type CheckAnswer, Rejected, Unavailable } from 'sluice/plugin';
import { fakeClock, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { type Answering, startHttpService } from '../../test/parts/http-service.ts';
import adapter from './adapter.ts';

const NOW_MS = Date.UTC(2026, 5, 1);
const EXP = NOW_MS / 1000 + 600;
const SAID: Readonly<Record<string, object>> = {
  good: {
    active: true,
    iss: 'https://issuer.test',
    sub: 'ann',
    client_id: 'web',
    scope: 'read write',
    aud: 'shop',
    exp: EXP,
  },
  bank: { active: true, sub: 'ann', aud: ['bank'] },
  over: { active: true, sub: 'ann', aud: 'shop', exp: EXP - 601 },
};
const answers: Answering = ({ body, headers, method }, response) => {
  const isUs = headers.authorization === `Basic ${Buffer.from('shop:a%3A+b').toString('base64')}` && method === 'POST';
  const token = new URLSearchParams(body).get('token') ?? '';
  const text = JSON.stringify(SAID[token] ?? { active: false });
  response.writeHead(isUs ? 200 : 401, { 'content-length': text.length }).end(text);
};
const service = await startHttpService(answers);
afterAll(() => service.stop());
const config = { url: `${service.url}/introspect`, clientId: 'shop', clientSecret: 'a: b', audiences: ['shop'] };
const bearer = (token: string) => ({ 'headers.authorization': `Bearer ${token}` });

testAdapter(adapter, {
  runner: { describe, test },
  config,
  clock: () => fakeClock(NOW_MS),
  unreachable: { ...config, url: 'http://127.0.0.1:1' },
  badConfigs: [{ config: { ...config, url: 'ftp://a' }, says: /url: expected http/ }],
  check: { allowed: [bearer('good')], denied: [{}, bearer('bad'), bearer('bank'), bearer('over'), bearer('a\nb')] },
  enrich: {
    known: [
      {
        input: bearer('good'),
        output: {
          issuer: 'https://issuer.test',
          subject: 'ann',
          client: 'web',
          audiences: ['shop'],
          expires: new Date(EXP * 1000),
          scopes: ['read', 'write'],
          claims: SAID['good'],
        },
      },
    ],
    unknown: [{}, bearer('bad')],
  },
});

async function opened(more: object = {}) {
  const clock = fakeClock(NOW_MS);
  const { handler, close } = await openForTest(adapter, { config: { ...config, ...more }, clock });
  onTestFinished(() => close());
  const check = handler.check?.({ rule: 'r', params: { required: true, scopes: [] } }) as NonNullable<
    ReturnType<NonNullable<typeof handler.check>>
  >;
  const ask = (token: string) => check(bearer(token), testCall()) as CheckAnswer | Promise<CheckAnswer>;
  return { ask, clock };
}

test('an answer is kept for cacheMs, and no longer than the token is valid', async () => {
  const { ask, clock } = await opened({ cacheMs: 3_600_000 });
  const before = service.requests.length;
  const first = await Promise.all([ask('good'), ask('good'), ask('good')]);
  expect(first.map(({ kind }) => kind)).toEqual(['allow', 'allow', 'allow']);
  expect(ask('good')).toMatchObject({ kind: 'allow' });
  expect(service.requests.length).toBe(before + 1);
  clock.advance(601_000);
  expect(await ask('good')).toMatchObject({ kind: 'deny', code: 16, reason: 'the token is not active' });
  expect(service.requests.length).toBe(before + 2);
});

test('after the clock was set back, an answer is kept no longer than cacheMs', async () => {
  const { ask, clock } = await opened({ cacheMs: 60_000 });
  await ask('good');
  const before = service.requests.length;
  clock.set(NOW_MS - 3_600_000);
  expect(await ask('good')).toMatchObject({ kind: 'allow' });
  expect(ask('good')).toMatchObject({ kind: 'allow' });
  expect(service.requests.length).toBe(before + 1);
});

test('the answer to a bad token has the challenge', async () => {
  const { ask } = await opened();
  expect(await ask('bad')).toMatchObject({
    kind: 'deny',
    headers: { 'www-authenticate': 'Bearer error="invalid_token", error_description="the token is not active"' },
  });
});

test.each<[name: string, answer: Answering, error: unknown]>([
  ['refuses our password', (_, response) => response.writeHead(401).end(), Error],
  ['does not say active', (_, response) => response.writeHead(200).end('{}'), Rejected],
  ['is gone', (_, response) => response.destroy(), Unavailable],
  ['sends a large body', (_, response) => response.writeHead(200).end(' '.repeat(100_000)), Rejected],
])('a server that %s fails the call, and refuses no token', async (_, answer, error) => {
  const { ask } = await opened();
  service.answer = answer;
  onTestFinished(() => {
    service.answer = answers;
  });
  await expect((async () => ask('other'))()).rejects.toThrow(error as new () => Error);
});
