import { type Exchange, type Head, type Receiver, REQUEST_MS } from '../exchange.ts';
import { PREFIX_BYTES } from '../framed.ts';
import { GrpcError, Status, type UnaryHandler } from '../transport.ts';
import type { ByteRange } from '../byte-range.ts';
import type { CallHead } from './call-head.ts';
import { Call, type CallHost } from './call.ts';
import { lengthAt, MessageQueue } from './message-queue.ts';

const NOTHING = new Uint8Array(0);

/** One message in, one out; in the turn of the request's arrival if its handler answers synchronously. */
export class UnaryCall extends Call implements Receiver, ByteRange {
  readonly #handle: UnaryHandler;
  /** For a request that arrives in parts. */
  #queue: MessageQueue | undefined;
  #isComplete = false;
  #heldBytes = 0;
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
    if (isEnd && this.#queue === undefined && bytes[from] === 0 && to - from >= PREFIX_BYTES) {
      const length = lengthAt(bytes, from + 1);
      if (length === to - from - PREFIX_BYTES && length <= this.host.maxMessageBytes)
        return this.#ask(bytes, from + PREFIX_BYTES, to);
    }
    this.#collect(bytes, from, to, isEnd);
  }

  writable(): void {}

  drain(): boolean {
    return false;
  }

  tick(nowMs: number): void {
    if (!this.#isComplete && nowMs - this.arrivedAtMs > REQUEST_MS) this.expire();
  }

  override over(why: GrpcError | undefined): void {
    super.over(why);
    this.#queue = undefined;
    if (this.#heldBytes > 0) this.exchange.hold(-this.#heldBytes);
    this.#heldBytes = 0;
  }

  #collect(bytes: Uint8Array, from: number, to: number, isEnd: boolean): void {
    const queue = (this.#queue ??= new MessageQueue(this.host.maxMessageBytes, this.callHead.encoding));
    let message: Uint8Array | undefined;
    try {
      queue.push(bytes, from, to);
      this.#hold(to - from);
      if (queue.hasMoreThanOne) throw new GrpcError(Status.INTERNAL, 'the request has two messages; expected one');
      if (isEnd) message = this.#take(queue);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (message !== undefined) return this.#ask(message, 0, message.length);
    this.exchange.credit(to - from);
    this.startTimer();
  }

  /** Decompresses only a complete request, so that an incomplete one costs no more memory than was sent. */
  #take(queue: MessageQueue): Uint8Array {
    if (queue.isEmpty) throw new GrpcError(Status.INTERNAL, 'the request has no message');
    const { isNextCompressed } = queue;
    const message = queue.next();
    if (message === undefined) throw new GrpcError(Status.INTERNAL, 'the request ends inside its message');
    if (!isNextCompressed) return message;
    const whole = this.host.decompressor.decompress(message);
    this.#hold(whole.length);
    return whole;
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    if (!this.exchange.hold(bytes))
      throw new GrpcError(Status.RESOURCE_EXHAUSTED, 'the requests of this connection hold too much memory');
  }

  #ask(bytes: Uint8Array, from: number, to: number): void {
    this.#isComplete = true;
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
    this.exchange.retain();
    this.startTimer();
    reply.then(
      (late) => this.#answer(late),
      (error: unknown) => this.fail(error),
    );
  }

  #answer(reply: Uint8Array): void {
    if (this.isOver) return;
    if (!(reply instanceof Uint8Array))
      return this.fail(new TypeError(`a handler answered with ${typeof reply}; expected bytes`));
    this.over(undefined);
    this.exchange.reply(reply);
  }
}
