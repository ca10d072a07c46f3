/** A service that is away, slow, broken or not the one it should be; the client is that of enrich-http as well. */
import { readFile, writeFile, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type CheckAnswer, Rejected, Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testCall } from 'sluice/plugin/testing';
import { type Authority, makeAuthority } from '../../test/parts/certificates.ts';
import { freePort } from '../../test/parts/free-port.ts';
import { type Answering, json, startHttpService, startTcpService } from '../../test/parts/http-service.ts';
import adapter from './adapter.ts';

async function open(url: string, config: object = {}, params: object = {}, folder?: string) {
  const opened = await openForTest(adapter, {
    config: { url, ...config },
    ...(folder === undefined ? {} : { folder }),
  });
  onTestFinished(() => opened.close());
  const check = opened.handler.check?.({ rule: 'r', params: adapter.serves.check?.params?.parse(params) });
  return {
    ...opened,
    ask: async (withinMs = 5000, input: object = {}): Promise<CheckAnswer> =>
      check?.({ ...input }, testCall(withinMs)) as Promise<CheckAnswer>,
  };
}
const fine: Answering = (_, response) => json(response, {});

async function failureOf(asked: Promise<unknown>): Promise<Error> {
  return asked.then(
    () => Promise.reject(new Error('it was answered')),
    (error: Error) => error,
  );
}

describe('a service that is away', () => {
  test('fails each call, is not ready, and is found again without a call', async () => {
    const port = await freePort();
    const { ask, readiness } = await open(`http://127.0.0.1:${port}`);
    const error = await failureOf(ask());
    expect(error).toBeInstanceOf(Unavailable);
    expect(error.message).toBe(`127.0.0.1:${port}: connection refused`);
    expect(readiness()).toEqual({ ready: false, why: `127.0.0.1:${port}: connection refused` });
    const service = await startHttpService(fine, { port });
    onTestFinished(() => service.stop());
    await eventually(() => expect(readiness().ready).toBe(true));
    expect(service.requests).toEqual([]);
    expect(await ask()).toMatchObject({ kind: 'allow' });
  });

  test('is one whose name cannot be resolved', async () => {
    const { ask, readiness } = await open('http://authz.invalid');
    expect((await failureOf(ask())).message).toMatch(/^authz\.invalid: its name cannot be resolved/);
    expect(readiness().ready).toBe(false);
  });

  test('goes and comes between calls, and each call has its own answer', async () => {
    const first = await startHttpService(fine);
    const { ask } = await open(first.url);
    expect(await ask()).toMatchObject({ kind: 'allow' });
    await first.stop();
    expect(await failureOf(ask())).toBeInstanceOf(Unavailable);
    const second = await startHttpService((_, response) => void response.writeHead(403).end(), { port: first.port });
    onTestFinished(() => second.stop());
    expect(await ask()).toMatchObject({ kind: 'deny' });
  });
});

describe('a service that hangs', () => {
  const sends = {
    nothing: '',
    'half of its headers': 'HTTP/1.1 200 OK\r\ncontent-ty',
    'no body': 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n',
    'half of its body': 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{',
    'a chunk of its body': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n',
  };
  test.each(Object.entries(sends))('after %s is abandoned with its connection when the call ends', async (_, bytes) => {
    const service = await startTcpService((socket) => socket.once('data', () => socket.write(bytes)));
    onTestFinished(() => service.stop());
    const { ask } = await open(service.url, { connections: 4 });
    for (let round = 0; round < 3; round++) {
      const errors = await Promise.all(Array.from({ length: 20 }, () => failureOf(ask(100))));
      for (const error of errors) expect(error).toMatchObject({ name: 'AbortError' });
      expect(errors[0]).toBeInstanceOf(Unavailable);
    }
    await eventually(() => expect(service.connections.open).toBe(0));
    expect(service.connections.all).toBeLessThanOrEqual(3 * 20);
  });

  test('before its TLS handshake holds no connection of a call that is over, nor the next one', async () => {
    const service = await startTcpService((socket) => socket.resume());
    onTestFinished(() => service.stop());
    const { ask } = await open(service.url.replace('http:', 'https:'), { connections: 2, connectTimeoutMs: 300 });
    const errors = await Promise.all(Array.from({ length: 20 }, () => failureOf(ask(100))));
    expect(new Set(errors.map(({ name }) => name))).toEqual(new Set(['AbortError']));
    await eventually(() => expect(service.connections.open).toBe(0));
    expect((await failureOf(ask(5000))).message).toMatch(/no connection within connectTimeoutMs$/);
  });

  test('for one call answers others, within the connections that the config allows', async () => {
    const service = await startHttpService(({ path }, response) => {
      if (path !== '/hang') json(response, {});
    });
    onTestFinished(() => service.stop());
    const { ask } = await open(service.url, { connections: 2 }, { path: '{path}' });
    void failureOf(ask(60_000, { path: 'hang' })); // until the handler closes
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask(60_000, { path: 'x' })));
    expect(answers.every(({ kind }) => kind === 'allow')).toBe(true);
    expect(service.connections.all).toBe(2);
  });

  test('does not take the answer of a call that is over for that of the next', async () => {
    const service = await startHttpService(({ path }, response) => {
      setTimeout(() => json(response, { path }), path === '/slow' ? 300 : 0);
    });
    onTestFinished(() => service.stop());
    const { ask } = await open(service.url, { connections: 1 }, { path: '{path}' });
    for (let round = 0; round < 5; round++) {
      await failureOf(ask(100, { path: 'slow' }));
      expect((await ask(5000, { path: `${round}` })).output?.['body']).toEqual({ path: `/${round}` });
    }
  });
});

