/** Who may reset a counter at the debug port, wherever it listens. */
import { connect } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ThreadEngine, openEngine } from '../../../src/ratelimit/serve/engine.ts';
import { readConfigs } from '../../../src/ratelimit/config/read.ts';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import { addDebug, listenHttp } from '../../../src/ratelimit/serve/pages.ts';
import { readSettings } from '../../../src/ratelimit/settings/settings.ts';

let engine: ThreadEngine;
let app: FastifyInstance;
beforeEach(async () => {
  const metrics = new RatelimitMetrics();
  const { domains } = readConfigs(
    [{ file: 'f', text: 'domain: d\ndescriptors:\n  - key: k\n    rate_limit: { unit: day, requests_per_unit: 5 }\n' }],
    { mergeDomains: false },
  );
  engine = await openEngine({
    settings: readSettings({ BACKEND_TYPE: 'memory' }).settings,
    metrics,
    answerJson: () => Promise.reject(new Error('nobody asks')),
  });
  engine.use([], domains);
  app = fastify();
  addDebug(app, engine, metrics, () => domains);
});
afterEach(async () => {
  await app.close();
  await engine.close();
});

const reset = async (remoteAddress: string, headers: Readonly<Record<string, string>> = {}): Promise<unknown[]> => {
  const { statusCode, body } = await app.inject({
    method: 'POST',
    url: '/limits/reset?domain=d&key=k&value=v',
    remoteAddress,
    headers,
  });
  return [statusCode, JSON.parse(body)];
};
const REFUSED = [403, { error: 'counters can be reset from this machine only, and not by web pages of others' }];

test.each(['127.0.0.1', '::1', '::ffff:127.0.0.1'])('by a program at %s', async (address) => {
  expect(await reset(address)).toEqual([200, expect.objectContaining({ domain: 'd', count: 0 })]);
});

test.each(['10.1.2.3', '127.0.0.6', '::ffff:10.1.2.3', 'fe80::1', '128.0.0.1'])(
  'not from %s, which may look',
  async (address) => {
    expect(await reset(address)).toEqual(REFUSED);
    expect(
      (await app.inject({ url: '/limits/inspect?domain=d&key=k&value=v', remoteAddress: address })).statusCode,
    ).toBe(200);
  },
);

test.each(['http://elsewhere.example', 'http://127.0.0.1:6070', 'null'])(
  'not by a page of %s in a browser of this machine',
  async (origin) => {
    expect(await reset('127.0.0.1', { origin })).toEqual(REFUSED);
  },
);

test.each([
  ['a body', 'POST /json HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{'],
  ['headers', 'GET / HTTP/1.1\r\nhost'],
])('%s that do not end: the request is given up', async (_what, sent) => {
  await using stack = new AsyncDisposableStack();
  const port = await listenHttp(
    '127.0.0.1',
    0,
    stack,
    (app) => {
      app.post('/json', async () => 'ok');
    },
    100,
  );
  const socket = connect(port, '127.0.0.1');
  socket.write(sent);
  let answer = '';
  for await (const chunk of socket.setEncoding('latin1')) answer += String(chunk);
  expect(answer).toMatch(/^HTTP\/1\.1 408 /);
});
