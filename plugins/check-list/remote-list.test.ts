/** Lists from a URL. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { type CheckAnswer, Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { makeAuthority } from '../../test/parts/certificates.ts';
import { freePort } from '../../test/parts/free-port.ts';
import { type Answering, startHttpService, startTcpService } from '../../test/parts/http-service.ts';
import { loopTurnsOf } from '../../test/parts/loop-turns.ts';
import adapter from './adapter.ts';

const folder = mkdtempSync(join(tmpdir(), 'check-list-url-'));
afterAll(() => rmSync(folder, { recursive: true }));

const REFRESH_MS = 100;

testAdapter(adapter, {
  runner: { describe, test },
  config: { values: ['ann'] },
  badConfigs: [
    { config: {}, says: /values: expected values, a file or a url/ },
    { config: { url: 'file:///etc/passwd' }, says: /url: expected http/ },
    { config: { url: 'http://a', tls: {} }, says: /tls: tls is for https/ },
    { config: { url: 'http://a', headers: { host: 'b' } }, says: /headers\.host: the host is that of the url/ },
    { config: { url: 'http://a', file: 'missing.txt' }, says: /missing\.txt cannot be read: ENOENT/ },
  ],
  unreachable: { url: 'http://127.0.0.1:1' },
  check: { allowed: [{ value: 'ann' }], denied: [{ value: 'bob' }] },
});

async function listed(config: object) {
  const opened = await openForTest(adapter, { config: { refreshMs: REFRESH_MS, ...config }, folder });
  onTestFinished(() => opened.close());
  const check = opened.handler.check?.({ rule: 'r', params: undefined });
  const ask = (value: string): CheckAnswer => check?.({ value }, testCall()) as CheckAnswer;
  return {
    ...opened,
    ask,
    has: (value: string): boolean => ask(value).kind === 'allow',
    messages: () => opened.logged.map(({ message }) => message),
  };
}

/** A list at a URL that a test may change; it knows ETags. */
async function publish(lines: string) {
  const state = { lines, etag: '"1"', isBroken: false };
  const answer: Answering = ({ headers }, response) => {
    if (state.isBroken) response.writeHead(503, { 'retry-after': '0' }).end();
    else if (headers['if-none-match'] === state.etag) response.writeHead(304).end();
    else
      response.writeHead(200, { etag: state.etag, 'content-length': Buffer.byteLength(state.lines) }).end(state.lines);
  };
  const service = await startHttpService(answer);
  onTestFinished(() => service.stop());
  return {
    ...service,
    state,
    change: (now: string) => Object.assign(state, { lines: now, etag: `"${Math.random()}"` }),
  };
}

