/**
 * The streams of one connection, and their common flow-control windows, memory and output.
 * **In**: requests, DATA and window updates, from frames. **Out**: requests to `serve`; frames in the output.
 * **Fails**: a stream by RST_STREAM; with a {@link ConnectionError} if the peer breaks a rule of the whole connection.
 */
import type { Peer, Serve } from '../exchange.ts';
import type { Limits } from '../limits.ts';
import { ConnectionError, DEFAULT_WINDOW_BYTES, ErrorCode, MAX_WINDOW_BYTES, protocolError } from './frames.ts';
import type { IdleBudget } from './idle-budget.ts';
import type { Output } from './output.ts';
import { ReceiveWindow } from './receive-window.ts';
import { ReplyHeaders } from './reply-headers.ts';
import type { RequestHead } from './request-head.ts';
import { Stream } from './stream.ts';
import { StreamTable } from './stream-table.ts';

/** The connection, as seen by its streams. */
export interface StreamsHost {
  /** The peer reads slower than we write: output that can wait should wait. */
  readonly isFull: boolean;
  /** Schedules a write at the end of this turn, or soon. */
  touched(): void;
  /** The last open stream has ended. */
  lastEnded(): void;
}

export interface StreamsOptions {
  readonly host: StreamsHost;
  readonly serve: Serve;
  readonly limits: Limits;
  readonly peer: Peer;
  readonly output: Output;
  readonly budget: IdleBudget;
}

/** Ticks, of a second each, for which a reply may wait for a window. */
const MAX_TICKS = 30;
/** Output of one turn; streams that send more wait for the next turn. */
const MAX_OUTPUT_BYTES = 64 * 1024;

export class Streams {
  readonly host: StreamsHost;
  readonly peer: Peer;
  readonly limits: Limits;
  readonly output: Output;
  readonly headers = new ReplyHeaders();
  /** Streams whose replies wait for a window. */
  readonly blocked = new Set<Stream>();
  /** Bytes that we may send on all streams together. */
  sendWindow = DEFAULT_WINDOW_BYTES;
  /** Arrival of the current chunk. */
  turnAtMs = 0;
  isChunkRetained = false; // a call goes on reading its bytes
  readonly #serve: Serve;
  readonly #budget: IdleBudget;
  readonly #table = new StreamTable();
  /** Streams that wait for the outlet. */
  readonly #waiters = new Set<Stream>();
  /** Streams with a higher id are refused. */
  #lastAcceptedId = Infinity;
  /** The send window that a stream begins with. */
  #initialSendWindow = DEFAULT_WINDOW_BYTES;
  readonly #receiveWindow: ReceiveWindow;
  #blockedBytes = 0;

  constructor({ host, serve, limits, peer, output, budget }: StreamsOptions) {
    this.host = host;
    this.#serve = serve;
    this.limits = limits;
    this.peer = peer;
    this.output = output;
    this.#budget = budget;
    this.#receiveWindow = new ReceiveWindow(limits, output);
  }

  get size(): number {
    return this.#table.size;
  }

  /** The highest id that the peer has opened. */
  get lastId(): number {
    return this.#table.lastId;
  }

  /** More reply bytes wait for a window than a connection may hold. */
  get isOverBlocked(): boolean {
    return this.#blockedBytes > this.limits.maxBlockedBytes;
  }

  // ---------------------------------------------------------- for frames of the peer

