import type { Exchange, Head, Receiver } from '../exchange.ts';
import { PREFIX_BYTES } from '../framed.ts';
import { GrpcError, Status, type UnaryHandler } from '../transport.ts';
import type { Piece } from '../piece.ts';
import type { CallHead } from './call-head.ts';
import { Call, type CallHost } from './call.ts';
import { MessageReader } from './message-reader.ts';

const NOTHING = new Uint8Array(0);
/** How long a request may take to come where its caller sets no deadline. */
const REQUEST_MS = 30_000;

/** One message in, one out: in the turn in which the request has come, where its handler answers at once. */
export class UnaryCall extends Call implements Receiver, Piece {
  readonly #handle: UnaryHandler;
  #reader: MessageReader | undefined;
  #message: Uint8Array | undefined;
  #held = 0;
  /** The request's message. */
  bytes: Uint8Array = NOTHING;
  from = 0;
  to = 0;

  constructor(exchange: Exchange, head: Head, callHead: CallHead, handle: UnaryHandler, host: CallHost) {
    super(exchange, head, callHead, host);
    this.#handle = handle;
  }

  data(bytes: Uint8Array, from: number, to: number, isEnd: boolean): void {
    if (this.isOver) return;
    if (isEnd && this.#reader === undefined && bytes[from] === 0 && to - from >= PREFIX_BYTES) {
      const length = (((bytes[from + 1] as number) << 24) | ((bytes[from + 2] as number) << 16) | ((bytes[from + 3] as number) << 8) | (bytes[from + 4] as number)) >>> 0;
      if (length === to - from - PREFIX_BYTES && length <= this.host.maxMessageBytes) return this.#ask(bytes, from + PREFIX_BYTES, to);
    }
    this.#collect(bytes, from, to, isEnd);
  }

  writable(): void {}

  override over(why: GrpcError | undefined): void {
    super.over(why);
    if (this.#held > 0) this.exchange.hold(-this.#held);
    this.#held = 0;
  }

  #collect(bytes: Uint8Array, from: number, to: number, isEnd: boolean): void {
    this.#reader ??= new MessageReader(this.host.maxMessageBytes, this.callHead.encoding);
    try {
      this.#reader.read(bytes, from, to, (message) => {
        if (this.#message !== undefined) throw new GrpcError(Status.INTERNAL, 'the request has two messages where one is due');
        this.#message = message;
      });
      if (isEnd && this.#reader.isPartial) throw new GrpcError(Status.INTERNAL, 'the request ends inside its message');
      if (isEnd && this.#message === undefined) throw new GrpcError(Status.INTERNAL, 'the request has no message');
    } catch (error) {
      this.fail(error);
      return;
    }
    if (isEnd) {
      const message = this.#message as Uint8Array;
      return this.#ask(message, 0, message.length);
    }
    this.exchange.credit(to - from);
    this.#held += to - from;
    this.exchange.hold(to - from);
    if (this.endsAtMs === Infinity) this.endsAtMs = performance.now() + REQUEST_MS;
    this.timed();
  }

  #ask(bytes: Uint8Array, from: number, to: number): void {
    this.bytes = bytes;
    this.from = from;
    this.to = to;
    let reply: Uint8Array | Promise<Uint8Array>;
    try {
      reply = this.#handle(this, this);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (!(reply instanceof Promise)) return this.#answer(reply);
    if (this.#reader !== undefined && this.callHead.timeoutMs === undefined) {
      this.untimed(); // it has come in time
      this.endsAtMs = Infinity;
    }
    this.timed();
    reply.then((late) => this.#answer(late), (error: unknown) => this.fail(error));
  }

  #answer(reply: Uint8Array): void {
    if (this.isOver) return;
    if (!(reply instanceof Uint8Array)) return this.fail(new TypeError(`a handler answered with ${typeof reply} where bytes are due`));
    this.over(undefined);
    this.exchange.reply(reply);
  }
}
