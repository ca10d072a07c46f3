/** The memory and work that a peer can cause by valid HTTP/2 are bounded, and others are served meanwhile. */
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../src/transport/h2/frames.ts';
import { listen, type Method, Status } from '../../../src/transport/index.ts';
import { viewOf } from '../../../src/transport/byte-range.ts';
import {
  END_HEADERS,
  END_STREAM,
  type Frame,
  frame,
  head,
  message,
  rawPeer,
  type RawPeer,
  Type,
  uint32,
} from './raw-peer.ts';
import { bytes, expectOthersServed, serve, type Serving, TRANSPORTS, waitUntil } from './serving.ts';

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const MIB = 1024 * 1024;

let serving: Serving;
let peer: RawPeer;
let waiting: number;
let read: number;
let taken: number;

beforeEach(async () => {
  waiting = 0;
  read = 0;
  taken = 0;
  serving = await serve(
    listen,
    {
      '/t.T/Echo': { kind: 'unary', handle: viewOf },
      '/t.T/Takes': {
        kind: 'unary',
        handle: () => {
          taken++;
          return bytes('taken');
        },
      },
      '/t.T/Waits': {
        kind: 'unary',
        handle: () => {
          waiting++;
          return new Promise(() => {});
        },
      },
      '/t.T/ReadsOne': {
        kind: 'stream',
        handle: async function* reads(requests) {
          for await (const request of requests) {
            read += request.length;
            await new Promise(() => {});
            yield request;
          }
        },
      },
      '/t.T/Watch': {
        kind: 'stream',
        oneRequest: true,
        handle: async function* watch(requests, { signal }) {
          for await (const request of requests) {
            yield request;
            break;
          }
          await new Promise((resolve) => {
            signal.addEventListener('abort', resolve);
          });
        },
      },
    },
    MAX_MESSAGE_BYTES,
  );
  peer = await rawPeer(serving.transport.port);
});
afterEach(async () => {
  peer.socket.destroy();
  await serving.stop();
});

const others = (): Promise<void> => expectOthersServed(serving);
const PATIENT = [['grpc-timeout', '99999999H']] as const;
const GZIP = [...PATIENT, ['grpc-encoding', 'gzip']] as const;
const packed = gzipSync(Buffer.alloc(MAX_MESSAGE_BYTES - 16), { level: 9 });
const bomb = Buffer.concat([Buffer.from([1]), uint32(packed.length), packed]);
/** Compresses as well as text at best, so that only the memory bound applies. */
const DENSE_BYTES = 800 * 1024;
const densePacked = gzipSync(Buffer.concat([randomBytes(52 * 1024), Buffer.alloc(DENSE_BYTES - 52 * 1024)]));
const dense = Buffer.concat([Buffer.from([1]), uint32(densePacked.length), densePacked]);
const call = (stream: number, path: string, body: Buffer, flags: number): Buffer[] => {
  const parts = Math.ceil(body.length / 16_384);
  return [
    frame(Type.HEADERS, END_HEADERS, stream, head(path, GZIP)),
    ...Array.from({ length: parts }, (_, at) =>
      frame(Type.DATA, at + 1 === parts ? flags : 0, stream, body.subarray(at * 16_384, (at + 1) * 16_384)),
    ),
  ];
};
const memory = (): number => {
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
};
/** The status that ended a stream, as text; `undefined` where none did. */
const statusOf = (frames: readonly Frame[], stream: number): string | undefined =>
  /grpc-status.(\d+)/s.exec(
    frames
      .filter((one) => one.stream === stream && one.type === Type.HEADERS)
      .at(-1)
      ?.payload.toString('latin1') ?? '',
  )?.[1];
const settled = async (): Promise<void> => {
  const before = peer.frames.length;
  peer.send(frame(Type.PING, 0, 0, Buffer.alloc(8, 9)));
  await peer.until(
    (frames) =>
      frames.slice(before).some(({ type, flags, payload }) => type === Type.PING && flags === 1 && payload[0] === 9),
    'all that was said is read',
    20_000,
  );
};

