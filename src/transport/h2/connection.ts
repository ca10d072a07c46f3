/**
 * The server's side of one HTTP/2 connection (RFC 9113).
 * **In**: octets as they come, split anywhere. **Out**: requests to whoever serves them, and octets to write, those of one
 * turn in one piece. **Fails**: a stream with RST_STREAM, the connection with GOAWAY; never by throwing.
 *
 * No Node module is used here: it fits any socket, and a test without one.
 */
import type { Serve } from '../exchange.ts';
import { FrameReader, type FrameTaker } from './frame-reader.ts';
import {
  ConnectionError,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FrameType,
  MAX_FRAME_BYTES,
  MAX_WINDOW_BYTES,
  Setting,
} from './frames.ts';
import { type HeaderBlock, HeadReader } from './head-reader.ts';
import type { Limits } from '../limits.ts';
import { IdleBudget } from './idle-budget.ts';
import { Output } from './output.ts';
import { ReplyHeaders } from './reply-headers.ts';
import { Stream } from './stream.ts';
import { StreamTable } from './stream-table.ts';

/** Where octets go. */
export interface Outlet {
  /** True: they are written, and their memory is free again. False: it is kept. */
  write(bytes: Uint8Array): boolean;
  /** More is written than the peer reads: say no more that can wait. `Connection.drained` tells the end of it. */
  readonly isFull: boolean;
  /** Calls back when this turn's other work is done. */
  soon(flush: () => void): void;
  /** After what was written. */
  close(): void;
}

export interface ConnectionOptions {
  readonly outlet: Outlet;
  readonly serve: Serve;
  readonly limits: Limits;
  readonly peer: string;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Of a fault of our own, which ends the connection. */
  readonly onFault: (error: unknown) => void;
}

const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
/** So many settings cost no more than one: there are six, and what is unknown is ignored. */
const SETTINGS_A_FRAME = 32;
/** How long a frame, or a header block, may take to come, and how long a reply may wait for a window, in ticks of a second. */
const MOST_TICKS = 30;
/** Of one turn: streams that have more to say wait for the next. */
const MOST_OUTPUT_BYTES = 64 * 1024;
export class Connection implements FrameTaker {
  readonly peer: string;
  readonly limits: Limits;
  readonly output = new Output();
  readonly headers = new ReplyHeaders();
  /** Streams whose replies wait for a window. */
  readonly blocked = new Set<Stream>();
  /** What we may send on all streams together. */
  sendWindow = DEFAULT_WINDOW_BYTES;
  isOver = false;
  /** When what is read now came: all of it at once. */
  turnAtMs = 0;
  readonly #nowMs: () => number;
  readonly #outlet: Outlet;
  readonly #serve: Serve;
  readonly #onFault: (error: unknown) => void;
  readonly #patience: IdleBudget;
  readonly #heads: HeadReader;
  /** Streams that wait for room in the outlet. */
  readonly #waiters = new Set<Stream>();

  readonly #reader: FrameReader;
  #hasSettings = false;
  /** A header block whose end has not come. */
  #block: HeaderBlock | undefined;

  readonly #streams = new StreamTable();

  #peerWindow = DEFAULT_WINDOW_BYTES;
  #receiveWindow = CONNECTION_WINDOW_BYTES;
  #credit = 0;
  #held = 0;
  #blockedBytes = 0;

  /** What has begun to come and has not ended, as of the last tick, and for how many ticks that has been so. */
  #coming: unknown;
  #comingTicks = 0;

  #isInTurn = false;
  #isFlushDue = false;
  #draining: 'no' | 'announced' | 'final' = 'no';
  #finalId = 0;

