/** A client that sends any bytes over a real socket, and reads frames. */
import { connect, type Socket } from 'node:net';

export const Type = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const rest = bytes.length - 127;
  const length = [127];
  let left = rest;
  for (; left >= 128; left >>= 7) length.push((left & 0x7f) | 0x80);
  length.push(left);
  return Buffer.concat([Buffer.from(length), bytes]);
};

/** An HPACK literal: without indexing, or (`isIndexed`) with. */
export const field = (name: string, value: string, isIndexed = false): Buffer =>
  Buffer.concat([Buffer.from([isIndexed ? 0x40 : 0]), text(name), text(value)]);

export const head = (path: string, more: readonly (readonly [string, string])[] = []): Buffer =>
  Buffer.concat(
    [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'a'],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
      ...more,
    ].map(([name, value]) => field(name as string, value as string)),
  );

export function message(body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0]), uint32(body.length), body]);
}

/** One whole call. */
export const call = (stream: number, path: string, body: Uint8Array = Buffer.from('hi')): Buffer =>
  Buffer.concat([
    frame(Type.HEADERS, END_HEADERS, stream, head(path)),
    frame(Type.DATA, END_STREAM, stream, message(body)),
  ]);

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Complete frames, and the rest. */
export function framesOf(bytes: Buffer): { readonly frames: Frame[]; readonly rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= 9) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    frames.push({
      type: bytes[at + 3] as number,
      flags: bytes[at + 4] as number,
      stream: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, end),
    });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

export interface RawPeer {
  readonly socket: Socket;
  readonly frames: readonly Frame[];
  readonly isClosed: boolean;
  send(...pieces: Uint8Array[]): void;
  /** The GOAWAY that ended the connection; rejects where it lives on. */
  goAway(withinMs?: number): Promise<{ readonly code: number; readonly why: string }>;
  until(holds: (frames: readonly Frame[]) => boolean, what: string, withinMs?: number): Promise<void>;
}

/** Connects, and sends the preface and SETTINGS. */
export async function rawPeer(port: number, settings: Uint8Array = Buffer.alloc(0)): Promise<RawPeer> {
  const socket = connect(port, '127.0.0.1');
  const frames: Frame[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let isClosed = false;
  socket.on('data', (chunk: Buffer) => {
    const read = framesOf(Buffer.concat([rest, chunk]));
    frames.push(...read.frames);
    rest = Buffer.from(read.rest);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
  });
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
  });
  socket.write(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0, settings)]));
  const until = async (holds: (frames: readonly Frame[]) => boolean, what: string, withinMs = 5000): Promise<void> => {
    const end = Date.now() + withinMs;
    while (!holds(frames)) {
      if (Date.now() > end)
        throw new Error(
          `waited ${withinMs} ms in vain until ${what}; the last frames are ${frames
            .slice(-5)
            .map(({ type, stream }) => `${type} on ${stream}`)
            .join(', ')}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  return {
    socket,
    frames,
    get isClosed() {
      return isClosed;
    },
    send: (...pieces) => {
      socket.write(Buffer.concat(pieces));
    },
    until,
    goAway: async (withinMs = 5000) => {
      await until(() => isClosed, 'the connection is closed', withinMs);
      const last = frames.findLast(({ type }) => type === Type.GOAWAY);
      if (last === undefined) throw new Error('closed without a GOAWAY');
      return { code: last.payload.readUInt32BE(4), why: last.payload.subarray(8).toString() };
    },
  };
}
