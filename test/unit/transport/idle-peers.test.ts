/** Peers that stop in the middle: without a preface, silent, gone without a FIN, or that do not read. Time passes by ticks. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { ErrorCode } from '../../../src/transport/h2/frames.ts';
import { DEFAULT_LIMITS } from '../../../src/transport/limits.ts';
import { SocketConnection } from '../../../src/transport/socket/socket-connection.ts';
import { frame, rawPeer, type RawPeer, Type } from './raw-peer.ts';
import { waitUntil } from './serving.ts';

interface Listening {
  readonly port: number;
  /** The server's side of the next connection. */
  readonly accepted: Promise<SocketConnection>;
}

async function listening(): Promise<Listening> {
  const { promise: accepted, resolve } = Promise.withResolvers<SocketConnection>();
  const server = createServer((socket) => {
    resolve(
      new SocketConnection(socket, {
        serve: () => {
          throw new Error('no call is made');
        },
        limits: DEFAULT_LIMITS,
        onFault: () => undefined,
        onClose: () => undefined,
      }),
    );
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, accepted };
}

async function connected(): Promise<{ readonly peer: RawPeer; readonly connection: SocketConnection; nowMs: number }> {
  const { port, accepted } = await listening();
  const peer = await rawPeer(port);
  onTestFinished(() => void peer.socket.destroy());
  const connection = await accepted;
  await peer.until((frames) => frames.some(({ type, flags }) => type === Type.SETTINGS && flags === 1), 'it is read');
  const nowMs = performance.now();
  connection.tick(nowMs);
  return { peer, connection, nowMs };
}
const pings = ({ frames }: RawPeer): number =>
  frames.filter(({ type, flags }) => type === Type.PING && flags === 0).length;
const turns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

test('a peer without a preface is told and closed after 10 s', async () => {
  const { port, accepted } = await listening();
  const socket: Socket = connect(port, '127.0.0.1').on('error', () => undefined);
  const received: Buffer[] = [];
  socket.on('data', (part: Buffer) => received.push(part));
  const connection = await accepted;
  const openedAtMs = performance.now();
  connection.tick(openedAtMs + 9500);
  await turns();
  expect(socket.closed).toBe(false);
  const closed = once(socket, 'close');
  connection.tick(openedAtMs + 10_500);
  await closed;
  expect(Buffer.concat(received).subarray(-52).toString('latin1')).toContain('no HTTP/2 preface');
});

test('a silent peer gets a PING after 60 s, and stays as long as it answers', async () => {
  const { peer, connection, nowMs } = await connected();
  connection.tick(nowMs + 59_000);
  await turns();
  expect(pings(peer)).toBe(0);
  connection.tick(nowMs + 61_000);
  await peer.until(() => pings(peer) === 1, 'it is asked');
  peer.send(frame(Type.PING, 1, 0, Buffer.alloc(8)));
  await turns();
  connection.tick(nowMs + 80_000);
  connection.tick(nowMs + 110_000);
  await turns();
  expect([peer.isClosed, pings(peer)]).toEqual([false, 1]);
});

test('a peer that does not answer a PING, as one that has gone without a FIN, is closed after 20 s', async () => {
  const { peer, connection, nowMs } = await connected();
  connection.tick(nowMs + 61_000);
  connection.tick(nowMs + 80_000);
  await turns();
  expect(peer.isClosed).toBe(false);
  connection.tick(nowMs + 82_000);
  await waitUntil(() => peer.isClosed, 'it is closed');
});

test('a peer that does not read is closed 20 s after 256 KiB wait for it', async () => {
  const { peer, connection, nowMs } = await connected();
  peer.socket.pause();
  for (let mib = 0; mib < 16; mib++) connection.write(new Uint8Array(1024 * 1024));
  expect(connection.isFull).toBe(true);
  connection.tick(nowMs + 19_000);
  expect(connection.isFull).toBe(true);
  connection.tick(nowMs + 21_500);
  peer.socket.resume();
  await waitUntil(() => peer.isClosed, 'it is closed');
  expect(
    peer.frames.some(({ type, payload }) => type === Type.GOAWAY && payload.readUInt32BE(4) !== ErrorCode.NO_ERROR),
  ).toBe(false);
});
