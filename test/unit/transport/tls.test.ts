/** gRPC over TLS, with and without client certificates. */
import { Client, credentials } from '@grpc/grpc-js';
import { type AddressInfo, connect as connectRaw } from 'node:net';
import { connect, createServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import type { TlsOptions, Transport } from '../../../src/transport/index.ts';
import { viewOf } from '../../../src/transport/byte-range.ts';
import { RawSockets } from '../../../src/transport/raw-sockets.ts';
import { bytes, text, TRANSPORTS } from './serving.ts';
import { anotherTls, TLS } from './tls-of-tests.ts';

const { cert: CERT, key: KEY } = TLS;

let transport: Transport | undefined;
afterEach(async () => {
  await transport?.drain(0);
});

test('a TLS handshake has 10 s; a socket that has finished it stays', async () => {
  const server = createServer({ cert: CERT, key: KEY });
  const raw = new RawSockets(server, 'secureConnection');
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const silent = connectRaw(port, '127.0.0.1');
  const closed = new Promise((resolve) => {
    silent.once('close', () => resolve('closed'));
  });
  silent.on('error', () => {}).resume();
  await new Promise((resolve) => {
    silent.once('connect', resolve);
  });
  const secured = new Promise((resolve) => {
    server.once('secureConnection', resolve);
  });
  const socket = connect({ port, host: '127.0.0.1', ca: CERT }).on('error', () => {});
  await secured;
  raw.tick(performance.now() + 9000);
  expect(silent.destroyed).toBe(false);
  raw.tick(performance.now() + 11_000);
  expect(await closed).toBe('closed');
  expect(socket.destroyed).toBe(false);
  raw.destroy();
  await new Promise((resolve) => {
    socket.once('close', resolve);
  });
  await new Promise((resolve) => {
    server.close(resolve);
  });
});

describe.each(TRANSPORTS)('%s', (_transport, listen) => {
  const start = async (tls: TlsOptions): Promise<Transport> =>
    (transport = await listen(new Map([['/t.T/Echo', { kind: 'unary', handle: viewOf }]]), {
      host: '127.0.0.1',
      port: 0,
      maxMessageBytes: 64 * 1024,
      onFault: () => {},
      tls,
    }));

  const ask = (port: number, secure: ReturnType<typeof credentials.createSsl>): Promise<string> =>
    new Promise((resolve, reject) => {
      const client = new Client(`127.0.0.1:${port}`, secure, { 'grpc.use_local_subchannel_pool': 1 });
      client.makeUnaryRequest(
        '/t.T/Echo',
        (request: Buffer) => request,
        (reply: Buffer) => reply,
        Buffer.from(bytes('secret')),
        { deadline: Date.now() + 3000 },
        (error, reply) => {
          client.close();
          if (error === null) resolve(text(reply ?? new Uint8Array()));
          else reject(error);
        },
      );
    });

  test('a certificate that is renewed serves new connections; a bad one changes nothing', async () => {
    const server = await start({ cert: CERT, key: KEY });
    const shown = async (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(
          { port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] },
          () => {
            resolve(socket.getPeerCertificate().fingerprint256);
            socket.destroy();
          },
        ).once('error', reject);
      });
    const before = await shown();
    expect(() => server.renewTls({ cert: 'no certificate', key: KEY })).toThrow();
    expect(await shown()).toBe(before);
    server.renewTls(await anotherTls());
    expect(await shown()).not.toBe(before);
  });

  test('a cleartext server has no certificate to renew', async () => {
    transport = await listen(new Map(), { host: '127.0.0.1', port: 0, maxMessageBytes: 1024, onFault: () => {} });
    expect(() => transport?.renewTls({ cert: CERT, key: KEY })).toThrow('cleartext');
  });

  test('a call over TLS', async () => {
    const { port } = await start({ cert: CERT, key: KEY });
    expect(await ask(port, credentials.createSsl(Buffer.from(CERT)))).toBe('secret');
  });

  test('with a client authority, a caller without a certificate is refused, one with it is served', async () => {
    const { port } = await start({ cert: CERT, key: KEY, ca: CERT });
    await expect(ask(port, credentials.createSsl(Buffer.from(CERT)))).rejects.toMatchObject({ code: 14 });
    expect(await ask(port, credentials.createSsl(Buffer.from(CERT), Buffer.from(KEY), Buffer.from(CERT)))).toBe(
      'secret',
    );
  });

  test.each([
    ['nothing', []],
    ['one byte', [0x16]],
    ['half a ClientHello', [0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3]],
  ])('a drain does not wait for a peer that says %s', async (_said, encoded) => {
    const { port } = await start({ cert: CERT, key: KEY });
    const socket = connectRaw(port, '127.0.0.1');
    const closed = new Promise((resolve) => {
      socket.once('close', () => resolve('closed'));
    });
    socket.on('error', () => {});
    await new Promise((resolve) => {
      socket.once('connect', resolve);
    });
    socket.write(Uint8Array.from(encoded));
    await transport?.drain(60_000);
    expect(await closed).toBe('closed');
  });

  test('a client that does not speak TLS is closed', async () => {
    const { port } = await start({ cert: CERT, key: KEY });
    const socket = connectRaw(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'));
    socket.on('error', () => {}).resume();
    await new Promise((resolve) => {
      socket.once('close', resolve);
    });
  });

  test('a client that does not offer h2 is refused', async () => {
    const { port } = await start({ cert: CERT, key: KEY });
    const socket = connect({ port, host: '127.0.0.1', ca: CERT, ALPNProtocols: ['http/1.1'] });
    const end = await new Promise((resolve) => {
      socket
        .once('error', () => resolve('closed'))
        .once('close', () => resolve('closed'))
        .once('data', () => resolve('served'));
      socket.once('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'));
    });
    expect(end).toBe('closed');
    socket.destroy();
  });
});