  constructor({ outlet, serve, limits, peer, nowMs, onFault }: ConnectionOptions) {
    this.#outlet = outlet;
    this.#nowMs = nowMs;
    this.#serve = serve;
    this.limits = limits;
    this.peer = peer;
    this.#onFault = onFault;
    this.#patience = new IdleBudget(limits, nowMs);
    this.#heads = new HeadReader(limits);
    this.#reader = new FrameReader(this);
    this.#sayHello();
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  // ---------------------------------------------------------- octets in

  receive(chunk: Uint8Array): void {
    if (this.isOver) return;
    this.#isInTurn = true;
    this.turnAtMs = this.#nowMs();
    try {
      this.#reader.read(chunk);
    } catch (error) {
      this.#fail(error);
    }
    this.#isInTurn = false;
    this.flush();
  }

  /** The peer's side is closed, or broken. */
  lost(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#endStreams();
  }

  // ---------------------------------------------------------- frames

  /** One of them. Throws a {@link ConnectionError}. */
  frame(bytes: Uint8Array, head: number, from: number, to: number): void {
    const type = bytes[head + 3] as number;
    const flags = bytes[head + 4] as number;
    const id = uint32(bytes, head + 5) & 0x7fff_ffff;
    if (this.#block !== undefined && type !== FrameType.CONTINUATION)
      throw protocol('a header block is interrupted by another frame');
    if (!this.#hasSettings && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0))
      throw protocol('the first frame is not SETTINGS');
    switch (type) {
      case FrameType.DATA:
        return this.#data(bytes, from, to, flags, id);
      case FrameType.HEADERS:
        return this.#headers(bytes, from, to, flags, id);
      case FrameType.PRIORITY:
        return this.#priority(bytes, from, to, id);
      case FrameType.RST_STREAM:
        return this.#reset(from, to, id);
      case FrameType.SETTINGS:
        return this.#settings(bytes, from, to, flags, id);
      case FrameType.PUSH_PROMISE:
        throw protocol('a client has nothing to push');
      case FrameType.PING:
        return this.#ping(bytes, from, to, flags, id);
      case FrameType.GOAWAY:
        if (id !== 0) throw protocol('GOAWAY on a stream');
        if (to - from < 8) throw frameSize('GOAWAY');
        return this.#spend();
      case FrameType.WINDOW_UPDATE:
        return this.#window(bytes, from, to, id);
      case FrameType.CONTINUATION:
        return this.#continuation(bytes, from, to, flags, id);
      default:
        return this.#spend(); // RFC 9113 section 5.5: ignored
    }
  }

  #data(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    if (id === 0) throw protocol('DATA on stream 0');
    const length = to - from;
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0)
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'more DATA than the window of the connection has');
    let begin = from;
    let end = to;
    if ((flags & Flag.PADDED) !== 0) {
      if (length === 0 || (bytes[from] as number) >= length) throw protocol('DATA has more padding than octets');
      end -= bytes[from] as number;
      begin += 1;
    }
    const isEnd = (flags & Flag.END_STREAM) !== 0;
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.isRemoteEnded) this.#dataOfNobody(id, stream);
    else if ((stream.receiveWindow -= length) < 0) this.#resetStream(id, ErrorCode.FLOW_CONTROL_ERROR);
    else if (stream.bodyLeft >= 0 && ((stream.bodyLeft -= end - begin) < 0 || (isEnd && stream.bodyLeft > 0)))
      this.#resetStream(id, ErrorCode.PROTOCOL_ERROR);
    else {
      if (begin === end && !isEnd) this.#spend();
      stream.isRemoteEnded = isEnd;
      if (length > end - begin) stream.credit(length - (end - begin));
      stream.receiver.data(bytes, begin, end, isEnd);
    }
    this.#credit += length;
    this.#giveCredit();
  }

  #dataOfNobody(id: number, stream: Stream | undefined): void {
    if (stream !== undefined) return this.#resetStream(id, ErrorCode.STREAM_CLOSED);
    if (id > this.#streams.lastId) throw protocol(`DATA on stream ${id}, which was never opened`);
    if (this.#streams.howOver(id) === 'ended by us') return this.#spend();
    throw new ConnectionError(ErrorCode.STREAM_CLOSED, `DATA on stream ${id}, which is over`);
  }

  #headers(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    if (id % 2 === 0) throw protocol(`HEADERS on stream ${id}: clients use odd ones`);
    let begin = from;
    let end = to;
    if ((flags & Flag.PADDED) !== 0) {
      if (begin === end) throw frameSize('HEADERS');
      end -= bytes[begin++] as number;
    }
    let dependsOnItself = false;
    if ((flags & Flag.PRIORITY) !== 0) {
      if (end - begin < 5) throw frameSize('HEADERS');
      dependsOnItself = (uint32(bytes, begin) & 0x7fff_ffff) === id;
      begin += 5;
    }
    if (begin > end) throw protocol('HEADERS has more padding than octets');
    const isEnd = (flags & Flag.END_STREAM) !== 0;
    if ((flags & Flag.END_HEADERS) !== 0) return this.#headerBlock(bytes, begin, end, id, isEnd, dependsOnItself);
    this.#block = this.#heads.beginBlock(id, isEnd, dependsOnItself);
    this.#block.add(bytes, begin, end);
  }

  #continuation(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    const block = this.#block;
    if (block === undefined || block.id !== id) throw protocol('CONTINUATION of no header block');
    if (from === to) this.#spend();
    block.add(bytes, from, to);
    if ((flags & Flag.END_HEADERS) === 0) return;
    this.#block = undefined;
    this.#headerBlock(block.bytes, 0, block.length, id, block.isEnd, block.dependsOnItself);
  }

  /** Every block is decoded, whatever becomes of its stream: the table must stay as the peer's. */
  #headerBlock(
    bytes: Uint8Array,
    from: number,
    to: number,
    id: number,
    isEnd: boolean,
    dependsOnItself: boolean,
  ): void {
    if (id <= this.#streams.lastId) return this.#trailers(bytes, from, to, id, isEnd, this.#streams.get(id));
    const head = this.#heads.head(bytes, from, to);
    this.#streams.lastId = id;
    if (this.#streams.size >= this.limits.maxStreams || (this.#draining === 'final' && id > this.#finalId))
      return this.#resetStream(id, ErrorCode.REFUSED_STREAM);
    if (typeof head === 'string' || dependsOnItself) return this.#resetStream(id, ErrorCode.PROTOCOL_ERROR);
    if (head === undefined) this.#spend();
    const bodyLeft = head?.contentLength ?? -1;
    if (isEnd && bodyLeft > 0) return this.#resetStream(id, ErrorCode.PROTOCOL_ERROR);
    const opened = new Stream(this, id, isEnd, this.limits.streamWindowBytes, this.#peerWindow, bodyLeft);
    this.#streams.add(opened);
    if (head === undefined)
      opened.refuse(431, `the headers are larger than ${this.limits.maxHeaderListBytes} octets\n`);
    else opened.receiver = this.#serve(opened, head, isEnd);
  }

  #trailers(bytes: Uint8Array, from: number, to: number, id: number, isEnd: boolean, stream: Stream | undefined): void {
    const problem = this.#heads.trailersProblem(bytes, from, to);
    if (stream === undefined) {
      const how = this.#streams.howOver(id);
      if (how === 'ended by us') return this.#spend();
      if (how === 'over') throw new ConnectionError(ErrorCode.STREAM_CLOSED, `HEADERS on stream ${id}, which is over`);
      throw protocol(`HEADERS on stream ${id} after those of ${this.#streams.lastId}`);
    }
    if (stream.isRemoteEnded) return this.#resetStream(id, ErrorCode.STREAM_CLOSED);
    if (!isEnd || problem !== undefined || stream.bodyLeft > 0) return this.#resetStream(id, ErrorCode.PROTOCOL_ERROR);
    stream.isRemoteEnded = true;
    stream.receiver.data(NO_BYTES, 0, 0, true);
  }

  #priority(bytes: Uint8Array, from: number, to: number, id: number): void {
    if (id === 0) throw protocol('PRIORITY on stream 0');
    if (to - from !== 5) return this.#resetStream(id, ErrorCode.FRAME_SIZE_ERROR);
    if ((uint32(bytes, from) & 0x7fff_ffff) === id) return this.#resetStream(id, ErrorCode.PROTOCOL_ERROR);
    this.#spend();
  }

  #reset(from: number, to: number, id: number): void {
    if (id === 0 || id > this.#streams.lastId) throw protocol(`RST_STREAM on stream ${id}, which was never opened`);
    if (to - from !== 4) throw frameSize('RST_STREAM');
    const stream = this.#streams.get(id);
    if (stream !== undefined) {
      this.#close(stream, false);
      stream.receiver.gone();
    }
    this.#spend();
  }

  #settings(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    if (id !== 0) throw protocol('SETTINGS on a stream');
    if ((flags & Flag.ACK) !== 0) {
      if (to > from) throw frameSize('SETTINGS');
      return this.#spend();
    }
    if ((to - from) % 6 !== 0) throw frameSize('SETTINGS');
    const isFirst = !this.#hasSettings;
    this.#hasSettings = true;
    for (let units = isFirst ? 1 : 0; units <= (to - from) / 6 / SETTINGS_A_FRAME; units++) this.#spend();
    let window = this.#peerWindow;
    for (let at = from; at < to; at += 6) {
      const key = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      const value = uint32(bytes, at + 2) >>> 0;
      if (key === Setting.INITIAL_WINDOW_SIZE) window = value;
      this.#setting(key, value);
    }
    this.#initialWindow(window);
    this.output.frame(FrameType.SETTINGS, Flag.ACK, 0, NO_BYTES);
    this.#pumpBlocked();
  }

  #setting(key: number, value: number): void {
    switch (key) {
      case Setting.HEADER_TABLE_SIZE:
        return this.headers.tableBytes(value);
      case Setting.ENABLE_PUSH:
        if (value > 1) throw protocol('ENABLE_PUSH is neither 0 nor 1');
        return;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_BYTES)
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE is too large');
        return;
      case Setting.MAX_FRAME_SIZE:
        if (value < MAX_FRAME_BYTES || value > 0xff_ffff) throw protocol('MAX_FRAME_SIZE is out of its range');
        return;
      default:
        return; // ours are within whatever the others say
    }
  }

  /** The last one that a frame says: each costs a walk over all streams. */
  #initialWindow(bytes: number): void {
    const more = bytes - this.#peerWindow;
    if (more === 0) return;
    this.#peerWindow = bytes;
    this.#streams.each((stream) => {
      stream.sendWindow += more;
      if (stream.sendWindow > MAX_WINDOW_BYTES)
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE makes a window too large');
    });
  }

  #ping(bytes: Uint8Array, from: number, to: number, flags: number, id: number): void {
    if (id !== 0) throw protocol('PING on a stream');
    if (to - from !== 8) throw frameSize('PING');
    this.#spend();
    if ((flags & Flag.ACK) === 0) this.output.frame(FrameType.PING, Flag.ACK, 0, bytes.subarray(from, to));
    else if (this.#draining === 'announced') this.finishDrain();
  }

  #window(bytes: Uint8Array, from: number, to: number, id: number): void {
    if (to - from !== 4) throw frameSize('WINDOW_UPDATE');
    const more = uint32(bytes, from) & 0x7fff_ffff;
    this.#spend();
    if (id === 0) {
      if (more === 0) throw protocol('WINDOW_UPDATE by nothing');
      this.sendWindow += more;
      if (this.sendWindow > MAX_WINDOW_BYTES)
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'the window of the connection is too large');
      return this.#pumpBlocked();
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (id > this.#streams.lastId) throw protocol(`WINDOW_UPDATE on stream ${id}, which was never opened`);
      return;
    }
    if (more === 0) return this.#resetStream(id, ErrorCode.PROTOCOL_ERROR);
    stream.sendWindow += more;
    if (stream.sendWindow > MAX_WINDOW_BYTES) return this.#resetStream(id, ErrorCode.FLOW_CONTROL_ERROR);
    this.#pump(stream);
  }

  // ---------------------------------------------------------- streams

  #close(stream: Stream, byUs: boolean): void {
    this.#streams.remove(stream, byUs);
    if (this.blocked.size > 0) this.blocked.delete(stream);
    if (this.#waiters.size > 0) this.#waiters.delete(stream);
    stream.close();
  }

  /** For what the peer did wrong. */
  #resetStream(id: number, code: number): void {
    this.output.frame(FrameType.RST_STREAM, 0, id, octetsOf(code));
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#streams.remember(id, true);
    else {
      this.#close(stream, true);
      stream.receiver.gone();
    }
    this.#spend();
  }

  #spend(): void {
    this.#patience.spend();
  }

  #endStreams(): void {
    for (const stream of this.#streams.all()) {
      this.#close(stream, false);
      stream.receiver.gone();
    }
  }

  #giveCredit(): void {
    if (this.#credit < CONNECTION_WINDOW_BYTES / 2 || this.#held > this.limits.maxHeldBytes) return;
    this.#receiveWindow += this.#credit;
    this.windowUpdate(0, this.#credit);
    this.#credit = 0;
  }

  #pumpBlocked(): void {
    for (const stream of this.blocked) {
      if (this.sendWindow <= 0) return;
      this.#pump(stream);
    }
  }

  #pump(stream: Stream): void {
    stream.pump();
    if (!stream.isClosed && !stream.isWaiting && this.#waiters.has(stream) && !this.#outlet.isFull) this.#wake(stream);
  }

  #wake(stream: Stream): void {
    this.#waiters.delete(stream);
    stream.receiver.writable();
  }

  // ---------------------------------------------------------- for streams

  /** All is said: the stream is over, or (where the peer has not said all) reset without an error. */
  answered(stream: Stream): void {
    this.#patience.answered();
    if (!stream.isRemoteEnded) this.output.frame(FrameType.RST_STREAM, 0, stream.id, octetsOf(ErrorCode.NO_ERROR));
    this.#close(stream, !stream.isRemoteEnded);
    this.touched();
    if (this.#draining === 'final') this.#closeIfDone();
  }

  /** Something is to be written: at the end of this turn, or soon. */
  touched(): void {
    if (this.#isInTurn || this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#outlet.soon(() => {
      this.#isFlushDue = false;
      this.flush();
    });
  }

  windowUpdate(id: number, more: number): void {
    this.output.frame(FrameType.WINDOW_UPDATE, 0, id, octetsOf(more));
    this.touched();
  }

  /** False: more than is allowed. */
  hold(bytes: number): boolean {
    this.#held += bytes;
    if (bytes < 0) this.#giveCredit();
    return this.#held <= this.limits.maxUnpackedBytes;
  }

  waits(bytes: number): void {
    this.#blockedBytes += bytes;
    if (bytes < 0) this.#patience.answered(); // whoever takes what we say may update windows for it
  }

  /** False: the stream is told when there is. */
  hasRoom(stream: Stream): boolean {
    if (stream.isClosed || (!stream.isWaiting && !this.#outlet.isFull && this.output.length < MOST_OUTPUT_BYTES))
      return true;
    this.#waiters.add(stream);
    return false;
  }

  // ---------------------------------------------------------- octets out

  /** The outlet has room again. */
  drained(): void {
    for (const stream of this.#waiters) if (!stream.isWaiting) this.#wake(stream);
  }

  flush(): void {
    if (this.#blockedBytes > this.limits.maxBlockedBytes && !this.isOver)
      this.#fail(new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too much waits for a window'));
    if (this.output.length === 0) return;
    this.output.clear(this.#outlet.write(this.output.taken()));
    if (this.#waiters.size > 0 && !this.#outlet.isFull) this.drained();
  }

  /** Asks whether the peer is there: its answer is something received. */
  ping(): void {
    if (this.isOver) return;
    this.output.frame(FrameType.PING, 0, 0, NO_PING);
    this.flush();
  }

  /** Ends the connection with words for the peer's log. */
  end(code: number, why: string): void {
    if (this.isOver) return;
    this.#fail(new ConnectionError(code, why));
    this.flush();
  }

  /** Once a second: ends what is on its way for too long. */
  tick(nowMs: number): void {
    if (this.isOver) return;
    const coming = this.#block ?? this.#reader.partial;
    this.#comingTicks = coming === undefined || coming !== this.#coming ? 0 : this.#comingTicks + 1;
    this.#coming = coming;
    if (this.#comingTicks >= MOST_TICKS)
      return this.end(ErrorCode.ENHANCE_YOUR_CALM, 'a frame or a header block takes too long to come');
    this.#streams.each((stream) => {
      stream.receiver.tick(nowMs);
      if (stream.ticksInVain() >= MOST_TICKS) this.#giveUp(stream);
    });
    this.flush();
  }

  /** Its replies wait for a window that the peer does not open. */
  #giveUp(stream: Stream): void {
    this.output.frame(FrameType.RST_STREAM, 0, stream.id, octetsOf(ErrorCode.FLOW_CONTROL_ERROR));
    this.#close(stream, true);
    stream.receiver.gone();
    if (this.#draining === 'final') this.#closeIfDone();
  }

  /** A drain that its streams take part in: they end once their clients are quiet. Harmless when repeated. */
  retire(): void {
    if (this.isOver || this.#draining !== 'no') return;
    this.drain();
    this.#streams.each((stream) => stream.receiver.drain());
  }

  /** No more new streams, please; those that are on their way are served (RFC 9113 section 6.8). */
  drain(): void {
    if (this.isOver || this.#draining !== 'no') return;
    this.#draining = 'announced';
    this.#goAway(MAX_WINDOW_BYTES, ErrorCode.NO_ERROR, 'the server stops');
    this.output.frame(FrameType.PING, 0, 0, NO_PING);
    this.flush();
  }

  /** What was on its way has come: later streams are refused, and the connection ends with the last one. */
  finishDrain(): void {
    if (this.isOver || this.#draining === 'final') return;
    this.#draining = 'final';
    this.#finalId = this.#streams.lastId;
    this.#goAway(this.#streams.lastId, ErrorCode.NO_ERROR, 'the server stops');
    this.touched();
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#streams.size > 0 || this.isOver) return;
    this.isOver = true;
    this.flush();
    this.#outlet.close();
  }

  #fail(error: unknown): void {
    const known =
      error instanceof ConnectionError ? error : new ConnectionError(ErrorCode.INTERNAL_ERROR, 'internal error');
    if (known !== error) this.#onFault(error);
    this.isOver = true;
    this.#goAway(this.#streams.lastId, known.code, known.message);
    this.#endStreams();
    this.flush();
    this.#outlet.close();
  }

  #goAway(lastId: number, code: number, why: string): void {
    const words = new TextEncoder().encode(why);
    const payload = new Uint8Array(8 + words.length);
    payload.set(octetsOf(lastId));
    payload.set(octetsOf(code), 4);
    payload.set(words, 8);
    this.output.frame(FrameType.GOAWAY, 0, 0, payload);
  }

  #sayHello(): void {
    const { maxStreams, maxHeaderListBytes, streamWindowBytes } = this.limits;
    const said = [
      [Setting.MAX_CONCURRENT_STREAMS, maxStreams],
      [Setting.INITIAL_WINDOW_SIZE, streamWindowBytes],
      [Setting.MAX_HEADER_LIST_SIZE, maxHeaderListBytes],
    ] as const;
    this.output.frame(
      FrameType.SETTINGS,
      0,
      0,
      Uint8Array.from(said.flatMap(([key, value]) => [key >> 8, key & 0xff, ...octetsOf(value)])),
    );
    this.output.frame(FrameType.WINDOW_UPDATE, 0, 0, octetsOf(CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES));
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_PING = new Uint8Array(8);
const octetsOf = (value: number): Uint8Array => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
const uint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) << 24) |
  ((bytes[at + 1] as number) << 16) |
  ((bytes[at + 2] as number) << 8) |
  (bytes[at + 3] as number);

const protocol = (why: string): ConnectionError => new ConnectionError(ErrorCode.PROTOCOL_ERROR, why);
const frameSize = (what: string): ConnectionError =>
  new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${what} has a wrong length`);
