/**
 * The server's side of one HTTP/2 connection (RFC 9113): start, turns, drain and end.
 * **In**: received bytes, split anywhere. **Out**: requests to `serve`, and bytes to write, one write per turn.
 * **Fails**: a stream by RST_STREAM, the connection by GOAWAY; never by throwing.
 *
 * It imports no Node module, so it fits any socket, and tests need none.
 */
import type { Peer, Serve } from '../exchange.ts';
import type { Limits } from '../limits.ts';
import { FrameHandler } from './frame-handler.ts';
import { FrameReader } from './frame-reader.ts';
import { ConnectionError, DEFAULT_WINDOW_BYTES, ErrorCode, FrameType, MAX_WINDOW_BYTES } from './frames.ts';
import { IdleBudget } from './idle-budget.ts';
import { Output } from './output.ts';
import { ourSettings } from './settings.ts';
import { CONNECTION_WINDOW_BYTES } from './receive-window.ts';
import { Streams, type StreamsHost } from './streams.ts';

/** The destination of written bytes. */
export interface Outlet {
  /** True: the bytes are written, and their memory may be reused. False: the memory is retained. */
  write(bytes: Uint8Array): boolean;
  /** The peer reads slower than we write: output that can wait should wait for `Connection.drained`. */
  readonly isFull: boolean;
  /** Calls back at the end of this turn. */
  soon(flush: () => void): void;
  /** Closes after the pending writes. */
  close(): void;
}

export interface ConnectionOptions {
  readonly outlet: Outlet;
  readonly serve: Serve;
  readonly limits: Limits;
  readonly peer: Peer;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Called with an internal error, which ends the connection. */
  readonly onFault: (error: unknown) => void;
}

/** Ticks, of a second each, in which a frame or a header block must arrive. */
const MAX_TICKS = 30;

export class Connection implements StreamsHost {
  readonly #output = new Output();
  readonly #streams: Streams;
  readonly #handler: FrameHandler;
  readonly #reader: FrameReader;
  readonly #outlet: Outlet;
  readonly #nowMs: () => number;
  readonly #onFault: (error: unknown) => void;

  #isOver = false;
  #isInTurn = false;
  #isFlushDue = false;
  #isRetiring = false;
  #draining: 'no' | 'announced' | 'final' = 'no';
  /** The frame or header block that was incomplete at the last tick, and for how many ticks. */
  #partial: unknown;
  #partialTicks = 0;

  constructor({ outlet, serve, limits, peer, nowMs, onFault }: ConnectionOptions) {
    this.#outlet = outlet;
    this.#nowMs = nowMs;
    this.#onFault = onFault;
    const budget = new IdleBudget(limits, nowMs);
    this.#streams = new Streams({ host: this, serve, limits, peer, output: this.#output, budget });
    this.#handler = new FrameHandler(this.#streams, budget, () => {
      if (this.#draining === 'announced') this.finishDrain();
    });
    this.#reader = new FrameReader(this.#handler);
    this.#output.frame(FrameType.SETTINGS, 0, 0, ourSettings(limits));
    this.#output.windowUpdate(0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  // ---------------------------------------------------------- turns

  /** `length`: of what was received, from the start of the chunk. True: a call goes on reading the chunk, so its memory must not change. */
  receive(chunk: Uint8Array, length = chunk.length): boolean {
    if (this.#isOver) return false;
    const streams = this.#streams;
    this.#isInTurn = true;
    streams.isChunkRetained = false;
    streams.turnAtMs = this.#nowMs();
    try {
      this.#reader.read(chunk, length);
    } catch (error) {
      this.#fail(error);
    }
    this.#isInTurn = false;
    this.flush();
    return streams.isChunkRetained;
  }

  get isFull(): boolean {
    return this.#outlet.isFull;
  }

  touched(): void {
    if (this.#isInTurn || this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#outlet.soon(() => {
      this.#isFlushDue = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.#streams.isOverBlocked && !this.#isOver)
      this.#fail(new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many reply bytes wait for flow control'));
    if (this.#output.length === 0) return;
    this.#output.clear(this.#outlet.write(this.#output.taken()));
    if (!this.#outlet.isFull) this.drained();
  }

  /** The outlet has room again. */
  drained(): void {
    this.#streams.wake();
  }

  /** Once a second: ends frames and replies that take too long. */
  tick(nowMs: number): void {
    if (this.#isOver) return;
    const partial = this.#handler.partial ?? this.#reader.partial;
    this.#partialTicks = partial === undefined || partial !== this.#partial ? 0 : this.#partialTicks + 1;
    this.#partial = partial;
    if (this.#partialTicks >= MAX_TICKS)
      return this.end(ErrorCode.ENHANCE_YOUR_CALM, 'a frame or a header block took too long to arrive');
    this.#streams.tick(nowMs);
    this.flush();
  }

  /** Checks by PING that the peer is alive; its answer counts as traffic. */
  ping(): void {
    if (this.#isOver) return;
    this.#output.frame(FrameType.PING, 0, 0, PING);
    this.flush();
  }

  // ---------------------------------------------------------- drain

  /**
   * Drains for the connection's age; called once a second from then on. GOAWAY waits for streams of records, once: Envoy would go on using
   * them on a connection that it knows to end.
   */
  retire(): void {
    if (this.#isOver) return;
    const isAwaited = this.#streams.drain();
    this.flush();
    if (!isAwaited || this.#isRetiring) this.drain();
    this.#isRetiring = true;
  }

  /** Announces the end; requests in flight are still served (RFC 9113 section 6.8). */
  drain(): void {
    if (this.#isOver || this.#draining !== 'no') return;
    this.#draining = 'announced';
    this.#output.goAway(MAX_WINDOW_BYTES, ErrorCode.NO_ERROR, STOPS);
    this.#output.frame(FrameType.PING, 0, 0, PING);
    this.flush();
  }

  /** The peer knows about the end: later streams are refused, and the connection ends with the last open one. */
  finishDrain(): void {
    if (this.#isOver || this.#draining === 'final') return;
    this.#draining = 'final';
    this.#streams.refuseNew();
    this.#output.goAway(this.#streams.lastId, ErrorCode.NO_ERROR, STOPS);
    this.touched();
    if (this.#streams.size === 0) this.lastEnded();
  }

  lastEnded(): void {
    if (this.#draining !== 'final' || this.#isOver) return;
    this.#over();
    this.flush();
    this.#outlet.close();
  }

  // ---------------------------------------------------------- end

  /** The socket is closed, or broken. */
  lost(): void {
    if (this.#isOver) return;
    this.#over();
    this.#streams.end();
  }

  /** Ends the connection with a reason for the peer's log. */
  end(code: number, why: string): void {
    if (this.#isOver) return;
    this.#fail(new ConnectionError(code, why));
    this.flush();
  }

  #fail(error: unknown): void {
    const known =
      error instanceof ConnectionError ? error : new ConnectionError(ErrorCode.INTERNAL_ERROR, 'internal error');
    if (known !== error) this.#onFault(error);
    if (this.#isOver) return;
    this.#over();
    this.#output.goAway(this.#streams.lastId, known.code, known.message);
    this.#streams.end();
    this.flush();
    this.#outlet.close();
  }

  #over(): void {
    this.#isOver = true;
    this.#reader.stop();
  }
}

const PING = new Uint8Array(8);
const STOPS = 'the server is stopping';