describe('memory', () => {
  test('messages of 4 MiB compressed, on incomplete calls: none is decompressed', async () => {
    const before = memory();
    for (let stream = 1; stream < 300; stream += 2)
      peer.send(frame(Type.HEADERS, END_HEADERS, stream, head('/t.T/Waits', GZIP)), frame(Type.DATA, 0, stream, bomb));
    await settled();
    expect(memory() - before).toBeLessThan(64 * MIB);
    await others();
  });

  test('running calls hold 32 MiB decompressed; further ones are refused', async () => {
    for (let stream = 1; stream < 120; stream += 2) peer.send(...call(stream, '/t.T/Waits', dense, END_STREAM));
    await settled();
    expect(waiting).toBeGreaterThan(30);
    expect(waiting * DENSE_BYTES).toBeLessThanOrEqual(32 * MIB);
    await peer.until(
      (frames) => statusOf(frames, 119) === String(Status.RESOURCE_EXHAUSTED),
      'the last one is refused',
    );
    await others();
  });

  test('streams decompress a message when it is read, one each, and 32 MiB of them', async () => {
    const before = memory();
    for (let stream = 1; stream < 120; stream += 2) peer.send(...call(stream, '/t.T/ReadsOne', dense, 0));
    await settled();
    expect(read).toBeGreaterThan(24 * MIB);
    expect(read).toBeLessThanOrEqual(32 * MIB);
    expect(memory() - before).toBeLessThan(128 * MIB);
    await others();
  });

  test('empty messages that nobody reads count with their bytes', async () => {
    const before = memory();
    const empty = Buffer.concat(Array.from({ length: 3200 }, () => message(Buffer.alloc(0))));
    for (let stream = 1; stream < 200; stream += 2)
      peer.send(
        frame(Type.HEADERS, END_HEADERS, stream, head('/t.T/ReadsOne', PATIENT)),
        ...[0, 1, 2].map(() => frame(Type.DATA, 0, stream, empty)),
      );
    await settled();
    expect(memory() - before).toBeLessThan(48 * MIB); // 4.8 MB were sent; an object each were 100 MB
    await others();
  });

  test('prefixes that announce 4 MiB without a message', async () => {
    const before = memory();
    for (let stream = 1; stream < 2000; stream += 2)
      peer.send(
        frame(Type.HEADERS, END_HEADERS, stream, head(stream % 4 === 1 ? '/t.T/Waits' : '/t.T/ReadsOne', PATIENT)),
        frame(Type.DATA, 0, stream, Buffer.from([0, 0, 0x40, 0, 0])),
      );
    await settled();
    expect(memory() - before).toBeLessThan(64 * MIB);
    await others();
  });

  test('a second message, where a method takes one: INVALID_ARGUMENT, also while it answers', async () => {
    const opened = frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Watch'));
    peer.send(opened, frame(Type.DATA, 0, 1, message(Buffer.from('a'))));
    await peer.until(
      (frames) => frames.some(({ type, stream }) => type === Type.DATA && stream === 1),
      'it is answered',
    );
    peer.send(frame(Type.DATA, 0, 1, message(Buffer.from('b'))));
    await peer.until((frames) => statusOf(frames, 1) === String(Status.INVALID_ARGUMENT), 'it is told');
    peer.send(
      frame(Type.HEADERS, END_HEADERS, 3, head('/t.T/Watch')),
      frame(Type.DATA, 0, 3, Buffer.concat([message(Buffer.from('a')), message(Buffer.from('b'))])),
    );
    await peer.until((frames) => statusOf(frames, 3) === String(Status.INVALID_ARGUMENT), 'it is told');
    await others();
  });
});

describe('work', () => {
  test('messages that decompress a thousandfold are refused after a few, on whatever connection', async () => {
    const other = await rawPeer(serving.transport.port);
    for (const one of [peer, other]) {
      for (let stream = 1; stream < 200; stream += 2) one.send(...call(stream, '/t.T/Takes', bomb, END_STREAM));
      await one.until(
        (frames) => statusOf(frames, 199) === String(Status.RESOURCE_EXHAUSTED),
        'the last one is refused',
        60_000,
      );
    }
    other.socket.destroy();
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(100); // of 200
    peer.send(...call(201, '/t.T/Takes', dense, END_STREAM));
    await peer.until(
      (frames) => frames.some(({ type, stream }) => type === Type.DATA && stream === 201),
      'one that packs as texts do is taken',
    );
    await others();
  });
});

