/** Peers that speak another protocol than the port are reported, over real sockets. */
import { get } from 'node:http';
import { connect as connectRaw } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listen, type Stranger, type TlsOptions, type Transport } from '../../../src/transport/index.ts';
import { strangerKind } from '../../../src/transport/socket/strangers.ts';
import { PREFACE, rawPeer } from './raw-peer.ts';
import { TRANSPORTS, waitUntil } from './serving.ts';
import { anotherTls, TLS } from './tls-of-tests.ts';

let transport: Transport;
let strangers: Stranger[];
let own: string;
beforeEach(() => {
  strangers = [];
});
afterEach(() => transport?.drain(0));

async function start(tls?: TlsOptions, listenAt = listen): Promise<void> {
  transport = await listenAt(new Map(), {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1024,
    onFault: () => {},
    onStranger: (stranger) => void strangers.push(stranger),
    ...(tls === undefined ? {} : { tls }),
  });
}

const told = async (): Promise<Stranger> => {
  await waitUntil(() => strangers.length > 0, 'a stranger is told of');
  expect(strangers).toHaveLength(1);
  return strangers[0] as Stranger;
};

/** Sends this, and waits until the connection is closed. */
async function send(bytes: Uint8Array): Promise<void> {
  const socket = connectRaw(transport.port, '127.0.0.1')
    .on('error', () => {})
    .resume();
  await new Promise((resolve) => {
    socket.once('connect', resolve);
  });
  own = `127.0.0.1:${socket.localPort}`;
  const closed = new Promise((resolve) => {
    socket.once('close', resolve);
  });
  socket.end(bytes);
  await closed;
}

/** Until the server or the client ends it. */
async function handshake(options: ConnectionOptions): Promise<void> {
  const socket = connect({ port: transport.port, host: '127.0.0.1', ca: TLS.cert, ...options })
    .on('error', () => {})
    .resume();
  socket.once('connect', () => {
    own = `127.0.0.1:${socket.localPort}`;
  });
  await new Promise((resolve) => {
    socket.once('close', resolve);
  });
}

describe('at a cleartext port', () => {
  beforeEach(() => start());

  test('TLS', async () => {
    await handshake({});
    expect(await told()).toEqual({ kind: 'tls', peer: own });
  });

  test('HTTP/1', async () => {
    const request = get({ port: transport.port, host: '127.0.0.1' }).on('error', () => {});
    request.on('socket', (socket) =>
      socket.once('connect', () => {
        own = `127.0.0.1:${socket.localPort}`;
      }),
    );
    await new Promise((resolve) => {
      request.once('close', resolve);
    });
    expect(await told()).toEqual({ kind: 'http1', peer: own });
  });

  test('anything else', async () => {
    await send(Buffer.from('\u0001\u0002 hello there'));
    expect(await told()).toEqual({ kind: 'unknown', peer: own });
  });

  test('but neither HTTP/2 nor a probe that sends nothing', async () => {
    const peer = await rawPeer(transport.port);
    await peer.until((frames) => frames.length > 0, 'it is answered');
    peer.socket.destroy();
    await send(Buffer.alloc(0));
    expect(strangers).toEqual([]);
  });
});

describe.each(TRANSPORTS)('at a TLS port, %s', (_name, listenAt) => {
  test.each([
    ['HTTP/1', 'GET / HTTP/1.1\r\n\r\n'],
    ['HTTP/2', PREFACE],
    ['anything else', 'hello there, who is this?'],
  ])('%s in cleartext', async (_what, bytes) => {
    await start(TLS, listenAt);
    await send(Buffer.from(bytes));
    expect(await told()).toEqual({ kind: 'cleartext', peer: own });
  });

  test('a client that does not trust the certificate', async () => {
    await start(TLS, listenAt);
    await handshake({ ca: (await anotherTls()).cert, ALPNProtocols: ['h2'] });
    expect(await told()).toMatchObject({ kind: 'handshake', peer: own });
  });

  test('a client without a certificate where one is asked for', async () => {
    await start({ ...TLS, ca: TLS.cert }, listenAt);
    await handshake({ ALPNProtocols: ['h2'] });
    expect(await told()).toEqual({ kind: 'handshake', peer: own, why: 'peer did not return a certificate' });
  });

  test('a client with a certificate of another authority', async () => {
    await start({ ...TLS, ca: TLS.cert }, listenAt);
    await handshake({ ...(await anotherTls()), ca: TLS.cert, ALPNProtocols: ['h2'] });
    expect(await told()).toEqual({
      kind: 'handshake',
      peer: own,
      why: 'its certificate was rejected: DEPTH_ZERO_SELF_SIGNED_CERT',
    });
  });

  test('but no probe that sends nothing', async () => {
    await start(TLS, listenAt);
    await send(Buffer.alloc(0));
    await send(Buffer.alloc(0));
    expect(strangers).toEqual([]);
  });
});

test('a TLS client that does not offer h2', async () => {
  await start(TLS);
  await handshake({});
  expect(await told()).toEqual({ kind: 'handshake', peer: own, why: 'the client does not offer h2 by ALPN' });
});

test.each([
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and frames', undefined],
  ['PRI *', undefined],
  ['P', undefined],
  ['POST /json HTTP/1.1\r\n', 'http1'],
  ['PRINT', 'unknown'],
  ['\u0016\u0003\u0001', 'tls'],
  ['\u0016', 'tls'],
  ['\u0016\u0001', 'unknown'],
  ['get / HTTP/1.1', 'unknown'],
])('%j begins as %s', (first, kind) => {
  expect(strangerKind(Buffer.from(first, 'latin1'))).toBe(kind);
});
