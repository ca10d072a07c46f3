/** The HTTP port under a burst, strange callers, a slow handler, a drain, and with workers. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../parts/free-port.ts';
import { sendRaw } from '../parts/raw-http.ts';
import { type ServedSluice, serveSluice, until } from './sluice.ts';

/** Asked by check-http: holds each answer until it is released. */
let slow: Server;
const waiting: (() => void)[] = [];
let gone = 0;

const policy = (port: number): string => `
handlers:
  slow: { adapter: check-http, config: { url: "http://127.0.0.1:${port}" }, deadline: 20s }
rules:
  - name: denied
    match: request.url_path == "/denied"
    deny: { status: 403, body: no }
  - name: slow
    match: request.url_path == "/slow"
    check: { handler: slow, params: { path: "" }, input: {} }
  - name: odd
    match: request.url_path == "/odd"
    deny: { status: 403, headers: { x-said: "\${request.query[?'say'].orValue('')}" } }
`;

let sluice: ServedSluice;
beforeAll(async () => {
  slow = createServer((request, response) => {
    waiting.push(() => response.end('{}'));
    response.once('close', () => {
      if (!response.writableFinished) gone++;
    });
    request.resume();
  });
  slow.listen(0, '127.0.0.1');
  await once(slow, 'listening');
  sluice = await serveSluice(policy((slow.address() as AddressInfo).port), { args: ['--http', '127.0.0.1:0'] });
});
afterAll(async () => {
  slow.closeAllConnections();
  slow.close();
  await sluice.stop();
});

const port = (): number => sluice.httpPort ?? 0;
const GET = 'GET /envoy/a HTTP/1.1';

async function connected(to: number): Promise<Socket> {
  const socket = connect({ port: to, host: '127.0.0.1' });
  await once(socket, 'connect');
  return socket;
}
/** The statuses of answers as they come. */
function statusesOf(socket: Socket): number[] {
  const statuses: number[] = [];
  socket.on('data', (part) => {
    for (const [, status] of part.toString('latin1').matchAll(/HTTP\/1\.1 (\d+)/g)) statuses.push(Number(status));
  });
  socket.on('error', () => socket.destroy());
  return statuses;
}

describe('a burst', () => {
  test('10 000 calls at once over 1000 connections are each answered right', async () => {
    const [connections, each] = [1000, 10];
    const counts = { 200: 0, 403: 0, other: 0 };
    const one = async (number: number): Promise<void> => {
      const socket = await connected(port());
      let text = '';
      socket.on('data', (part) => {
        text += part.toString('latin1');
      });
      const requests = Array.from({ length: each }, (_, at) =>
        [`GET /envoy/${(number + at) % 2 === 0 ? 'a' : 'denied'} HTTP/1.1`, 'host: a', ''].join('\r\n'),
      );
      socket.write(
        `${requests.map((request) => `${request}\r\n`).join('')}GET /envoy/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`,
      );
      await once(socket, 'close');
      const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status)).slice(0, each);
      statuses.forEach((status, at) => {
        const right = (number + at) % 2 === 0 ? 200 : 403;
        if (status === right) counts[right]++;
        else counts.other++;
      });
    };
    await Promise.all(Array.from({ length: connections }, async (_, number) => one(number)));
    expect(counts).toEqual({ 200: 5000, 403: 5000, other: 0 });
  });
});