describe('an answer that is broken', () => {
  const OK = 'HTTP/1.1 200 OK\r\n';
  test.each([
    [
      'half a body',
      `${OK}content-length: 10\r\n\r\n{"a`,
      /it closed the connection before its answer was whole|content-length/,
    ],
    ['half a chunk', `${OK}transfer-encoding: chunked\r\n\r\na\r\n{"a`, /before its answer was whole|does not match/],
    ['no answer', '', /it closed the connection before its answer was whole|it reset the connection/],
    ['another protocol', 'SSH-2.0-OpenSSH_9.9\r\n', /does not match the HTTP\/1\.1 protocol/],
    ['two lengths', `${OK}content-length: 2\r\ncontent-length: 3\r\n\r\n{}x`, /content-length/],
    ['a length that is no number', `${OK}content-length: x\r\n\r\n{}`, /does not match the HTTP\/1\.1 protocol/],
    ['headers without end', `${OK}${'x: y\r\n'.repeat(20_000)}`, /its answer has too many headers/],
  ])('%s is no answer, and the service counts as unavailable', async (_, bytes, says) => {
    const service = await startTcpService((socket) => socket.once('data', () => socket.end(bytes)));
    onTestFinished(() => service.stop());
    const { ask } = await open(service.url);
    const error = await failureOf(ask());
    expect(error.message).toMatch(says);
    expect(error).toBeInstanceOf(Unavailable);
  });

  test('more than its content-length reaches no other call', async () => {
    const service = await startTcpService((socket) =>
      socket.on('data', (request: Buffer) => {
        const extra = request.includes('/first') ? `${OK}content-length: 8\r\n\r\n"forged"` : '';
        socket.write(`${OK}content-type: application/json\r\ncontent-length: 6\r\n\r\n"real"${extra}`);
      }),
    );
    onTestFinished(() => service.stop());
    const { ask } = await open(service.url, { connections: 1 }, { path: '{path}' });
    const bodies = [];
    for (const path of ['first', 'second', 'third']) bodies.push((await ask(5000, { path })).output?.['body']);
    expect(bodies).toEqual(['real', 'real', 'real']);
  });

  test.each(['content-length', 'chunked'])(
    'a body above the bound fails, with %s, and its connection ends',
    async (how) => {
      const service = await startHttpService((_, response) => {
        if (how === 'content-length') response.setHeader('content-length', 200_000);
        for (let at = 0; at < 200; at++) response.write('x'.repeat(1000));
        response.end();
      });
      onTestFinished(() => service.stop());
      const { ask, readiness } = await open(service.url, { maxBodyBytes: 1000 });
      const error = await failureOf(ask());
      expect(error).toBeInstanceOf(Rejected);
      expect(error.message).toBe('its answer has a body of more than 1000 bytes (maxBodyBytes)');
      await eventually(() => expect(service.connections.open).toBe(0));
      expect(readiness().ready).toBe(true);
    },
  );

  test('a body without end is read no further than its bound', async () => {
    let sent = 0;
    const service = await startTcpService((socket) => {
      socket.once('data', () => {
        socket.write(`${OK}\r\n`);
        const more = (): void => {
          while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 'x'))) sent += 65_536;
        };
        socket.on('drain', more);
        more();
      });
    });
    onTestFinished(() => service.stop());
    const { ask } = await open(service.url);
    expect((await failureOf(ask())).message).toMatch(/more than 65536 bytes/);
    await eventually(() => expect(service.connections.open).toBe(0));
    expect(sent).toBeLessThan(50_000_000);
  });
});

