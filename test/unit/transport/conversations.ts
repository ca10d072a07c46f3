/** Whole inputs of a client, for tests that cut them, change them, or send them to two servers. */
import { HpackDecoder } from '../../../src/transport/h2/hpack-decoder.ts';
import type { Methods } from '../../../src/transport/index.ts';
import { GrpcError, Status } from '../../../src/transport/index.ts';
import { viewOf } from '../../../src/transport/byte-range.ts';
import {
  call,
  END_HEADERS,
  END_STREAM,
  field,
  type Frame,
  frame,
  head,
  message,
  PREFACE,
  Type,
  uint32,
} from './raw-peer.ts';

export const METHODS: Methods = new Map([
  ['/t.T/Echo', { kind: 'unary', handle: viewOf }],
  [
    '/t.T/Refuses',
    {
      kind: 'unary',
      handle: () => {
        throw new GrpcError(Status.NOT_FOUND, 'no such thing: 100 %');
      },
    },
  ],
  ['/t.T/Large', { kind: 'unary', handle: () => new Uint8Array(40_000).fill(7) }],
]);

const settings = (...pairs: readonly (readonly [key: number, value: number])[]): Buffer =>
  frame(Type.SETTINGS, 0, 0, Buffer.concat(pairs.flatMap(([key, value]) => [Buffer.from([0, key]), uint32(value)])));
const gzip = Buffer.from('1f8b0800000000000003cb48cdc9c9070086a6103605000000', 'hex'); // "hello"

/** RFC 7541 C.4.1: a request in Huffman code, and what gRPC needs beside it. */
const huffman = Buffer.concat([
  Buffer.from('838644098cf1e3c2e5f23a6ba0ab90f4ff'.slice(0, 4), 'hex'),
  field(':path', '/t.T/Echo', true),
  Buffer.from('418cf1e3c2e5f23a6ba0ab90f4ff', 'hex'),
  field('content-type', 'application/grpc', true),
]);

