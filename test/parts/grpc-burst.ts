/**
 * Many unary calls at once, by frames written by hand: all of a connection leave in one write, and cost a tenth of what Node's client
 * takes, which would share the cores with the server.
 * **In**: one message per call. **Out**: how each call ended. **Fails**: if a connection cannot be opened.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { HpackDecoder } from '../../src/transport/h2/hpack-decoder.ts';
import {
  END_HEADERS,
  END_STREAM,
  frame,
  head,
  message as framed,
  PREFACE,
  Type,
  uint32,
} from '../unit/transport/raw-peer.ts';
import { within } from './within.ts';

/** What came back of one call: a status of gRPC, or why there is none, and the message without its prefix. */
export interface CameBack {
  /** {@link RETRYABLE} if the server has said that it has not handled the call. */
  readonly status: string;
  readonly message: Buffer;
}

/** By REFUSED_STREAM, or by the last stream id of GOAWAY (RFC 9113 section 8.7). */
export const RETRYABLE = 'retryable';

export interface Sending {
  /** As many as the streams that a server allows need, by default. */
  readonly connections?: number;
  /** Sent as grpc-timeout; absent: not sent. */
  readonly timeoutMs?: number;
  /**
   * Calls follow the preface at once, as Envoy's do, and go on until the server says which one was the last. By default they wait until
   * every connection has the server's SETTINGS, and end with the first GOAWAY.
   */
  readonly isHasty?: boolean;
  /** Calls that leave in one write, one write a millisecond; by default, all. */
  readonly atOnce?: number;
  /** Absent: cleartext. */
  readonly tls?: ConnectionOptions;
}

/** Streams that a server allows on one connection. */
const STREAMS = 1000;
const REFUSED_STREAM = 7;
/** Of a whole burst. */
const ALL_MS = 240_000;
/** Of a GOAWAY that another one follows. */
const ANY_ID = 0x7fff_ffff;
/** Of a connection, until its peer raises it (RFC 9113 section 6.9.2). */
const WINDOW_BYTES = 65_535;
const FRAME_HEAD = 9;
const PREFIX = 5;
const NOTHING = Buffer.alloc(0);

export async function sendAtOnce(
  port: number,
  path: string,
  messages: readonly Uint8Array[],
  {
    connections: count = Math.ceil(messages.length / STREAMS),
    timeoutMs,
    isHasty = false,
    atOnce = Infinity,
    tls,
  }: Sending,
): Promise<readonly CameBack[]> {
  const headers = head(path, timeoutMs === undefined ? [] : [['grpc-timeout', `${timeoutMs}m`]]);
  const callers = await Promise.all(
    Array.from({ length: count }, async (_, nth) => {
      const to = { port, host: '127.0.0.1', noDelay: true };
      const socket = tls === undefined ? connect(to) : connectTls({ ...to, ALPNProtocols: ['h2'], ...tls });
      await once(socket, tls === undefined ? 'connect' : 'secureConnect');
      const own = messages.filter((_message, at) => at % count === nth);
      const caller = new Caller(socket, headers, own, isHasty, atOnce);
      if (isHasty) caller.start();
      return caller;
    }),
  );
  try {
    if (!isHasty) await within(`the SETTINGS of port ${port}`, Promise.all(callers.map((caller) => caller.settings)));
    if (!isHasty) for (const caller of callers) caller.start();
    const all = Promise.all(callers.map((caller) => caller.all));
    return (await within(`the answers to ${messages.length} calls of ${path} at port ${port}`, all, ALL_MS)).flat();
  } finally {
    for (const caller of callers) caller.close();
  }
}

/** One connection; each message is a stream. */
class Caller {
  readonly settings: Promise<void>;
  readonly all: Promise<readonly CameBack[]>;
  readonly #socket: Socket;
  readonly #headers: Buffer;
  readonly #messages: readonly Uint8Array[];
  readonly #isHasty: boolean;
  readonly #atOnce: number;
  readonly #decoder = new HpackDecoder(1 << 20);
  readonly #came: CameBack[] = [];
  readonly #bodies = new Map<number, Buffer>();
  #sent = 0;
  #ended = 0;
  #hasStarted = false;
  /** Later streams are not handled. */
  #lastId = Infinity;
  #window = WINDOW_BYTES;
  #rest: Buffer = NOTHING;
  #toldSettings: () => void = () => undefined;
  #done: (all: readonly CameBack[]) => void = () => undefined;