describe('a service that closes connections', () => {
  test('after each answer, without a word, is asked on a new one each time', async () => {
    const service = await startHttpService((_, response) => {
      json(response, {});
      response.once('finish', () => setTimeout(() => response.socket?.destroy(), 1));
    });
    onTestFinished(() => service.stop());
    const { ask } = await open(service.url);
    for (let call = 0; call < 100; call++) expect(await ask()).toMatchObject({ kind: 'allow' });
  });

  test('when the next request arrives is asked once more for a GET, and not for a POST', async () => {
    const closing = async (params: object) => {
      const requests: number[] = [];
      const service = await startTcpService((socket, connection) =>
        socket.on('data', () => {
          requests.push(connection);
          if (requests.filter((one) => one === connection).length > 1) socket.resetAndDestroy();
          else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
        }),
      );
      onTestFinished(() => service.stop());
      return { requests, ...(await open(service.url, { connections: 1 }, params)) };
    };
    const get = await closing({});
    for (let call = 0; call < 3; call++) expect(await get.ask()).toMatchObject({ kind: 'allow' });
    expect(get.requests).toEqual([0, 0, 1, 1, 2]);
    const post = await closing({ method: 'POST' });
    expect(await post.ask(5000, { body: 1 })).toMatchObject({ kind: 'allow' });
    expect(await failureOf(post.ask(5000, { body: 1 }))).toBeInstanceOf(Unavailable);
    expect(post.requests).toEqual([0, 0]);
  });
});

describe('TLS', () => {
  let authority: Authority;
  let other: Authority;
  let server: { cert: Buffer; key: Buffer };
  const read = async ({ cert, key }: { cert: string; key: string }) => ({
    cert: await readFile(cert),
    key: await readFile(key),
  });
  beforeAll(async () => {
    [authority, other] = await Promise.all([makeAuthority(), makeAuthority()]);
    server = await read(await authority.issue('server', 'IP:127.0.0.1,DNS:authz.test'));
  });
  afterAll(async () => {
    await Promise.all([authority.remove(), other.remove()]);
  });
  const start = async (options: object = {}) => {
    const service = await startHttpService(fine, { tls: { ...server, ...options } });
    onTestFinished(() => service.stop());
    return service;
  };

  test('asks a service whose certificate its authority has signed, by the name of the url or of the config', async () => {
    const { url } = await start();
    expect(await (await open(url, { tls: { ca: authority.ca } })).ask()).toMatchObject({ kind: 'allow' });
    const named = await open(url, { tls: { ca: authority.ca, serverName: 'authz.test' } });
    expect(await named.ask()).toMatchObject({ kind: 'allow' });
  });

  test('asks no service with a certificate of another authority, another name, or none', async () => {
    const { url, requests } = await start();
    const failure = async (at: string, tls: object): Promise<string> => {
      const opened = await open(at, { tls });
      const error = await failureOf(opened.ask());
      expect(error).toBeInstanceOf(Unavailable);
      expect(opened.readiness().ready).toBe(false);
      return error.message;
    };
    expect(await failure(url, { ca: other.ca })).toMatch(/signed by no authority of tls\.ca/);
    expect(await failure(url, {})).toMatch(/signed by no authority of tls\.ca/);
    expect(await failure(url, { ca: authority.ca, serverName: 'shop.test' })).toMatch(/shop\.test/);
    const plain = await startHttpService(fine);
    onTestFinished(() => plain.stop());
    expect(await failure(plain.url.replace('http:', 'https:'), { ca: authority.ca })).toMatch(
      /it does not speak TLS there/,
    );
    expect([...requests, ...plain.requests]).toEqual([]);
  });

  test('shows its own certificate; a renewed one is shown by new connections, a bad one never', async () => {
    const folder = authority.folder;
    const at = (name: string): string => join(folder, name);
    const old = await other.issue('old', 'DNS:sluice');
    const renewed = await authority.issue('renewed', 'DNS:sluice');
    await copyFile(old.cert, at('own.pem'));
    await copyFile(old.key, at('own.key'));
    const service = await start({ requestCert: true, rejectUnauthorized: true, ca: await readFile(authority.ca) });
    const tls = { ca: 'ca.pem', cert: 'own.pem', key: 'own.key' };
    const { ask, logged } = await open(service.url, { tls }, {}, folder);
    expect(await failureOf(ask())).toBeInstanceOf(Unavailable);
    await copyFile(renewed.cert, at('own.pem')); // its key comes later
    await eventually(async () => {
      await failureOf(ask());
      expect(logged.map(({ message }) => message)).toContain(
        'renewed certificate cannot be used; the last good one stays until cert and key belong together',
      );
    });
    await copyFile(renewed.key, at('own.key'));
    await eventually(async () => expect(await ask()).toMatchObject({ kind: 'allow' }));
    await writeFile(at('own.pem'), 'nonsense');
    await eventually(() =>
      expect(logged.filter(({ message }) => message.startsWith('watched file is invalid'))).toHaveLength(1),
    );
    await sleep(4500); // the connection that was open is idle for longer than it is kept
    expect(await ask()).toMatchObject({ kind: 'allow' });
  });

  test('is refused on open where cert and key do not belong together', async () => {
    const [one, another] = await Promise.all([authority.issue('one', 'DNS:a'), authority.issue('another', 'DNS:b')]);
    await expect(open('https://127.0.0.1:1', { tls: { cert: one.cert, key: another.key } })).rejects.toThrow(
      /tls: .*key values mismatch/,
    );
  });
});
