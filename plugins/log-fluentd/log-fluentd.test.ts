import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { FluentServer } from '@fluent-org/logger';
import { decodeMulti, decodeMultiStream, encode } from '@msgpack/msgpack';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type ReportEntry, Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { makeAuthority } from '../../test/parts/certificates.ts';
import { freePort } from '../../test/parts/free-port.ts';
import { startLink } from '../../test/parts/link.ts';
import adapter from './adapter.ts';

interface Event {
  readonly tag: string;
  readonly time: unknown;
  readonly record: Readonly<Record<string, unknown>>;
}
type Options = NonNullable<ConstructorParameters<typeof FluentServer>[0]>;

/** The receiver of @fluent-org/logger, by the authors of the fluentd clients; fluentd itself is in no registry here. */
async function startReceiver(options: Options = {}, events: Event[] = []) {
  const server = new FluentServer({ listenOptions: { port: 0, host: '127.0.0.1' }, ...options });
  server.on('entry', (tag: string, time: unknown, record: Event['record']) => events.push({ tag, time, record }));
  await server.listen();
  return { port: server.port ?? 0, events, stop: () => server.close() };
}

let receiver: Awaited<ReturnType<typeof startReceiver>>;
let port = 0;
const all: Event[] = [];
let before = 0;
beforeAll(async () => {
  receiver = await startReceiver({}, all);
  port = receiver.port;
});
afterAll(() => receiver.stop());
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

testAdapter(adapter, {
  runner: { describe, test },
  config: () => {
    before = all.length;
    return { host: '127.0.0.1', port };
  },
  unreachable: { host: '127.0.0.1', port: 1 },
  badConfigs: [
    { config: { host: 'h', tag: 'a b' }, says: /a tag has no spaces/ },
    { config: { host: 'h', username: 'u', sharedKey: 'k' }, says: /username and password go together/ },
    { config: { host: 'h', username: 'u', password: 'p' }, says: /give sharedKey, too/ },
    { config: { host: 'h', tls: { ca: 'not-there.pem' } }, says: /not-there\.pem/ },
  ],
  report: {
    input: (n) => ({ n, path: `/ü/${n}` }),
    read: () => all.slice(before).map(({ record: { n, path } }) => ({ n, path })),
    away: {
      begin: () => receiver.stop(),
      end: async () => {
        receiver = await startReceiver({ listenOptions: { port, host: '127.0.0.1' } }, all);
      },
    },
  },
});

