/** TLS clients of servers at an IP address: no name in the handshake (RFC 6066), and a certificate for that address. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { openForTest } from '../../../src/adapters/testing/index.ts';
import { connectionOptions, redisShape, type RedisAddress } from '../../../src/counting/redis/config.ts';
import { openConnection } from '../../../src/counting/redis/connection.ts';
import { RedisPipe } from '../../../src/counting/redis/pipe.ts';
import { ApiConnection } from '../../../src/kubernetes/api-connection.ts';
import { redisAddress } from '../../../src/ratelimit/charge/redis-address.ts';
import { readSettings } from '../../../src/ratelimit/settings/settings.ts';
import { dialGrpc } from '../../../src/transport/index.ts';
import { connectStreams } from '../../../src/transport/streams-client.ts';
import logFluentd from '../../../plugins/log-fluentd/adapter.ts';
import { type Authority, makeAuthority } from '../../parts/certificates.ts';

interface Server {
  readonly host: string;
  readonly port: number;
  /** The file, and its content. */
  readonly caFile: string;
  readonly ca: string;
  readonly serverName: string | undefined;
}
/** Connects, and ends the client when the signal says so. */
type Connect = (to: Server, signal: AbortSignal) => unknown;

const named = (serverName: string | undefined): { readonly serverName?: string } =>
  serverName === undefined ? {} : { serverName };
const dialled = ({ ca, serverName }: Server) => ({ ca: Buffer.from(ca), ...named(serverName) });
const closing = (signal: AbortSignal, client: { close(): unknown }): void =>
  signal.addEventListener('abort', () => void client.close());
const redisOf = async ({ host, port, caFile, serverName }: Server): Promise<RedisAddress> => {
  const config = { url: `rediss://${host}:${port}`, tls: { ca: caFile, ...named(serverName) } };
  return connectionOptions(z.object(redisShape).parse(config), '/');
};

const CLIENTS: Readonly<Record<string, Connect>> = {
  Redis: async (to, signal) =>
    closing(signal, openConnection({ redis: await redisOf(to), timeoutMs: 1000, onReady() {} })),
  "Redis' second connection": async (to, signal) => {
    const { host = '', port = 0, tls = {} } = await redisOf(to);
    closing(signal, new RedisPipe({ host, port, tls }, { ready() {}, closed() {} }));
  },
  'gRPC calls': (to, signal) => {
    const client = dialGrpc(`${to.host}:${to.port}`, { tls: dialled(to) });
    closing(signal, client);
    return client.unary('/a.B/C', new Uint8Array(), { timeoutMs: 5000 });
  },
  'gRPC streams': (to, signal) =>
    connectStreams({ host: to.host, port: to.port }, { tls: dialled(to), withinMs: 5000, signal }),
  'an API server': (to, signal) => {
    const connection = new ApiConnection({
      url: `https://${to.host}:${to.port}`,
      tls: { ca: to.ca, servername: to.serverName },
    });
    closing(signal, connection);
    const options = { query: {}, accept: 'application/json', signal, answerWithinMs: 5000, silentAfterMs: 5000 };
    return connection.get('/api', options);
  },
  fluentd: async (to, signal) => {
    const config = { host: to.host, port: to.port, tls: { ca: to.caFile, ...named(to.serverName) } };
    closing(signal, await openForTest(logFluentd, { config }));
  },
};

let authority: Authority;
let files: { readonly cert: string; readonly key: string };
beforeAll(async () => {
  authority = await makeAuthority();
  files = await authority.issue('server', 'IP:127.0.0.1,DNS:localhost');
});
afterAll(() => authority.remove());

/** The name in the handshake that a client completes; `false`: none. */
async function nameOf(connect: Connect, host: string, serverName?: string): Promise<unknown> {
  const pems = { cert: readFileSync(files.cert), key: readFileSync(files.key) };
  const server = createServer({ ...pems, ALPNProtocols: ['h2', 'http/1.1'] });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ends = new AbortController();
  try {
    const seen = once(server, 'secureConnection');
    const to = { host, port, caFile: authority.ca, ca: readFileSync(authority.ca, 'utf8'), serverName };
    Promise.resolve(connect(to, ends.signal)).catch(() => undefined); // the server says nothing
    const [socket] = (await seen) as [{ readonly servername: unknown; on(event: string, then: () => void): void }];
    socket.on('error', () => {}); // the client closes it
    return socket.servername;
  } finally {
    ends.abort();
    server.close();
  }
}

test.each(Object.entries(CLIENTS))('%s', async (_name, connect) => {
  expect(await nameOf(connect, '127.0.0.1')).toBe(false);
  expect(await nameOf(connect, '127.0.0.1', '127.0.0.1')).toBe(false);
  expect(await nameOf(connect, '127.0.0.1', 'localhost')).toBe('localhost');
  expect(await nameOf(connect, 'localhost')).toBe('localhost');
});

// A client takes no connection whose certificate is for another name than the one it was given, whatever its address.
test.each(Object.entries(CLIENTS))('%s: the certificate is verified for the given name', async (_name, connect) => {
  const pems = { cert: readFileSync(files.cert), key: readFileSync(files.key) };
  const server = createServer({ ...pems, ALPNProtocols: ['h2', 'http/1.1'] });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ca = { caFile: authority.ca, ca: readFileSync(authority.ca, 'utf8') };
  try {
    for (const serverName of ['elsewhere.example', '127.0.0.9']) {
      const ends = new AbortController();
      const received: Buffer[] = [];
      const take = (socket: Socket): void =>
        void socket.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => {});
      server.on('secureConnection', take);
      const arrived = once(server, 'connection');
      Promise.resolve(connect({ host: '127.0.0.1', port, ...ca, serverName }, ends.signal)).catch(() => undefined);
      const [raw] = (await arrived) as [Socket];
      await once(
        raw.on('error', () => {}),
        'close',
      );
      server.off('secureConnection', take);
      expect([serverName, Buffer.concat(received).toString('latin1')]).toEqual([serverName, '']);
      ends.abort();
    }
  } finally {
    server.close();
  }
});

test.each([
  ['redis.local:1', 'redis.local'],
  ['10.0.0.1:1', ''],
  ['[::1]:1', ''],
])('REDIS_URL=%s', (url, name) => {
  const { settings } = readSettings({ REDIS_SOCKET_TYPE: 'tcp', REDIS_TLS: 'true', REDIS_URL: url });
  expect(redisAddress(settings, 'REDIS').tls?.servername).toBe(name);
});