describe('strange callers', () => {
  test('a path without a route is 404, and a method that HTTP lacks is 400', async () => {
    expect((await sendRaw(port(), 'GET /a HTTP/1.1')).status).toBe(404);
    expect((await sendRaw(port(), 'GET http://a/envoy/a HTTP/1.1')).status).toBe(404);
    expect((await sendRaw(port(), 'NONSENSE /envoy/a HTTP/1.1')).status).toBe(400);
  });

  test('large headers pass up to their limit', async () => {
    expect((await sendRaw(port(), GET, ['host: a', `x-a: ${'a'.repeat(60_000)}`])).status).toBe(200);
    expect((await sendRaw(port(), GET, ['host: a', `x-a: ${'a'.repeat(90_000)}`])).status).toBe(431);
    const many = Array.from({ length: 3000 }, (_, at) => `x-${at}: 1`);
    expect((await sendRaw(port(), GET, ['host: a', ...many])).status).toBe(200);
  });

  test('a body beyond the limit is refused, whether its length is stated or not', async () => {
    expect((await sendRaw(port(), 'POST /envoy/a HTTP/1.1', ['host: a', 'content-length: 4194305'])).status).toBe(413);
    const socket = await connected(port());
    const statuses = statusesOf(socket);
    socket.write('POST /envoy/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
    for (let sent = 0; sent < 5 && !socket.destroyed; sent++) socket.write(`100000\r\n${'a'.repeat(0x10_00_00)}\r\n`);
    await until('its refusal', () => (statuses.length > 0 ? true : undefined));
    expect(statuses).toEqual([413]);
    socket.destroy();
  });

  test('two lengths, or a length beside chunks, are refused', async () => {
    const two = ['host: a', 'content-length: 1', 'content-length: 2'];
    expect((await sendRaw(port(), 'POST /envoy/a HTTP/1.1', two)).status).toBe(400);
    const both = ['host: a', 'content-length: 5', 'transfer-encoding: chunked'];
    expect((await sendRaw(port(), 'POST /envoy/a HTTP/1.1', both)).status).toBe(400);
  });

  test('a header of a dialect that is sent twice or not at all is refused and logged', async () => {
    const headers = ['host: a', 'x-forwarded-method: GET', 'x-forwarded-uri: /denied', 'x-forwarded-host: a'];
    expect((await sendRaw(port(), 'GET /forward HTTP/1.1', headers)).status).toBe(403);
    expect((await sendRaw(port(), 'GET /forward HTTP/1.1', [...headers, 'x-forwarded-uri: /a'])).status).toBe(400);
    expect((await sendRaw(port(), 'GET /forward HTTP/1.1', headers.slice(0, 3))).status).toBe(400);
    await until('a log line', () => sluice.log.find((line) => line.includes('a call over HTTP was refused')));
  });

  test("a text of a rule cannot add a line to the answer's headers", async () => {
    const answer = await sendRaw(port(), 'GET /envoy/odd?say=a%0d%0ax-evil:%201 HTTP/1.1');
    expect(answer.headers.has('x-evil')).toBe(false);
    expect([403, 503]).toContain(answer.status);
  });

  test('a caller that leaves while it sends its body disturbs no one', async () => {
    for (let at = 0; at < 50; at++) {
      const socket = await connected(port());
      socket.write('POST /envoy/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc');
      socket.destroy();
    }
    expect((await sendRaw(port(), GET)).status).toBe(200);
    expect(sluice.log.filter((line) => line.includes('internal error'))).toEqual([]);
  });
});

describe('a handler that waits', () => {
  test('a caller that leaves ends the work for its call', async () => {
    const before = gone;
    const socket = await connected(port());
    socket.write('GET /envoy/slow HTTP/1.1\r\nhost: a\r\n\r\n');
    await until('the handler to be asked', () => (waiting.length > 0 ? true : undefined));
    socket.destroy();
    await until('the handler to be left', () => (gone > before ? true : undefined));
    waiting.length = 0;
  });

  test("Envoy's timeout ends it, with 503", async () => {
    const beganAtMs = performance.now();
    const headers = ['host: a', 'x-envoy-expected-rq-timeout-ms: 300'];
    const { status } = await sendRaw(port(), 'GET /envoy/slow HTTP/1.1', headers);
    expect([403, 503]).toContain(status);
    expect(performance.now() - beganAtMs).toBeLessThan(20_000); // the handler itself never answers
    waiting.length = 0;
  });

  test('others are answered meanwhile', async () => {
    const late = Array.from({ length: 20 }, async () => sendRaw(port(), 'GET /envoy/slow HTTP/1.1'));
    await until('the handler to be asked', () => (waiting.length > 0 ? true : undefined));
    expect((await sendRaw(port(), GET)).status).toBe(200);
    let settled = false;
    const all = Promise.all(late).finally(() => {
      settled = true;
    });
    while (!settled) {
      for (const release of waiting.splice(0)) release();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await all).map(({ status }) => status)).toEqual(late.map(() => 200));
  });
});

test('a server that drains answers the call in flight, closes its connection and takes no other', async () => {
  const socket = await connected(port());
  const idle = await connected(port());
  const [statuses, before, ended] = [statusesOf(socket), statusesOf(idle), once(idle, 'close')];
  idle.write('GET /envoy/a HTTP/1.1\r\nhost: a\r\n\r\n');
  await until('an answer', () => before[0]);
  socket.write('GET /envoy/slow HTTP/1.1\r\nhost: a\r\n\r\n');
  await until('the handler to be asked', () => (waiting.length > 0 ? true : undefined));
  const exited = once(sluice.child, 'exit');
  sluice.child.kill('SIGTERM');
  await ended;
  await until('new connections to be refused', async () =>
    connected(port()).then(
      (late) => void late.on('error', () => late.destroy()).destroy(),
      ({ code }: NodeJS.ErrnoException) => code === 'ECONNREFUSED' || undefined,
    ),
  );
  for (const release of waiting.splice(0)) release();
  await exited;
  expect(statuses).toEqual([200]);
  expect((await exited)[0]).toBe(0);
});

test('all workers serve it', async () => {
  const [http, rules] = [await freePort(), 'rules: [{ name: no, match: request.url_path == "/denied", deny: {} }]'];
  await using crew = await serveSluice(rules, { args: ['--http', `127.0.0.1:${http}`, '--workers', '2'] });
  try {
    const statuses = await Promise.all(
      Array.from({ length: 200 }, async (_, at) => {
        const { status } = await sendRaw(http, `GET /envoy/${at % 2 === 0 ? 'a' : 'denied'} HTTP/1.1`);
        return status;
      }),
    );
    expect(statuses).toEqual(statuses.map((_, at) => (at % 2 === 0 ? 200 : 403)));
    const { workers } =
      (await (await crew.admin('/metrics')).text()).match(/sluice_workers (?<workers>\d+)/)?.groups ?? {};
    expect(workers).toBe('2');
  } finally {
    await crew.stop();
  }
});