describe('log-fluentd', () => {
  const open = async (config: object) => {
    const opened = await openForTest(adapter, { config: { host: '127.0.0.1', ...config } });
    ends.push(() => opened.close());
    const sinkOf = (rule: string): unknown => opened.handler.sink?.({ rule, input: {}, params: undefined });
    const entriesOf = (from: number, count: number, rule = 'r'): ReportEntry[] =>
      Array.from({ length: count }, (_, at) => ({
        sink: sinkOf(rule),
        id: `${rule}-${from + at}`,
        timeMs: 1_767_225_600_123,
        input: { n: from + at },
      }));
    const write = async (entries: readonly ReportEntry[]): Promise<unknown> =>
      Promise.resolve(opened.handler.write?.(entries, testCall(30_000))).then(
        () => undefined,
        (error: unknown) => error,
      );
    return { ...opened, sinkOf, entriesOf, write };
  };
  const counted = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

  test('an event has the tag of its rule, its time in nanoseconds, the fields, and id and rule', async () => {
    const { write, sinkOf } = await open({ port, tag: 'mesh.{rule}' });
    const from = all.length;
    const input = { user: 'ann', at: new Date(0), big: 2n ** 70n, none: null, of: { list: [1.5, 'x'] } };
    expect(await write([{ sink: sinkOf('slow'), id: 'id-1', timeMs: 1_767_225_600_123, input }])).toBeUndefined();
    const [event] = all.slice(from);
    expect(event).toMatchObject({
      tag: 'mesh.slow',
      record: {
        user: 'ann',
        at: '1970-01-01T00:00:00.000Z',
        big: String(2n ** 70n),
        none: null,
        of: { list: [1.5, 'x'] },
        sluice_id: 'id-1',
        sluice_rule: 'slow',
      },
    });
    expect(event?.time).toMatchObject({ epoch: 1_767_225_600, nano: 123_000_000 });
  });

  test('proves the shared key and the user over TLS, and sends gzip', async () => {
    const authority = await makeAuthority();
    ends.push(() => authority.remove());
    const { cert, key } = await authority.issue('fluentd', 'DNS:fluentd.test');
    const secure = await startReceiver({
      tlsOptions: { cert: readFileSync(cert), key: readFileSync(key) },
      security: { serverHostname: 'fluentd', sharedKey: 'secret', authorize: true, userDict: { ann: 'pass' } },
    });
    ends.push(() => secure.stop());
    const config = {
      port: secure.port,
      sharedKey: 'secret',
      username: 'ann',
      password: 'pass',
      compress: 'gzip',
      tls: { ca: authority.ca, serverName: 'fluentd.test' },
    };
    const good = await open(config);
    expect(await good.write(good.entriesOf(0, 100))).toBeUndefined();
    expect(secure.events.map(({ record }) => record['n'])).toEqual(counted(100));
    expect(good.readiness().ready).toBe(true);
    for (const wrong of [{ sharedKey: 'other' }, { password: 'other' }]) {
      const bad = await open({ ...config, ...wrong });
      const error = await bad.write(bad.entriesOf(0, 1));
      expect([error instanceof Unavailable, String(error)]).toEqual([
        true,
        expect.stringMatching(
          /fluentd at 127\.0\.0\.1:\d+: it (refused the shared key or the user|closed the connection)/,
        ),
      ]);
      expect(bad.readiness().ready).toBe(false);
      expect(String(error)).not.toMatch(/secret|other|pass\b/);
    }
    const untrusted = await open({ ...config, tls: {} });
    expect(await untrusted.write(untrusted.entriesOf(0, 1))).toBeInstanceOf(Unavailable);
    expect(secure.events).toHaveLength(100);
  }, 20_000);

  test('a receiver that proves no key is not trusted with reports', async () => {
    const fake = await startScripted((socket, message) => {
      if (message === undefined) socket.write(encode(['HELO', { nonce: 'n', auth: '' }]));
      else socket.write(encode(['PONG', true, '', 'fake', '0'.repeat(128)]));
    });
    const { write, entriesOf } = await open({ port: fake.port, sharedKey: 'secret' });
    expect(String(await write(entriesOf(0, 1)))).toMatch(/it does not have the shared key itself/);
  });

  test('acknowledgements are matched by chunk, in any order; only chunks without one are sent again', async () => {
    const chunks: { readonly id: string; readonly tag: string; readonly socket: Socket }[] = [];
    const events: unknown[] = [];
    const fake = await startScripted((socket, message) => {
      if (message === undefined) return;
      const [tag, body, { chunk, compressed }] = message as [
        string,
        Uint8Array,
        { chunk: string; compressed?: string },
      ];
      expect(compressed).toBe('gzip');
      for (const event of decodeMulti(gunzipSync(body)))
        events.push((event as [unknown, { sluice_id: unknown }])[1].sluice_id);
      chunks.push({ id: chunk, tag, socket });
    });
    const { write, entriesOf } = await open({ port: fake.port, compress: 'gzip', tag: '{rule}' });
    const batch = [...entriesOf(0, 2, 'a'), ...entriesOf(0, 2, 'b'), ...entriesOf(0, 2, 'c')];
    let written = write(batch);
    await eventually(() => expect(chunks).toHaveLength(3));
    for (const { id, socket } of chunks.toReversed()) socket.write(encode({ ack: id }));
    expect(await written).toBeUndefined();

    const next = [...entriesOf(2, 1, 'a'), ...entriesOf(2, 1, 'b')];
    chunks.length = events.length = 0;
    written = write(next);
    await eventually(() => expect(chunks).toHaveLength(2));
    const ofB = chunks.find(({ tag }) => tag === 'b');
    ofB?.socket.write(encode({ ack: ofB.id }), () => ofB.socket.end());
    expect(await written).toBeInstanceOf(Unavailable);
    chunks.length = events.length = 0;
    written = write(next);
    await eventually(() => expect(chunks.map(({ tag }) => tag)).toEqual(['a']));
    chunks[0]?.socket.write(encode({ ack: chunks[0].id }));
    expect(await written).toBeUndefined();
    expect(events).toEqual(['a-2']);
  });

  test('a receiver that hangs fails the batch in time, and nothing is lost when it is reached again', async () => {
    const own = await startReceiver();
    ends.push(() => own.stop());
    const link = await startLink(own.port);
    ends.push(() => link.stop());
    const { write, entriesOf, readiness } = await open({ port: link.port, ackTimeoutMs: 300, connectTimeoutMs: 300 });
    expect(await write(entriesOf(0, 10))).toBeUndefined();
    link.cut();
    expect(String(await write(entriesOf(10, 10)))).toMatch(/no acknowledgement for 300 ms/);
    expect(readiness()).toMatchObject({ ready: false });
    link.mend();
    await eventually(async () => expect(await write(entriesOf(10, 10))).toBeUndefined());
    expect(readiness().ready).toBe(true);
    expect([...new Set(own.events.map(({ record }) => record['n']))]).toEqual(counted(20));
  });

  test('a server that speaks another protocol is named as such', async () => {
    const other = await startScripted((socket, message) => {
      if (message === undefined) socket.write('SSH-2.0-OpenSSH_9.2\r\n');
    });
    const { write, entriesOf } = await open({ port: other.port, sharedKey: 'k', ackTimeoutMs: 500 });
    expect(String(await write(entriesOf(0, 1)))).toMatch(/it did not say HELO; is it a forward input\?/);
    const closed = await open({ port: await freePort() });
    expect(String(await closed.write(closed.entriesOf(0, 1)))).toMatch(/ECONNREFUSED/);
  });

  /** Calls `on` without a message for a new connection, then for each message. */
  async function startScripted(on: (socket: Socket, message: unknown) => void): Promise<{ readonly port: number }> {
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      on(socket, undefined);
      void (async () => {
        for await (const message of decodeMultiStream(socket)) on(socket, message);
      })().catch(() => undefined);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return { port: (server.address() as AddressInfo).port };
  }
});