describe('SETTINGS', () => {
  const window = (bytes: number): Buffer => Buffer.concat([Buffer.from([0, 4]), uint32(bytes)]);

  test('full frames with a thousand streams open use up the budget of the connection', async () => {
    for (let stream = 1; stream < 2000; stream += 2)
      peer.send(frame(Type.HEADERS, END_HEADERS, stream, head('/t.T/Waits', PATIENT)));
    const full = frame(
      Type.SETTINGS,
      0,
      0,
      Buffer.concat(Array.from({ length: 1365 }, () => Buffer.concat([window(0xffff), window(0xfffe)]))),
    );
    for (let at = 0; at < 30 && !peer.isClosed; at++) peer.send(full);
    expect((await peer.goAway()).code).toBe(ErrorCode.ENHANCE_YOUR_CALM);
    await others();
  });

  test('a window that is set twice in a frame has its last value', async () => {
    peer.send(
      frame(Type.SETTINGS, 0, 0, Buffer.concat([window(100_000), window(3)])),
      frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Echo')),
      frame(Type.DATA, END_STREAM, 1, message(Buffer.from('four'))),
    );
    await peer.until(
      (frames) => frames.some(({ type, stream }) => type === Type.DATA && stream === 1),
      'a part is answered',
    );
    expect(peer.frames.find(({ type }) => type === Type.DATA)?.payload.length).toBe(3);
    peer.send(frame(Type.SETTINGS, 0, 0, Buffer.concat([window(0), window(1000)])));
    await peer.until(
      (frames) => frames.some(({ type, flags }) => type === Type.HEADERS && (flags & END_STREAM) !== 0),
      'the rest follows',
    );
  });

  test('each value of a frame has to be valid', async () => {
    peer.send(frame(Type.SETTINGS, 0, 0, Buffer.concat([window(0x8000_0000), window(1)])));
    expect((await peer.goAway()).code).toBe(ErrorCode.FLOW_CONTROL_ERROR);
  });
});

test.each(TRANSPORTS)(
  'a connection that is old, of %s: quiet streams end well, and what is left is cut off after as long again',
  async (_transport, listenAt) => {
    await serving.stop();
    let ended = 0;
    const transport = await listenAt(
      new Map<string, Method>([
        [
          '/t.T/Takes',
          {
            kind: 'stream',
            handle: async function* takes(requests) {
              for await (const request of requests) yield request;
            },
          },
        ],
        [
          '/t.T/Stays',
          {
            kind: 'stream',
            handle: async function* stays(_requests, { signal }) {
              yield bytes('a');
              await new Promise((resolve) => {
                signal.addEventListener('abort', resolve);
              });
              ended++;
            },
          },
        ],
      ]),
      { host: '127.0.0.1', port: 0, maxMessageBytes: 1024, maxConnectionAgeMs: 1500, onFault: () => {} },
    );
    peer = await rawPeer(transport.port);
    peer.send(
      frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Takes')),
      frame(Type.DATA, 0, 1, message(Buffer.from('a'))),
      frame(Type.HEADERS, END_HEADERS, 3, head('/t.T/Stays')),
    );
    await peer.until((frames) => frames.some(({ type }) => type === Type.GOAWAY), 'it is told to go', 10_000);
    await peer.until(
      (frames) =>
        frames.some(({ type, stream, flags }) => type === Type.HEADERS && stream === 1 && (flags & END_STREAM) !== 0),
      'the quiet stream ends',
      10_000,
    );
    expect([peer.isClosed, ended]).toEqual([false, 0]);
    await waitUntil(() => peer.isClosed && ended === 1, 'the other one is cut off', 10_000);
    await transport.drain(100);
  },
);
