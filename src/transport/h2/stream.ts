/** Our side of one stream: replies are sent as far as the flow-control windows allow; the rest waits. */
import { type Exchange, NO_RECEIVER, type Peer, type Receiver } from '../exchange.ts';
import { framed, PREFIX_BYTES } from '../framed.ts';
import { Flag, FrameType, MAX_FRAME_BYTES } from './frames.ts';
import type { Streams } from './streams.ts';

const NO_BYTES = new Uint8Array(0);
const NOTHING: Uint8Array[] = [];

/** The end of a reply: a status in trailers, or the end of the body of a plain HTTP reply. */
type Ending = { readonly code: number; readonly details: string; readonly richStatus: Uint8Array | undefined } | 'body';

export class Stream implements Exchange {
  readonly id: number;
  readonly #streams: Streams;
  receiver: Receiver = NO_RECEIVER;
  /** The peer has ended its side. */
  isRemoteEnded: boolean;
  isClosed = false;
  /** Bytes that the peer may still send. */
  receiveWindow: number;
  /** The rest of its content-length; negative if it has none. */
  bodyLeft: number;
  /** Bytes that we may still send; negative after the peer has reduced its window. */
  sendWindow: number;
  #credit = 0;
  #held = 0;
  /** Our side has ended, and the peer may still send. */
  isReplied = false;
  #isReading = false;
  #hasHead = false;
  #isEnded = false;
  /** Framed messages that wait for a window. */
  #waiting: Uint8Array[] | undefined;
  #ending: Ending | undefined;
  #lastWaiting: Uint8Array | undefined;
  #stalledTicks = 0;

  constructor(
    streams: Streams,
    id: number,
    isRemoteEnded: boolean,
    receiveWindow: number,
    sendWindow: number,
    bodyLeft: number,
  ) {
    this.#streams = streams;
    this.id = id;
    this.isRemoteEnded = isRemoteEnded;
    this.receiveWindow = receiveWindow;
    this.sendWindow = sendWindow;
    this.bodyLeft = bodyLeft;
  }

  get arrivedAtMs(): number {
    return this.#streams.turnAtMs;
  }

  get peer(): Peer {
    return this.#streams.peer;
  }

  reply(message: Uint8Array): void {
    if (this.isClosed || this.#isEnded) return;
    const streams = this.#streams;
    const bytes = PREFIX_BYTES + message.length;
    if (this.#hasHead || bytes > MAX_FRAME_BYTES || bytes > this.sendWindow || bytes > streams.sendWindow) {
      this.send(message);
      this.end(0, '');
      return;
    }
    const { output, headers } = streams;
    streams.sendWindow -= bytes;
    this.#isEnded = true;
    output.frame(FrameType.HEADERS, Flag.END_HEADERS, this.id, headers.head());
    output.frameHead(FrameType.DATA, 0, this.id, bytes, bytes);
    const at = output.length;
    output.bytes[at] = 0;
    output.length = at + 1;
    output.uint32(message.length);
    output.append(message);
    output.frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, this.id, headers.ok());
    streams.answered(this);
  }