  /** `head`: a text if it is malformed, `undefined` if it is too large. */
  open(id: number, head: RequestHead | string | undefined, isEnd: boolean, dependsOnItself: boolean): void {
    const table = this.#table;
    table.lastId = id;
    if (table.size >= this.limits.maxStreams || id > this.#lastAcceptedId)
      return this.reset(id, ErrorCode.REFUSED_STREAM);
    if (typeof head === 'string' || dependsOnItself) return this.reset(id, ErrorCode.PROTOCOL_ERROR);
    if (head === undefined) this.#budget.spend();
    const bodyLeft = head?.contentLength ?? -1;
    if (isEnd && bodyLeft > 0) return this.reset(id, ErrorCode.PROTOCOL_ERROR);
    const opened = new Stream(this, id, isEnd, this.limits.streamWindowBytes, this.#initialSendWindow, bodyLeft);
    table.add(opened);
    if (head === undefined) opened.refuse(431, `the headers are larger than ${this.limits.maxHeaderListBytes} bytes\n`);
    else opened.receiver = this.#serve(opened, head, isEnd);
  }

  /** `problem`: why they are malformed, if they are. */
  trailers(id: number, isEnd: boolean, problem: string | undefined): void {
    const stream = this.#table.get(id);
    if (stream === undefined) {
      const ending = this.#table.endingOf(id);
      if (ending === 'by us') return this.#budget.spend();
      if (ending === 'by the peer')
        throw new ConnectionError(ErrorCode.STREAM_CLOSED, `HEADERS on stream ${id}, which has ended`);
      throw protocolError(`HEADERS on stream ${id} after those of ${this.lastId}`);
    }
    if (stream.isRemoteEnded) return this.reset(id, ErrorCode.STREAM_CLOSED);
    if (!isEnd || problem !== undefined || stream.bodyLeft > 0) return this.reset(id, ErrorCode.PROTOCOL_ERROR);
    stream.isRemoteEnded = true;
    stream.receiver.data(NO_BYTES, 0, 0, true);
    if (stream.isReplied && !stream.isClosed) this.answered(stream);
  }

  /** `frameBytes` includes the padding, which counts for flow control. */
  data(bytes: Uint8Array, from: number, to: number, frameBytes: number, id: number, isEnd: boolean): void {
    this.#receiveWindow.receive(frameBytes);
    const stream = this.#table.get(id);
    if (stream === undefined) this.#dataAfterEnd(id);
    else if (stream.isRemoteEnded) this.reset(id, ErrorCode.STREAM_CLOSED);
    else if ((stream.receiveWindow -= frameBytes) < 0) this.reset(id, ErrorCode.FLOW_CONTROL_ERROR);
    else if (stream.bodyLeft >= 0 && ((stream.bodyLeft -= to - from) < 0 || (isEnd && stream.bodyLeft > 0)))
      this.reset(id, ErrorCode.PROTOCOL_ERROR);
    else {
      if (from === to && !isEnd) this.#budget.spend();
      stream.isRemoteEnded = isEnd;
      if (frameBytes > to - from) stream.credit(frameBytes - (to - from));
      stream.receiver.data(bytes, from, to, isEnd);
      if (isEnd && stream.isReplied && !stream.isClosed) this.answered(stream);
    }
    if (this.#receiveWindow.open()) this.host.touched();
  }

  #dataAfterEnd(id: number): void {
    if (id > this.lastId) throw protocolError(`DATA on stream ${id}, which was never opened`);
    if (this.#table.endingOf(id) === 'by us') return this.#budget.spend();
    throw new ConnectionError(ErrorCode.STREAM_CLOSED, `DATA on stream ${id}, which has ended`);
  }

  /** Resets a stream after an error of the peer. */
  reset(id: number, code: number): void {
    this.output.reset(id, code);
    const stream = this.#table.get(id);
    if (stream === undefined) this.#table.remember(id, true);
    else this.#abort(stream, true);
    this.#budget.spend();
  }

  /** The peer has reset it. */
  cancelled(id: number): void {
    const stream = this.#table.get(id);
    if (stream !== undefined) this.#abort(stream, false);
  }

  /** WINDOW_UPDATE of the connection. */
  widen(more: number): void {
    this.sendWindow += more;
    if (this.sendWindow > MAX_WINDOW_BYTES)
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'the window of the connection is too large');
    this.pumpBlocked();
  }

  /** WINDOW_UPDATE of a stream. */
  widenStream(id: number, more: number): void {
    const stream = this.#table.get(id);
    if (stream === undefined) {
      if (id > this.lastId) throw protocolError(`WINDOW_UPDATE on stream ${id}, which was never opened`);
      return;
    }
    if (more === 0) return this.reset(id, ErrorCode.PROTOCOL_ERROR);
    stream.sendWindow += more;
    if (stream.sendWindow > MAX_WINDOW_BYTES) return this.reset(id, ErrorCode.FLOW_CONTROL_ERROR);
    this.#pump(stream);
  }

  /** Changes the window of every open stream, so it is called once per SETTINGS frame. */
  setInitialSendWindow(bytes: number): void {
    const more = bytes - this.#initialSendWindow;
    if (more === 0) return;
    this.#initialSendWindow = bytes;
    this.#table.each((stream) => {
      stream.sendWindow += more;
      if (stream.sendWindow > MAX_WINDOW_BYTES)
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE makes a window too large');
    });
  }