export const CONVERSATIONS: Readonly<Record<string, Buffer>> = {
  'calls, one after another': Buffer.concat([
    PREFACE,
    settings(),
    ...[1, 3, 5].map((id) => call(id, '/t.T/Echo', Buffer.from(`message ${id}`))),
  ]),
  'what the table holds': Buffer.concat([
    PREFACE,
    settings(),
    frame(Type.HEADERS, END_HEADERS, 1, huffman),
    frame(Type.DATA, END_STREAM, 1, message(Buffer.from('first'))),
    ...[3, 5, 7].flatMap((id) => [
      frame(Type.HEADERS, END_HEADERS, id, Buffer.from([0x83, 0x86, 0x80 | 64, 0x80 | 63, 0x80 | 62])),
      frame(Type.DATA, END_STREAM, id, message(Buffer.from(`again ${id}`))),
    ]),
  ]),
  'a block in three parts, padding, priority, frames in between': Buffer.concat([
    PREFACE,
    settings([3, 100]),
    frame(Type.SETTINGS, 1, 0),
    frame(Type.HEADERS, 0, 1, head('/t.T/Echo').subarray(0, 7)),
    frame(Type.CONTINUATION, 0, 1, head('/t.T/Echo').subarray(7, 20)),
    frame(Type.CONTINUATION, END_HEADERS, 1, head('/t.T/Echo').subarray(20)),
    frame(Type.PING, 0, 0, Buffer.from('12345678')),
    frame(
      Type.DATA,
      8,
      1,
      Buffer.concat([Buffer.from([4]), message(Buffer.from('padded')).subarray(0, 3), Buffer.alloc(4)]),
    ),
    frame(0xee, 0, 0, Buffer.from('what is this')),
    frame(Type.WINDOW_UPDATE, 0, 0, uint32(100)),
    frame(
      Type.HEADERS,
      END_HEADERS | 0x20 | 8,
      3,
      Buffer.concat([Buffer.from([2]), uint32(0), Buffer.from([15]), head('/t.T/Echo'), Buffer.alloc(2)]),
    ),
    frame(Type.DATA, 0, 1, message(Buffer.from('padded')).subarray(3)),
    frame(Type.DATA, END_STREAM, 3, message(Buffer.from('other'))),
    frame(Type.HEADERS, END_HEADERS | END_STREAM, 1, field('x-checksum', 'abc')), // trailers
  ]),
  'a message in many frames, and a large reply': Buffer.concat([
    PREFACE,
    settings(),
    frame(Type.WINDOW_UPDATE, 0, 0, uint32(1_000_000)),
    frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Echo')),
    ...Array.from({ length: 10 }, (_, at) =>
      frame(Type.DATA, at === 9 ? END_STREAM : 0, 1, message(Buffer.alloc(500, 65)).subarray(at * 51, at * 51 + 51)),
    ),
    call(3, '/t.T/Large'),
  ]),
  compressed: Buffer.concat([
    PREFACE,
    settings(),
    frame(Type.HEADERS, END_HEADERS, 1, head('/t.T/Echo', [['grpc-encoding', 'gzip']])),
    frame(Type.DATA, END_STREAM, 1, Buffer.concat([Buffer.from([1]), uint32(gzip.length), gzip])),
  ]),
  'what fails, each in its way': Buffer.concat([
    PREFACE,
    settings(),
    call(1, '/t.T/Refuses'),
    call(3, '/t.T/Nope'),
    frame(Type.HEADERS, END_HEADERS | END_STREAM, 5, head('/t.T/Echo')), // no message
    frame(Type.HEADERS, END_HEADERS, 7, head('/t.T/Echo')),
    frame(Type.DATA, END_STREAM, 7, Buffer.from([0, 0, 0, 0, 9, 1])), // half of one
    frame(Type.HEADERS, END_HEADERS, 9, head('/t.T/Echo', [['grpc-timeout', 'soon']])),
    frame(Type.DATA, END_STREAM, 9, message(Buffer.from('x'))),
    frame(Type.HEADERS, END_HEADERS, 11, head('/t.T/Echo', [['grpc-encoding', 'br']])),
    frame(Type.DATA, END_STREAM, 11, message(Buffer.from('x'))),
    frame(Type.HEADERS, END_HEADERS, 13, head('/t.T/Echo')),
    frame(Type.DATA, END_STREAM, 13, Buffer.concat([message(Buffer.from('a')), message(Buffer.from('b'))])),
    frame(Type.HEADERS, END_HEADERS, 15, head('/t.T/Echo')),
    frame(Type.DATA, END_STREAM, 15, Buffer.from([1, 0, 0, 0, 1, 7])), // compressed, but how
    frame(Type.HEADERS, END_HEADERS, 17, head('/t.T/Echo')),
    frame(Type.DATA, END_STREAM, 17, Buffer.from([7, 0, 0, 0, 1, 7])), // a flag that is none
    frame(
      Type.HEADERS,
      END_HEADERS | END_STREAM,
      19,
      Buffer.concat(
        [
          [':method', 'GET'],
          [':scheme', 'http'],
          [':path', '/'],
          [':authority', 'a'],
        ].map(([name, value]) => field(name as string, value as string)),
      ),
    ),
    call(21, '/t.T/Echo', Buffer.from('and on it goes')),
  ]),
};

export interface Answer {
  readonly status: string | undefined;
  readonly grpcStatus: string | undefined;
  readonly details: string | undefined;
  readonly body: string;
  readonly reset: number | undefined;
}

/** The answer on each stream. A gRPC status may be followed by a reset with NO_ERROR, which is left out. */
export function answersOf(frames: readonly Frame[]): Record<number, Answer> {
  const decoder = new HpackDecoder(64 * 1024);
  const answers = new Map<
    number,
    { status?: string; grpcStatus?: string; details?: string; body: Buffer[]; reset?: number }
  >();
  for (const { type, stream, payload } of frames) {
    if (stream === 0) continue;
    let answer = answers.get(stream);
    if (answer === undefined) answers.set(stream, (answer = { body: [] }));
    if (type === Type.DATA) answer.body.push(payload);
    if (type === Type.RST_STREAM && payload.readUInt32BE() !== 0) answer.reset = payload.readUInt32BE();
    if (type !== Type.HEADERS) continue;
    for (const { name, value } of decoder.decode(payload, 0, payload.length) ?? []) {
      if (name === ':status') answer.status = value;
      if (name === 'grpc-status') answer.grpcStatus = value;
      if (name === 'grpc-message') answer.details = value;
    }
  }
  return Object.fromEntries(
    [...answers].map(([id, { status, grpcStatus, details, body, reset }]) => [
      id,
      { status, grpcStatus, details, body: Buffer.concat(body).toString('hex'), reset },
    ]),
  );
}
