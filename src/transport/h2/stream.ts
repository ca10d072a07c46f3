/**
 * One stream of a connection, our side of it: what is said of a reply leaves as far as the windows allow, the rest waits.
 */
import type { Exchange, Receiver } from '../exchange.ts';
import { framed, PREFIX_BYTES } from '../framed.ts';
import type { Connection } from './connection.ts';
import { Flag, FrameType, MAX_FRAME_BYTES } from './frames.ts';

const NO_BYTES = new Uint8Array(0);
const NOTHING: Uint8Array[] = [];

/** How a reply ends: a status in trailers, or (what is no gRPC) the end of the body. */
type Ending = { readonly code: number; readonly details: string } | 'body';

export class Stream implements Exchange {
  readonly id: number;
  readonly #connection: Connection;
  receiver: Receiver = NOBODY;
  /** The peer has said all. */
  isRemoteEnded: boolean;
  isClosed = false;
  /** What the peer may still send, and of its body, where it said how long that is. */
  receiveWindow: number;
  bodyLeft: number;
  /** What we may still send. May be negative, after the peer made its window smaller. */
  sendWindow: number;
  #credit = 0;
  #held = 0;
  #hasHead = false;
  #isEnded = false;
  /** Waits for the windows. */
  #waiting: Uint8Array[] | undefined;
  #ending: Ending | undefined;
  #lastWaiting: Uint8Array | undefined;
  #vainTicks = 0;

  constructor(
    connection: Connection,
    id: number,
    isRemoteEnded: boolean,
    receiveWindow: number,
    sendWindow: number,
    bodyLeft: number,
  ) {
    this.#connection = connection;
    this.id = id;
    this.isRemoteEnded = isRemoteEnded;
    this.receiveWindow = receiveWindow;
    this.sendWindow = sendWindow;
    this.bodyLeft = bodyLeft;
  }

  get arrivedAtMs(): number {
    return this.#connection.turnAtMs;
  }

  get peer(): string {
    return this.#connection.peer;
  }

  reply(message: Uint8Array): void {
    if (this.isClosed || this.#isEnded) return;
    const connection = this.#connection;
    const bytes = PREFIX_BYTES + message.length;
    if (this.#hasHead || bytes > MAX_FRAME_BYTES || bytes > this.sendWindow || bytes > connection.sendWindow) {
      this.send(message);
      this.end(0, '');
      return;
    }
    const { output, headers } = connection;
    connection.sendWindow -= bytes;
    this.#isEnded = true;
    output.frame(FrameType.HEADERS, Flag.END_HEADERS, this.id, headers.head());
    output.frameHead(FrameType.DATA, 0, this.id, bytes, bytes);
    const at = output.length;
    output.bytes[at] = 0;
    output.length = at + 1;
    output.uint32(message.length);
    output.append(message);
    output.frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, this.id, headers.ok());
    connection.answered(this);
  }

  send(message: Uint8Array): boolean {
    if (this.isClosed || this.#isEnded) return true;
    this.#sayHead();
    this.#queue(framed(message));
    this.#connection.touched();
    return this.#connection.hasRoom(this);
  }

  end(code: number, details: string): void {
    if (this.isClosed || this.#isEnded) return;
    this.#isEnded = true;
    this.#ending = { code, details };
    this.pump();
    this.#connection.touched();
  }

  refuse(httpStatus: number, text: string): void {
    if (this.isClosed || this.#isEnded) return;
    const body = new TextEncoder().encode(text);
    this.#hasHead = true;
    this.#isEnded = true;
    this.#connection.output.frame(
      FrameType.HEADERS,
      Flag.END_HEADERS,
      this.id,
      this.#connection.headers.plain(httpStatus, body.length),
    );
    this.#ending = 'body';
    this.#queue(body);
    this.#connection.touched();
  }

  credit(bytes: number): void {
    if (this.isRemoteEnded || this.isClosed) return;
    this.#credit += bytes;
    if (this.#credit < this.#connection.limits.streamWindowBytes / 2) return;
    this.receiveWindow += this.#credit;
    this.#connection.windowUpdate(this.id, this.#credit);
    this.#credit = 0;
  }

  hold(bytes: number): boolean {
    if (this.isClosed) return true;
    this.#held += bytes;
    return this.#connection.hold(bytes);
  }

  /** How many times in a row it was asked while nothing of its reply could be sent. */
  ticksInVain(): number {
    const left = this.#waiting?.[0];
    this.#vainTicks = left === undefined || left !== this.#lastWaiting ? 0 : this.#vainTicks + 1;
    this.#lastWaiting = left;
    return this.#vainTicks;
  }

  get isWaiting(): boolean {
    return this.#waiting !== undefined && this.#waiting.length > 0;
  }

  /** Writes what the windows allow. */
  pump(): void {
    const connection = this.#connection;
    const waiting = this.#waiting ?? NOTHING;
    while (waiting.length > 0) {
      const piece = waiting[0] as Uint8Array;
      const bytes = Math.min(piece.length, MAX_FRAME_BYTES, this.sendWindow, connection.sendWindow);
      if (bytes <= 0) {
        connection.blocked.add(this);
        return;
      }
      connection.output.frame(FrameType.DATA, 0, this.id, piece.subarray(0, bytes));
      this.sendWindow -= bytes;
      connection.sendWindow -= bytes;
      connection.waits(-bytes);
      if (bytes === piece.length) waiting.shift();
      else waiting[0] = piece.subarray(bytes);
    }
    connection.blocked.delete(this);
    if (this.#ending === undefined) return;
    const ending = this.#ending;
    this.#ending = undefined;
    const { output, headers } = connection;
    if (ending === 'body') output.frame(FrameType.DATA, Flag.END_STREAM, this.id, NO_BYTES);
    else {
      const block =
        ending.code === 0 && this.#hasHead ? headers.ok() : headers.failed(ending.code, ending.details, !this.#hasHead);
      output.frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, this.id, block);
    }
    connection.answered(this);
  }

  /** By the connection alone: from here on nothing is said or held. */
  close(): void {
    this.isClosed = true;
    if (this.#waiting !== undefined) {
      let waiting = 0;
      for (const { length } of this.#waiting) waiting += length;
      this.#waiting = undefined;
      if (waiting > 0) this.#connection.waits(-waiting);
    }
    this.#ending = undefined;
    if (this.#held > 0) this.#connection.hold(-this.#held);
    this.#held = 0;
  }

  #sayHead(): void {
    if (this.#hasHead) return;
    this.#hasHead = true;
    this.#connection.output.frame(FrameType.HEADERS, Flag.END_HEADERS, this.id, this.#connection.headers.head());
  }

  #queue(piece: Uint8Array): void {
    (this.#waiting ??= []).push(piece);
    this.#connection.waits(piece.length);
    this.pump();
  }
}

const NOBODY: Receiver = { data() {}, writable() {}, gone() {}, tick() {}, drain() {} };
