/**
 * A stream of access log entries at a rate, sent by the process that sends checks: a sender of its own would take turns with it on the
 * core of the load, so that checks leave late. Hand-written HTTP/2, encoded once.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { frame, uint32 } from './h2-frame.ts';
import { logMessage, PER_MESSAGE } from './log-message.ts';

const MAX_FRAME_BYTES = 16_384;
const WINDOW_BYTES = 65_535;
const PATH = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
const [DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE] = [0, 1, 4, 6, 8];
const INITIAL_WINDOW_SIZE = 4;
const STREAM = 1;

export class LogStream {
  readonly #socket: Socket;
  readonly #message: Buffer;
  /** DATA payload of a message: what it takes of both windows. */
  readonly #payloadBytes: number;
  #connectionWindow = WINDOW_BYTES;
  #streamWindow = WINDOW_BYTES;
  #initialWindow = WINDOW_BYTES;
  #rest: Buffer = Buffer.alloc(0);
  sent = 0;

  static async open(port: number): Promise<LogStream> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new LogStream(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    const bytes = logMessage();
    const payload = Buffer.concat([Buffer.from([0]), uint32(bytes.length), bytes]);
    this.#payloadBytes = payload.length;
    const frames: Buffer[] = [];
    for (let at = 0; at < payload.length; at += MAX_FRAME_BYTES)
      frames.push(frame(DATA, 0, STREAM, payload.subarray(at, at + MAX_FRAME_BYTES)));
    this.#message = Buffer.concat(frames);
    const head = Buffer.concat([
      Buffer.from([0x83, 0x86]), // :method POST, :scheme http
      literal(':path', PATH),
      literal(':authority', 'sluice'),
      literal('content-type', 'application/grpc'),
      literal('te', 'trailers'),
    ]);
    socket.write(
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        frame(SETTINGS, 0, 0, Buffer.alloc(0)),
        frame(HEADERS, 4, STREAM, head),
      ]),
    );
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  get entries(): number {
    return this.sent * PER_MESSAGE;
  }

  /** Sends messages that are due by now, as far as the windows of the server allow. */
  sendUntil(count: number): void {
    for (; this.sent < count; this.sent++) {
      if (Math.min(this.#connectionWindow, this.#streamWindow) < this.#payloadBytes) return;
      this.#connectionWindow -= this.#payloadBytes;
      this.#streamWindow -= this.#payloadBytes;
      this.#socket.write(this.#message);
    }
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 9) {
      const end = at + 9 + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.#frame(
        bytes[at + 3] as number,
        bytes[at + 4] as number,
        bytes.readUInt32BE(at + 5),
        bytes.subarray(at + 9, end),
      );
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === WINDOW_UPDATE && id === 0) this.#connectionWindow += payload.readUInt32BE(0);
    else if (type === WINDOW_UPDATE) this.#streamWindow += payload.readUInt32BE(0);
    else if (type === PING && (flags & 1) === 0) this.#socket.write(frame(PING, 1, 0, payload));
    else if (type === SETTINGS && (flags & 1) === 0) {
      for (let at = 0; at < payload.length; at += 6)
        if (payload.readUInt16BE(at) === INITIAL_WINDOW_SIZE) {
          this.#streamWindow += payload.readUInt32BE(at + 2) - this.#initialWindow;
          this.#initialWindow = payload.readUInt32BE(at + 2);
        }
      this.#socket.write(frame(SETTINGS, 1, 0, Buffer.alloc(0)));
    } else if (type === HEADERS || type === 3 || type === 7)
      throw new Error(`the server ended the stream of entries: frame ${type}, ${payload.toString('latin1')}`);
  }
}

/** Without indexing, neither Huffman-coded. */
const literal = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.from([0x00, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