  constructor(socket: Socket, headers: Buffer, messages: readonly Uint8Array[], isHasty: boolean, atOnce: number) {
    this.#socket = socket;
    this.#isHasty = isHasty;
    this.#atOnce = atOnce;
    this.#headers = headers;
    this.#messages = messages;
    this.settings = new Promise((resolve) => {
      this.#toldSettings = resolve;
    });
    this.all = new Promise((resolve) => {
      this.#done = resolve;
    });
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => undefined); // 'close' follows
    socket.once('close', () => this.#close());
    socket.write(
      Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0), frame(Type.WINDOW_UPDATE, 0, 0, uint32(0x7000_0000))]),
    );
  }

  start(): void {
    this.#hasStarted = true;
    this.#send();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** As many as the peer's window allows, and `atOnce`. */
  #send(): void {
    const frames: Buffer[] = [];
    if (this.#lastId < (this.#isHasty ? ANY_ID : Infinity)) return;
    const end = Math.min(this.#messages.length, this.#sent + this.#atOnce);
    for (; this.#sent < end; this.#sent++) {
      const message = this.#messages[this.#sent] as Uint8Array;
      if (message.length + PREFIX > this.#window) break;
      this.#window -= message.length + PREFIX;
      const id = this.#sent * 2 + 1;
      frames.push(
        frame(Type.HEADERS, END_HEADERS, id, this.#headers),
        frame(Type.DATA, END_STREAM, id, framed(message)),
      );
    }
    if (frames.length > 0) this.#socket.write(Buffer.concat(frames));
    if (this.#atOnce < Infinity && this.#sent < this.#messages.length) setTimeout(() => this.#send(), 1);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD) {
      const end = at + FRAME_HEAD + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.#take(
        bytes[at + 3] as number,
        bytes[at + 4] as number,
        bytes.readUInt32BE(at + 5),
        bytes.subarray(at + FRAME_HEAD, end),
      );
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #take(type: number, flags: number, id: number, payload: Buffer): void {
    const isAcknowledged = (flags & 1) !== 0;
    if (type === Type.SETTINGS && !isAcknowledged) {
      this.#socket.write(frame(Type.SETTINGS, 1, 0));
      this.#toldSettings();
    } else if (type === Type.PING && !isAcknowledged) this.#socket.write(frame(Type.PING, 1, 0, payload));
    else if (type === Type.WINDOW_UPDATE && id === 0) {
      this.#window += payload.readUInt32BE(0);
      if (this.#hasStarted && this.#atOnce === Infinity) this.#send();
    } else if (type === Type.DATA) this.#bodies.set(id, Buffer.concat([this.#bodies.get(id) ?? NOTHING, payload]));
    else if (type === Type.GOAWAY) this.#lastId = payload.readUInt32BE(0);
    else if (type === Type.RST_STREAM) {
      const code = payload.readUInt32BE(0);
      this.#end(id, code === REFUSED_STREAM ? RETRYABLE : `reset ${code}`);
    } else if (type === Type.HEADERS) {
      const fields = this.#decoder.decode(payload, 0, payload.length) ?? [];
      if ((flags & END_STREAM) === 0) return;
      const status = fields.find(({ name }) => name === 'grpc-status');
      this.#end(id, status === undefined ? 'no status' : status.value);
    }
  }

  #end(id: number, status: string): void {
    const at = (id - 1) / 2;
    if (this.#came[at] !== undefined) return; // a reset after the trailers
    this.#came[at] = { status, message: this.#bodies.get(id)?.subarray(PREFIX) ?? NOTHING };
    this.#ended++;
    if (this.#ended === this.#messages.length) this.#done(this.#came);
  }

  #close(): void {
    this.#toldSettings();
    for (let at = 0; at < this.#messages.length; at++) {
      const id = at * 2 + 1;
      this.#end(id, id > this.#lastId || at >= this.#sent ? RETRYABLE : 'the connection was closed');
    }
  }
}
