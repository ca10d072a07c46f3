/** Peers that break RFC 9113: the error that it asks for, on the connection or the stream alone; others are served, before and after. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { viewOf } from '../../../src/transport/byte-range.ts';
import { ErrorCode } from '../../../src/transport/h2/frames.ts';
import { listen } from '../../../src/transport/index.ts';
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
import { expectOthersServed, serve, type Serving } from './serving.ts';

let serving: Serving;
let peer: RawPeer;
beforeEach(async () => {
  serving = await serve(listen, { '/t.T/Echo': { kind: 'unary', handle: (request) => viewOf(request) } });
  peer = await rawPeer(serving.transport.port);
});
afterEach(async () => {
  peer.socket.destroy();
  await serving.stop();
});

const others = (): Promise<void> => expectOthersServed(serving);

const [PADDED, PRIORITY] = [0x8, 0x20];
const MOST = 2 ** 31 - 1;
const open = frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Echo'));
const setting = (id: number, value: number): Buffer => Buffer.concat([Buffer.from([0, id]), uint32(value)]);
const padded = (padding: number, rest: Uint8Array): Buffer => Buffer.concat([Buffer.from([padding]), rest]);
const TABLE = 1;
const PUSH = 2;
const WINDOW = 4;
const FRAME_BYTES = 5;

const { PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, STREAM_CLOSED, COMPRESSION_ERROR } = ErrorCode;

describe('of the connection', () => {
  test.each<[string, number, readonly Buffer[]]>([
    ['its window overflows (6.9.1)', FLOW_CONTROL_ERROR, [frame(Type.WINDOW_UPDATE, 0, 0, uint32(MOST))]],
    ['its window grows by 0 (6.9)', PROTOCOL_ERROR, [frame(Type.WINDOW_UPDATE, 0, 0, uint32(0))]],
    [
      'an initial window above 2^31-1 (6.5.2)',
      FLOW_CONTROL_ERROR,
      [frame(Type.SETTINGS, 0, 0, setting(WINDOW, 2 ** 31))],
    ],
    [
      'an initial window that overflows the one of an open stream (6.9.2)',
      FLOW_CONTROL_ERROR,
      [open, frame(Type.WINDOW_UPDATE, 0, 1, uint32(1000)), frame(Type.SETTINGS, 0, 0, setting(WINDOW, MOST))],
    ],
    ['frames of 1 octet at most (6.5.2)', PROTOCOL_ERROR, [frame(Type.SETTINGS, 0, 0, setting(FRAME_BYTES, 1))]],
    ['a push that is 2 (6.5.2)', PROTOCOL_ERROR, [frame(Type.SETTINGS, 0, 0, setting(PUSH, 2))]],
    ['PUSH_PROMISE from a client (8.4)', PROTOCOL_ERROR, [open, frame(Type.PUSH_PROMISE, END_HEADERS, 1, uint32(2))]],
    [
      'DATA with more padding than payload (6.1)',
      PROTOCOL_ERROR,
      [open, frame(Type.DATA, PADDED, 1, padded(4, Buffer.alloc(3)))],
    ],
    ['DATA that is padded and empty (6.1)', FRAME_SIZE_ERROR, [open, frame(Type.DATA, PADDED, 1)]],
    [
      'HEADERS with more padding than payload (6.2)',
      PROTOCOL_ERROR,
      [frame(Type.HEADERS, PADDED | END_HEADERS, 1, padded(255, head('/t.T/Echo').subarray(0, 100)))],
    ],
    [
      'HEADERS with padding that leaves no room for its priority (6.2)',
      PROTOCOL_ERROR,
      [frame(Type.HEADERS, PADDED | PRIORITY | END_HEADERS, 1, padded(3, Buffer.alloc(5)))],
    ],
    ['PRIORITY of the connection (6.3)', PROTOCOL_ERROR, [frame(Type.PRIORITY, 0, 0, Buffer.alloc(5))]],
    ['PING of 7 octets (6.7)', FRAME_SIZE_ERROR, [frame(Type.PING, 0, 0, Buffer.alloc(7))]],
    ['SETTINGS of 5 octets (6.5)', FRAME_SIZE_ERROR, [frame(Type.SETTINGS, 0, 0, Buffer.alloc(5))]],
    ['RST_STREAM of an idle stream (6.4)', PROTOCOL_ERROR, [frame(Type.RST_STREAM, 0, 9, uint32(8))]],
    ['WINDOW_UPDATE of an idle stream (5.1)', PROTOCOL_ERROR, [frame(Type.WINDOW_UPDATE, 0, 9, uint32(8))]],
    ['DATA of an idle stream (5.1)', PROTOCOL_ERROR, [frame(Type.DATA, 0, 9, Buffer.alloc(1))]],
    ['CONTINUATION without HEADERS (6.10)', PROTOCOL_ERROR, [frame(Type.CONTINUATION, END_HEADERS, 1, head('/'))]],
    [
      'a frame within a block (6.10)',
      PROTOCOL_ERROR,
      [frame(Type.HEADERS, 0, 1, head('/t.T/Echo')), frame(Type.PING, 0, 0, Buffer.alloc(8))],
    ],
    [
      'a table larger than allowed, after settings for ours (RFC 7541 6.3)',
      COMPRESSION_ERROR,
      [
        frame(Type.SETTINGS, 0, 0, Buffer.concat([setting(TABLE, 0), setting(TABLE, 2 ** 32 - 1), setting(TABLE, 0)])),
        frame(Type.HEADERS, END_HEADERS, 1, Buffer.concat([Buffer.from([0x3f, 0xe2, 0x1f]), head('/t.T/Echo')])),
      ],
    ],
  ])('%s', async (_name, code, frames) => {
    await others();
    peer.send(...frames);
    expect((await peer.goAway()).code).toBe(code);
    await others();
  });
});

describe('of one stream; the connection serves its others', () => {
  test.each<[string, number, readonly Buffer[]]>([
    ['its window overflows (6.9.1)', FLOW_CONTROL_ERROR, [open, frame(Type.WINDOW_UPDATE, 0, 1, uint32(MOST))]],
    ['its window grows by 0 (6.9)', PROTOCOL_ERROR, [open, frame(Type.WINDOW_UPDATE, 0, 1, uint32(0))]],
    ['PRIORITY of 4 octets (6.3)', FRAME_SIZE_ERROR, [open, frame(Type.PRIORITY, 0, 1, Buffer.alloc(4))]],
    [
      'a pseudo header among its trailers (8.1)',
      PROTOCOL_ERROR,
      [
        open,
        frame(Type.DATA, 0, 1, message(Buffer.from('x'))),
        frame(Type.HEADERS, END_HEADERS | END_STREAM, 1, field(':path', '/')),
      ],
    ],
    [
      'trailers that do not end it (8.1)',
      PROTOCOL_ERROR,
      [open, frame(Type.DATA, 0, 1, message(Buffer.from('x'))), frame(Type.HEADERS, END_HEADERS, 1, field('x', 'y'))],
    ],
    [
      'it depends on itself, which is obsolete (5.3)',
      -1,
      [frame(Type.PRIORITY, 0, 1, Buffer.concat([uint32(1), Buffer.from([1])]))],
    ],
  ])('%s', async (_name, code, frames) => {
    peer.send(...frames);
    if (code >= 0)
      await peer.until(
        (seen) =>
          seen.some((one) => one.type === Type.RST_STREAM && one.stream === 1 && one.payload.readUInt32BE() === code),
        'the stream is reset',
      );
    peer.send(call(3, '/t.T/Echo'));
    await peer.until(
      (seen) =>
        seen.some(({ type, stream, flags }) => type === Type.HEADERS && stream === 3 && (flags & END_STREAM) > 0),
      'the next call is answered',
    );
    await others();
  });
});

test('DATA after the end of a stream that was answered is STREAM_CLOSED', async () => {
  peer.send(call(1, '/t.T/Echo'), frame(Type.DATA, 0, 1, Buffer.alloc(1)));
  await peer.until(
    (seen) => seen.some(({ type }) => type === Type.GOAWAY || type === Type.RST_STREAM),
    'it is refused',
  );
  const refusal = peer.frames.find(({ type }) => type === Type.GOAWAY || type === Type.RST_STREAM);
  expect(refusal?.payload.readUInt32BE(refusal.type === Type.GOAWAY ? 4 : 0)).toBe(STREAM_CLOSED);
  await others();
});

test('a table that changes between 0 and all of 32 bits before each call: each is answered', async () => {
  for (let round = 0; round < 200; round++) {
    const sizes = [0, 2 ** 32 - 1, 4096, 1];
    peer.send(frame(Type.SETTINGS, 0, 0, setting(TABLE, sizes[round % 4] ?? 0)), call(round * 2 + 1, '/t.T/Echo'));
    if (round % 20 === 19) await others();
  }
  await peer.until(
    (seen) =>
      seen.filter(({ type, flags, stream }) => type === Type.HEADERS && stream > 0 && (flags & END_STREAM) > 0)
        .length === 200,
    'all are answered',
  );
});