  send(message: Uint8Array): boolean {
    if (this.isClosed || this.#isEnded) return true;
    this.#sendHead();
    this.#queue(framed(message));
    this.#streams.host.touched();
    return this.#streams.hasRoom(this);
  }

  end(code: number, details: string, richStatus?: Uint8Array): void {
    if (this.isClosed) return;
    if (this.#isEnded) return this.#stopReading();
    this.#isEnded = true;
    this.#ending = { code, details, richStatus };
    this.pump();
    this.#streams.host.touched();
  }

  endReply(): void {
    if (this.isClosed || this.#isEnded) return;
    this.#isReading = true;
    this.end(0, '');
  }

  /** After {@link endReply}: nothing more of the request is needed. */
  #stopReading(): void {
    if (!this.#isReading) return;
    this.#isReading = false;
    if (this.isReplied) this.#streams.answered(this);
  }

  refuse(httpStatus: number, text: string): void {
    if (this.isClosed || this.#isEnded) return;
    const body = new TextEncoder().encode(text);
    this.#hasHead = true;
    this.#isEnded = true;
    this.#streams.output.frame(
      FrameType.HEADERS,
      Flag.END_HEADERS,
      this.id,
      this.#streams.headers.plain(httpStatus, body.length),
    );
    this.#ending = 'body';
    this.#queue(body);
    this.#streams.host.touched();
  }

  credit(bytes: number): void {
    if (this.isRemoteEnded || this.isClosed) return;
    this.#credit += bytes;
    if (this.#credit < this.#streams.limits.streamWindowBytes / 2) return;
    this.receiveWindow += this.#credit;
    this.#streams.windowUpdate(this.id, this.#credit);
    this.#credit = 0;
  }

  hold(bytes: number): boolean {
    if (this.isClosed) return true;
    this.#held += bytes;
    return this.#streams.hold(bytes);
  }

  retain(): void {
    this.#streams.isChunkRetained = true;
  }

  /** Consecutive ticks in which its reply has waited without progress. */
  stalledTicks(): number {
    const left = this.#waiting?.[0];
    this.#stalledTicks = left === undefined || left !== this.#lastWaiting ? 0 : this.#stalledTicks + 1;
    this.#lastWaiting = left;
    return this.#stalledTicks;
  }

  get isWaiting(): boolean {
    return this.#waiting !== undefined && this.#waiting.length > 0;
  }

  /** Sends as much as the windows allow. */
  pump(): void {
    const streams = this.#streams;
    const waiting = this.#waiting ?? NOTHING;
    const [first] = waiting;
    if (first !== undefined && first.length > MAX_FRAME_BYTES)
      streams.output.reserve(Math.min(first.length, this.sendWindow, streams.sendWindow)); // frame by frame it would be copied each time
    while (waiting.length > 0) {
      const piece = waiting[0] as Uint8Array;
      const bytes = Math.min(piece.length, MAX_FRAME_BYTES, this.sendWindow, streams.sendWindow);
      if (bytes <= 0) {
        streams.blocked.add(this);
        return;
      }
      streams.output.frame(FrameType.DATA, 0, this.id, piece.subarray(0, bytes));
      this.sendWindow -= bytes;
      streams.sendWindow -= bytes;
      streams.waits(-bytes);
      if (bytes === piece.length) waiting.shift();
      else waiting[0] = piece.subarray(bytes);
    }
    streams.blocked.delete(this);
    if (this.#ending === undefined) return;
    const ending = this.#ending;
    this.#ending = undefined;
    const { output, headers } = streams;
    if (ending === 'body') output.frame(FrameType.DATA, Flag.END_STREAM, this.id, NO_BYTES);
    else {
      const block =
        ending.code === 0 && this.#hasHead
          ? headers.ok()
          : headers.failed(ending.code, ending.details, !this.#hasHead, ending.richStatus);
      output.frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, this.id, block);
    }
    if (this.#isReading && !this.isRemoteEnded) this.isReplied = true;
    else streams.answered(this);
  }

  /** Only {@link Streams} calls it: from here on nothing is sent or held. */
  close(): void {
    this.isClosed = true;
    if (this.#waiting !== undefined) {
      let waiting = 0;
      for (const { length } of this.#waiting) waiting += length;
      this.#waiting = undefined;
      if (waiting > 0) this.#streams.waits(-waiting);
    }
    this.#ending = undefined;
    if (this.#held > 0) this.#streams.hold(-this.#held);
    this.#held = 0;
  }

  #sendHead(): void {
    if (this.#hasHead) return;
    this.#hasHead = true;
    this.#streams.output.frame(FrameType.HEADERS, Flag.END_HEADERS, this.id, this.#streams.headers.head());
  }

  #queue(piece: Uint8Array): void {
    (this.#waiting ??= []).push(piece);
    this.#streams.waits(piece.length);
    this.pump();
  }
}
