/** Attacks: the connection ends with the right error, in bounded memory, and others are served. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listen } from '../../../src/transport/index.ts';
import { ErrorCode } from '../../../src/transport/h2/frames.ts';
import { viewOf } from '../../../src/transport/byte-range.ts';
import {
  call,
  END_HEADERS,
  END_STREAM,
  field,
  frame,
  head,
  message,
  rawPeer,
  type RawPeer,
  Type,
  uint32,
} from './raw-peer.ts';
import { expectOthersServed, serve, type Serving, waitUntil } from './serving.ts';

let serving: Serving;
let asked: number;
let peer: RawPeer;
let waiting: (() => void)[];

beforeEach(async () => {
  asked = 0;
  waiting = [];
  serving = await serve(listen, {
    '/t.T/Echo': {
      kind: 'unary',
      handle: (request) => {
        asked++;
        return viewOf(request);
      },
    },
    '/t.T/Waits': {
      kind: 'unary',
      handle: (request) =>
        new Promise((resolve) => {
          waiting.push(() => resolve(viewOf(request)));
        }),
    },
    '/t.T/Large': { kind: 'unary', handle: () => new Uint8Array(64 * 1024) },
    '/t.T/Flood': {
      kind: 'stream',
      handle: async function* flood() {
        for (;;) yield new Uint8Array(16 * 1024);
      },
    },
    '/t.T/Takes': {
      kind: 'stream',
      handle: async function* takes(requests) {
        for await (const request of requests) if (request.length === 0) yield request;
      },
    },
  });
  peer = await rawPeer(serving.transport.port);
});
afterEach(async () => {
  peer.socket.destroy();
  await serving.stop();
});

const others = (): Promise<void> => expectOthersServed(serving);
const times = (count: number, make: (at: number) => Uint8Array): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, at) => make(at)));
const reset = (stream: number): Buffer => frame(Type.RST_STREAM, 0, stream, uint32(ErrorCode.CANCEL));

/** Repeats it until the connection is closed, and bounds what the server has read. */
async function flood(make: (at: number) => Uint8Array, most = 400_000): Promise<{ code: number; why: string }> {
  let at = 0;
  while (!peer.isClosed && at < most) {
    peer.send(times(2000, (index) => make(at + index)));
    at += 2000;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return peer.goAway();
}

describe('frames without a request: ENHANCE_YOUR_CALM', () => {
  const opaque = Buffer.alloc(8);
  test.each<[string, (at: number) => Uint8Array]>([
    [
      'rapid reset (CVE-2023-44487)',
      (at) => Buffer.concat([frame(Type.HEADERS, END_HEADERS, at * 2 + 1, head('/t.T/Waits')), reset(at * 2 + 1)]),
    ],
    [
      'rapid reset of whole calls that wait',
      (at) => Buffer.concat([call(at * 2 + 1, '/t.T/Waits'), reset(at * 2 + 1)]),
    ],
    [
      'a reset that the server makes (CVE-2025-8671)',
      (at) =>
        Buffer.concat([
          frame(Type.HEADERS, END_HEADERS, at * 2 + 1, head('/t.T/Waits')),
          frame(Type.WINDOW_UPDATE, 0, at * 2 + 1, uint32(0)),
        ]),
    ],
    ['malformed requests', (at) => frame(Type.HEADERS, END_HEADERS | END_STREAM, at * 2 + 1, field(':method', 'GET'))],
    ['PING (CVE-2019-9512)', () => frame(Type.PING, 0, 0, opaque)],
    ['PING answers that nobody asked for', () => frame(Type.PING, 1, 0, opaque)],
    ['SETTINGS (CVE-2019-9515)', () => frame(Type.SETTINGS, 0, 0)],
    ['SETTINGS acknowledged, for ever', () => frame(Type.SETTINGS, 1, 0)],
    ['PRIORITY (CVE-2019-9513)', (at) => frame(Type.PRIORITY, 0, 1, Buffer.concat([uint32(at + 3), Buffer.from([1])]))],
    ['WINDOW_UPDATE', () => frame(Type.WINDOW_UPDATE, 0, 0, uint32(1))],
    ['GOAWAY', () => frame(Type.GOAWAY, 0, 0, opaque)],
    ['frames of no known type', () => frame(0xfa, 0, 0, opaque)],
  ])('%s', async (_name, make) => {
    const { code, why } = await flood(make);
    expect([code, why]).toEqual([ErrorCode.ENHANCE_YOUR_CALM, 'too many frames without a request']);
    expect(waiting.length).toBeLessThan(3000);
    await others();
  });

  test('empty DATA (CVE-2019-9518)', async () => {
    peer.send(frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Takes')));
    expect((await flood(() => frame(Type.DATA, 0, 1))).code).toBe(ErrorCode.ENHANCE_YOUR_CALM);
    await others();
  });

  test('empty CONTINUATION', async () => {
    peer.send(frame(Type.HEADERS, 0, 1, head('/t.T/Echo')));
    expect((await flood(() => frame(Type.CONTINUATION, 0, 1))).code).toBe(ErrorCode.ENHANCE_YOUR_CALM);
    await others();
  });

  test('a client that makes calls may ping and update windows as gRPC clients do', async () => {
    for (let round = 0; round < 50; round++) {
      const from = asked;
      peer.send(
        times(200, (at) =>
          Buffer.concat([
            call((round * 200 + at) * 2 + 1, '/t.T/Echo'),
            frame(Type.PING, 0, 0, Buffer.alloc(8)),
            frame(Type.WINDOW_UPDATE, 0, 0, uint32(7)),
          ]),
        ),
      );
      await waitUntil(() => asked === from + 200, 'the calls are asked');
    }
    await others();
    expect(peer.isClosed).toBe(false);
  });
});

describe('headers', () => {
  test('a CONTINUATION flood ends at the limit of a block (CVE-2024-27316)', async () => {
    peer.send(frame(Type.HEADERS, 0, 1, head('/t.T/Echo')));
    const { code, why } = await flood(() => frame(Type.CONTINUATION, 0, 1, field('x', 'y'.repeat(100))));
    expect([code, why]).toEqual([ErrorCode.ENHANCE_YOUR_CALM, 'a header block of more than 32768 bytes']);
    await others();
  });

  test('an HPACK bomb: 4 000 bytes in the table, referenced 2 000 times, get 431 and take no memory', async () => {
    const before = process.memoryUsage().heapUsed;
    peer.send(
      frame(
        Type.HEADERS,
        END_HEADERS | END_STREAM,
        1,
        Buffer.concat([head('/t.T/Echo'), field('x-bomb', 'b'.repeat(4000), true)]),
      ),
    );
    for (let at = 1; at < 50; at++)
      peer.send(
        frame(
          Type.HEADERS,
          END_HEADERS | END_STREAM,
          at * 2 + 1,
          Buffer.concat([head('/t.T/Echo'), Buffer.alloc(2000, 0x80 | 62)]),
        ),
      );
    await peer.until(
      (frames) => frames.filter(({ type, payload }) => type === Type.HEADERS && payload.includes('431')).length === 49,
      'each is refused',
    );
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
    peer.send(call(999, '/t.T/Echo'));
    await waitUntil(() => asked === 1, 'the connection lives on');
    await others();
  });

  test.each([
    ['a table larger than allowed', Buffer.from([0x3f, 0xe2, 0x1f])],
    ['a table resized after the first field', Buffer.from([0x82, 0x20])],
    ['an index that no field has', Buffer.from([0xff, 0x7f])],
    ['the index 0', Buffer.from([0x80])],
    ['a number without end', Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
    ['a text longer than the block', Buffer.from([0x40, 0x05, 0x61])],
    ['padding of Huffman code that is not EOS', Buffer.from([0x44, 0x81, 0x00])],
  ])('%s: COMPRESSION_ERROR', async (_name, block) => {
    peer.send(frame(Type.HEADERS, END_HEADERS, 1, block));
    expect((await peer.goAway()).code).toBe(ErrorCode.COMPRESSION_ERROR);
    await others();
  });
});

describe('memory', () => {
  test('streams that never end: as many as are allowed, then REFUSED_STREAM', async () => {
    peer.send(times(1100, (at) => frame(Type.HEADERS, END_HEADERS, at * 2 + 1, head('/t.T/Waits'))));
    await peer.until(
      (frames) =>
        frames.filter(
          ({ type, payload }) => type === Type.RST_STREAM && payload.readUInt32BE() === ErrorCode.REFUSED_STREAM,
        ).length === 76,
      'what is too much is refused',
    );
    await others();
  });

  test('an incomplete request is ended by its deadline', async () => {
    peer.send(
      frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Echo', [['grpc-timeout', '50m']])),
      frame(Type.DATA, 0, 1, message(Buffer.alloc(100)).subarray(0, 50)),
    );
    await peer.until(
      (frames) =>
        frames.some(({ type, payload }) => type === Type.HEADERS && payload.includes('the deadline has passed')),
      'it is told',
    );
    await peer.until(
      (frames) => frames.some(({ type, stream }) => type === Type.RST_STREAM && stream === 1),
      'and reset',
    );
    expect(asked).toBe(0);
  });

  test('more than a window: FLOW_CONTROL_ERROR', async () => {
    peer.send(
      frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Waits')),
      times(5, () => frame(Type.DATA, 0, 1, Buffer.alloc(16_384))),
    );
    // The first four fill a message of 64 KiB, the limit.
    await peer.until(
      (frames) => frames.some(({ type, stream }) => type === Type.RST_STREAM && stream === 1),
      'the stream is reset',
    );
    await others();
  });

  test('replies that get no window: closed beyond 8 MiB', async () => {
    peer.socket.destroy();
    peer = await rawPeer(serving.transport.port, Buffer.concat([Buffer.from([0, 4]), uint32(0)]));
    peer.send(times(200, (at) => call(at * 2 + 1, '/t.T/Large')));
    const { code, why } = await peer.goAway();
    expect([code, why]).toEqual([ErrorCode.ENHANCE_YOUR_CALM, 'too many reply bytes wait for flow control']);
    await others();
  });

  test('a peer that does not read: nothing more is read from it, and a stream of replies stops', async () => {
    const held = ({ arrayBuffers, heapUsed }: NodeJS.MemoryUsage = process.memoryUsage()): number =>
      arrayBuffers + heapUsed;
    const before = held();
    peer.socket.pause();
    peer.send(
      frame(Type.WINDOW_UPDATE, 0, 0, uint32(0x7000_0000)),
      frame(Type.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(0x7000_0000)])),
      frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Flood')),
    );
    const fromMs = Date.now();
    for (let look = 0; look < 20; look++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(held() - before).toBeLessThan(32 * 1024 * 1024);
    }
    expect(Date.now() - fromMs).toBeLessThan(10_000);
    await others();
  });

  test('half messages on many streams: the window of the connection stays closed beyond 16 MiB', async () => {
    const half = (stream: number): Buffer =>
      Buffer.concat([
        frame(Type.HEADERS, END_HEADERS, stream, head('/t.T/Waits')),
        ...[0, 1, 2].map((at) =>
          frame(
            Type.DATA,
            0,
            stream,
            at === 0 ? message(Buffer.alloc(60_000)).subarray(0, 16_000) : Buffer.alloc(16_000),
          ),
        ),
      ]);
    let said = 0;
    for (let stream = 1; stream < 1000; stream += 2) {
      peer.send(half(stream));
      said += 48_000;
      if (stream % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    const given =
      peer.frames
        .filter(({ type, stream }) => type === Type.WINDOW_UPDATE && stream === 0)
        .reduce((sum, { payload }) => sum + payload.readUInt32BE(), 0) + 65_535;
    expect(said).toBeGreaterThan(22_000_000);
    expect(given).toBeLessThan(16 * 1024 * 1024 + 2 * 4 * 1024 * 1024);
    await others();
  });
});

test('a client that does not speak HTTP/2 is closed', async () => {
  const web = await rawPeer(serving.transport.port);
  web.socket.destroy();
  const response = await fetch(`http://127.0.0.1:${serving.transport.port}/`).then(
    () => 'answered',
    () => 'refused',
  );
  expect(response).toBe('refused');
  await others();
});