  /** Sends the replies that wait for a window. */
  pumpBlocked(): void {
    for (const stream of this.blocked) {
      if (this.sendWindow <= 0) return;
      this.#pump(stream);
    }
  }

  // ---------------------------------------------------------- for streams

  /** The reply is complete: the stream ends; it is reset without an error if the peer has not ended its side. */
  answered(stream: Stream): void {
    this.#budget.answered();
    if (!stream.isRemoteEnded) this.output.reset(stream.id, ErrorCode.NO_ERROR);
    this.#close(stream, !stream.isRemoteEnded);
    this.host.touched();
    if (this.#table.size === 0) this.host.lastEnded();
  }

  windowUpdate(id: number, more: number): void {
    this.output.windowUpdate(id, more);
    this.host.touched();
  }

  /** Counts bytes that a stream holds in memory. False: more than the connection may hold. */
  hold(bytes: number): boolean {
    const isAllowed = this.#receiveWindow.hold(bytes);
    if (bytes < 0 && this.#receiveWindow.open()) this.host.touched();
    return isAllowed;
  }

  /** Counts bytes of replies that wait for a window. */
  waits(bytes: number): void {
    this.#blockedBytes += bytes;
    if (bytes < 0) this.#budget.answered(); // a peer that reads replies may send window updates for them
  }

  /** False: the stream's receiver gets `writable` later. */
  hasRoom(stream: Stream): boolean {
    if (stream.isClosed || (!stream.isWaiting && !this.host.isFull && this.output.length < MAX_OUTPUT_BYTES))
      return true;
    this.#waiters.add(stream);
    return false;
  }

  // ---------------------------------------------------------- for the connection

  /** The outlet has room. */
  wake(): void {
    for (const stream of this.#waiters) if (!stream.isWaiting) this.#wakeOne(stream);
  }

  /** Ends streams whose replies wait too long for a window. */
  tick(nowMs: number): void {
    this.#table.each((stream) => {
      stream.receiver.tick(nowMs);
      if (stream.stalledTicks() < MAX_TICKS) return;
      this.output.reset(stream.id, ErrorCode.FLOW_CONTROL_ERROR);
      this.#abort(stream, true);
    });
  }

  /** Ends the streams of calls. True: GOAWAY should wait for some of them. */
  drain(): boolean {
    return this.#table.all().filter((stream) => stream.receiver.drain()).length > 0;
  }

  /** Refuses every stream that the peer has not opened yet. */
  refuseNew(): void {
    this.#lastAcceptedId = this.lastId;
  }

  /** The connection is closed. */
  end(): void {
    for (const stream of this.#table.all()) this.#abort(stream, false);
  }

  #close(stream: Stream, byUs: boolean): void {
    this.#table.remove(stream, byUs);
    if (this.blocked.size > 0) this.blocked.delete(stream);
    if (this.#waiters.size > 0) this.#waiters.delete(stream);
    stream.close();
  }

  /** Ends it without a reply. */
  #abort(stream: Stream, byUs: boolean): void {
    this.#close(stream, byUs);
    stream.receiver.gone();
    if (this.#table.size === 0) this.host.lastEnded();
  }

  #pump(stream: Stream): void {
    stream.pump();
    if (!stream.isClosed && !stream.isWaiting && this.#waiters.has(stream) && !this.host.isFull) this.#wakeOne(stream);
  }

  #wakeOne(stream: Stream): void {
    this.#waiters.delete(stream);
    stream.receiver.writable();
  }
}

const NO_BYTES = new Uint8Array(0);