describe('a list from a URL', () => {
  test('is loaded, with the values of the config, and again when it changes, and costs a 304 when it does not', async () => {
    const service = await publish('# revoked\nann\r\n\nbob\n');
    const { has, readiness, messages } = await listed({
      url: `${service.url}/lists/a.txt?v=1`,
      values: ['eve'],
      headers: { authorization: 'Bearer t' },
    });
    await eventually(() => expect(['ann', 'bob', 'eve', 'carl'].map(has)).toEqual([true, true, true, false]));
    expect(readiness().ready).toBe(true);
    expect(service.requests[0]).toMatchObject({
      method: 'GET',
      path: '/lists/a.txt?v=1',
      headers: { authorization: 'Bearer t', accept: 'text/plain, */*' },
    });
    await eventually(() => expect(service.requests.length).toBeGreaterThan(3));
    expect(service.requests.slice(1).every(({ headers }) => headers['if-none-match'] === '"1"')).toBe(true);
    service.change('carl\n');
    await eventually(() => expect(['ann', 'eve', 'carl'].map(has)).toEqual([false, true, true]));
    expect(messages()).toEqual(['a list was loaded from its url', 'a list was loaded from its url']);
    expect(service.connections.all).toBe(1);
  });

  test('asks by Last-Modified, and without either reads an equal text once', async () => {
    const modified = 'Wed, 21 Oct 2026 07:28:00 GMT';
    const service = await startHttpService(({ headers }, response) => {
      if (headers['if-modified-since'] === modified) response.writeHead(304).end();
      else response.writeHead(200, { 'last-modified': modified }).end('ann\n');
    });
    onTestFinished(() => service.stop());
    const { has } = await listed({ url: service.url });
    await eventually(() => expect(service.requests.length).toBeGreaterThan(2));
    expect(service.requests[2]?.headers['if-modified-since']).toBe(modified);
    expect(has('ann')).toBe(true);
    const plain = await startHttpService(
      (_, response) => void response.writeHead(200, { 'content-length': 4 }).end('ann\n'),
    );
    onTestFinished(() => plain.stop());
    const again = await listed({ url: plain.url });
    await eventually(() => expect(plain.requests.length).toBeGreaterThan(3));
    expect(again.messages()).toEqual(['a list was loaded from its url']);
  });

  test('that is not loaded yet fails each call and is not ready, in both directions', async () => {
    const port = await freePort();
    for (const blocks of [true, false]) {
      const { ask, readiness } = await listed({ url: `http://127.0.0.1:${port}`, values: ['ann'], blocks });
      expect(() => ask('ann')).toThrow(Unavailable);
      await eventually(() => expect(() => ask('ann')).toThrow('the list is not loaded: connection refused'));
      expect(readiness()).toEqual({
        ready: false,
        why: `the list of 127.0.0.1:${port} is not loaded: connection refused`,
      });
    }
  });

  test('is loaded as soon as its service is there, after a back-off', async () => {
    const port = await freePort();
    const { has, readiness, messages, metrics } = await listed({ url: `http://127.0.0.1:${port}` });
    await eventually(() => expect(messages()).toEqual(['a list cannot be loaded from its url']));
    const service = await startHttpService(
      (_, response) => void response.writeHead(200, { 'content-length': 4 }).end('ann\n'),
      { port },
    );
    onTestFinished(() => service.stop());
    await eventually(() => expect(has('ann')).toBe(true));
    expect(readiness().ready).toBe(true);
    expect(await metrics()).toMatch(/sluice_plugin_list_refresh_failures_total\{handler="tested"\} [1-9]/);
  });

  test('has a file as its first copy, which the loaded list replaces', async () => {
    writeFileSync(join(folder, 'first.txt'), 'old\n');
    const service = await publish('new\n');
    service.state.isBroken = true;
    const { has, readiness, messages } = await listed({ url: service.url, file: 'first.txt', values: ['ann'] });
    expect(['old', 'new', 'ann'].map(has)).toEqual([true, false, true]);
    await eventually(() => expect(messages()).toContain('a list cannot be loaded from its url'));
    expect(readiness().ready, 'it has a list').toBe(true);
    service.state.isBroken = false;
    await eventually(() => expect(['old', 'new', 'ann'].map(has)).toEqual([false, true, true]));
  });

  test('keeps the last good list through an outage, with one log line for it and one for its end', async () => {
    const service = await publish('ann\n');
    const { has, readiness, messages } = await listed({ url: service.url });
    await eventually(() => expect(has('ann')).toBe(true));
    service.state.isBroken = true;
    const before = service.requests.length;
    await eventually(() => expect(service.requests.length).toBeGreaterThan(before + 3));
    expect([has('ann'), readiness().ready]).toEqual([true, true]);
    service.state.isBroken = false;
    await eventually(() =>
      expect(messages()).toEqual([
        'a list was loaded from its url',
        'a list cannot be loaded from its url; the last good one stays in use',
        'a list can be loaded from its url again; it is unchanged',
      ]),
    );
  });

  const OK = 'HTTP/1.1 200 OK\r\n';
  test.each([
    ['an invalid line', `${OK}content-length: 9\r\n\r\nok # not\n`, /line 1: "ok # not" has a comment after the value/],
    ['nothing', `${OK}content-length: 1\r\n\r\n\n`, /it is empty; if that is intended, write a comment into it/],
    ['more than the bound', `${OK}content-length: 101\r\n\r\n${'x'.repeat(101)}`, /more than 100 bytes/],
    ['half of it', `${OK}content-length: 50\r\n\r\nbob\n`, /before its answer was whole|content-length/],
    ['a text without length', `${OK}\r\nbob\n`, /neither a content-length nor chunks/],
    ['no text', `${OK}content-length: 1\r\n\r\n\xff`, /it is not UTF-8|its answer is not UTF-8/],
    ['a compressed text', `${OK}content-encoding: gzip\r\ncontent-length: 3\r\n\r\nbob`, /compressed \(gzip\)/],
    [
      'a redirect',
      'HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n',
      /it answered 302; expected 200 \(redirects/,
    ],
    [
      'a page of another status',
      'HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nbob',
      /it answered 404; expected 200/,
    ],
    ['no end', '', /no list within 300 ms \(downloadTimeoutMs\)/],
  ])('keeps the last good list after %s', async (_, bytes, says) => {
    let isBad = false;
    const service = await startTcpService((socket) =>
      socket.on('data', () => {
        if (isBad && bytes === '') return;
        const answer = isBad ? bytes : `${OK}content-length: 4\r\n\r\nann\n`;
        socket.write(Buffer.from(answer, 'latin1'));
        if (isBad) socket.end();
      }),
    );
    onTestFinished(() => service.stop());
    const { has, logged } = await listed({ url: service.url, maxFileBytes: 100, downloadTimeoutMs: 300 });
    await eventually(() => expect(has('ann')).toBe(true));
    isBad = true;
    await eventually(() => expect(String(logged.find(({ level }) => level === 'warn')?.fields['why'])).toMatch(says));
    expect([has('ann'), has('bob')]).toEqual([true, false]);
    expect(logged.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  test('is asked for no sooner than its service says, and never later than the next refresh', async () => {
    const times: number[] = [];
    const service = await startHttpService((_, response) => {
      times.push(performance.now());
      response.writeHead(503, { 'retry-after': times.length === 1 ? '1' : '3600' }).end();
    });
    onTestFinished(() => service.stop());
    await listed({ url: service.url, refreshMs: 1500 });
    await eventually(() => expect(times.length).toBe(3));
    const [first = 0, second = 0, third = 0] = times;
    expect(second - first).toBeGreaterThan(850);
    expect(third - second).toBeLessThan(6000);
  });

  test('of a hundred thousand lines answers calls while it is read', async () => {
    const lines = Array.from({ length: 100_000 }, (_, at) => `user-${at}`).join('\n');
    const service = await publish('ann\n');
    const { has } = await listed({ url: service.url });
    await eventually(() => expect(has('ann')).toBe(true));
    service.change(lines);
    const { longestCpuMs, cpuMs } = await loopTurnsOf(() => eventually(() => expect(has('user-99999')).toBe(true)));
    expect(longestCpuMs).toBeLessThan(cpuMs / 2);
  });

  test('leaves nothing behind when its handler closes in the middle of a download', async () => {
    const service = await startTcpService((socket) =>
      socket.once('data', () => socket.write(`${OK}content-length: 10\r\n\r\nann`)),
    );
    onTestFinished(() => service.stop());
    const { close, logged } = await listed({ url: service.url });
    await eventually(() => expect(service.connections.open).toBe(1));
    await close();
    await eventually(() => expect(service.connections.open).toBe(0));
    expect(logged).toEqual([]);
  });

  test('may be at a service with a certificate of an authority of its own', async () => {
    const authority = await makeAuthority();
    onTestFinished(() => authority.remove());
    const { cert, key } = await authority.issue('lists', 'IP:127.0.0.1');
    const tls = { cert: readFileSync(cert), key: readFileSync(key) };
    const service = await startHttpService(
      (_, response) => void response.writeHead(200, { 'content-length': 4 }).end('ann\n'),
      { tls },
    );
    onTestFinished(() => service.stop());
    const { has } = await listed({ url: service.url, tls: { ca: authority.ca } });
    await eventually(() => expect(has('ann')).toBe(true));
    const { readiness } = await listed({ url: service.url });
    await eventually(() => expect(readiness().why).toMatch(/is not loaded: .*signed by no authority of tls\.ca/));
    expect(service.requests.length).toBeGreaterThan(0);
  });
});
