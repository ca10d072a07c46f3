import { type Exchange, type Head, type Receiver, REQUEST_MS } from '../exchange.ts';
import { GrpcError, type Records, Status, type StreamHandler } from '../transport.ts';
import type { CallHead } from './call-head.ts';
import { Call, type CallHost } from './call.ts';
import { MessageQueue } from './message-queue.ts';

/** How long a client must be quiet before a draining server ends its stream, so that no message in flight is lost. */
const QUIET_MS = 100;
/** A stream of records whose handler was behind is ended this long after it has caught up, though its client is never quiet. */
const CATCH_UP_MS = 1000;
/** Time for a client to end its side after ours. */
const LINGER_MS = 5000;

type Result = IteratorResult<Uint8Array, undefined>;
const DONE: Result = { done: true, value: undefined };

/** Messages in, messages out. The sender gets no flow-control credit for messages that the handler has not read. */
export class StreamCall
  extends Call
  implements Receiver, AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined>
{
  readonly #queue: MessageQueue;
  /** Received bytes for which the sender has no credit yet. */
  #uncredited = 0;
  /** Bytes in memory: the queue, and the decompressed message that the handler is reading. */
  #heldBytes = 0;
  /** The size of that message. */
  #decompressedBytes = 0;
  /** When the handler began to wait for the rest of a message. */
  #partialSinceMs: number | undefined;
  /** The handler reads no more. */
  #isUnread = false;
  #isDraining = false;
  #hasReceived = false;
  /** The handler was busy when the drain began. */
  #isBehind = false;
  /** How the requests end, once the queue is read. `cut`: ended by the server, so the last message may be incomplete. */
  #end: 'complete' | 'cut' | GrpcError | undefined;
  /** The read of the handler that waits for a message. */
  #pendingRead: { resolve(result: Result): void; reject(error: GrpcError): void } | undefined;
  #quietTimer: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;
  readonly #isOneRequest: boolean;
  readonly #records: Records | undefined;
  /** When a stream of records has reached its maximum age. */
  readonly #retiresAtMs: number;
  /** When its client must have ended its side. */
  #lingersUntilMs: number | undefined;
  /** When it is ended, whether its client is quiet or not. */
  #endByMs: number | undefined;
  readonly #onOver: (call: StreamCall) => void;

  /** `onOver` is called when the call is over and needs no more events. */
  constructor(exchange: Exchange, head: Head, callHead: CallHead, host: CallHost, onOver: (call: StreamCall) => void) {
    super(exchange, head, callHead, host);
    const { method } = callHead;
    this.#isOneRequest = method.kind === 'stream' && method.oneRequest === true;
    this.#records = method.kind === 'stream' ? method.records : undefined;
    // 5 % jitter either way, so that streams opened together do not all end together.
    this.#retiresAtMs =
      this.#records === undefined ? Infinity : performance.now() + host.maxStreamAgeMs * (0.95 + Math.random() / 10);
    this.#queue = new MessageQueue(host.maxMessageBytes, callHead.encoding);
    this.#onOver = onOver;
    this.startTimer();
  }

  async run(handle: StreamHandler): Promise<void> {
    try {
      const replies = handle(this, this)[Symbol.asyncIterator]();
      // `for await` would keep the last reply in memory until there is another one.
      while (await this.#sendNext(replies)) if (this.isOver) return void (await replies.return?.());
      if (this.isOver) return;
      this.over(undefined);
      this.exchange.end(Status.OK, '');
    } catch (error) {
      this.fail(error);
    }
  }

  async #sendNext(replies: AsyncIterator<Uint8Array>): Promise<boolean> {
    const { done, value } = await replies.next();
    if (done === true) return false;
    if (!this.isOver && !this.exchange.send(value)) await this.#room();
    return true;
  }

  // ---------------------------------------------------------- requests in

  data(bytes: Uint8Array, from: number, to: number, isEnd: boolean): void {
    if (this.isOver || this.#end !== undefined) return;
    if (this.#isUnread && to > from) return this.#unread();
    this.#uncredited += to - from;
    try {
      this.#hold(to - from);
      this.#queue.push(bytes, from, to);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (isEnd) this.#end = 'complete';
    if (this.#pendingRead === undefined) return;
    const result = this.#nextOrError();
    if (result !== undefined) return this.#answer(result);
    this.#credit();
    if (!this.#queue.isEmpty) this.#partialSinceMs ??= performance.now();
  }

  tick(nowMs: number): void {
    if (nowMs > this.#retiresAtMs) this.drain();
    if (this.#lingersUntilMs !== undefined && nowMs > this.#lingersUntilMs) this.endRequests();
    if (this.#partialSinceMs !== undefined && nowMs - this.#partialSinceMs > REQUEST_MS)
      this.fail(new GrpcError(Status.DEADLINE_EXCEEDED, `a message took more than ${REQUEST_MS / 1000} s to arrive`));
  }

  writable(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  override over(why: GrpcError | undefined): void {
    super.over(why);
    clearTimeout(this.#quietTimer);
    this.#queue.clear();
    this.#hold(-this.#heldBytes);
    this.#decompressedBytes = 0;
    this.#end = why ?? new GrpcError(Status.CANCELLED, 'the call is over');
    if (this.#pendingRead !== undefined) this.#answer(this.#end);
    this.writable();
    this.#onOver(this);
  }

  /** The server drains, or the stream is old: it ends once the client is quiet, a stream of records as soon as its handler keeps up. */
  drain(): boolean {
    const isFirst = !this.#isDraining;
    this.#isDraining = true;
    if (isFirst && this.#pendingRead === undefined) this.#isBehind = true;
    else if (this.#pendingRead !== undefined) this.#caughtUp();
    return this.isRecords && this.isOpen;
  }

  get isRecords(): boolean {
    return this.#records !== undefined;
  }

  /** Whether its client may still send. */
  get isOpen(): boolean {
    return !this.isOver && this.#end === undefined;
  }

  /** What has arrived of a stream of records is read, though its client is gone. */
  override gone(): void {
    if (this.#records === undefined) return super.gone();
    this.isGone = true;
    this.endRequests();
  }

  override expire(): void {
    if (this.#records === undefined) return super.expire();
    this.exchange.end(Status.DEADLINE_EXCEEDED, 'the deadline has passed');
    this.endRequests();
  }

  /** Ends our side of a stream of records. Its client ends its own after the messages that are on their way. */
  #endReply(): void {
    if (this.#lingersUntilMs !== undefined || this.#records === undefined) return;
    this.#lingersUntilMs = performance.now() + LINGER_MS;
    this.exchange.send(this.#records.lastReply);
    this.exchange.endReply();
  }

  /** The handler reads the messages that have arrived, and no more. */
  endRequests(): void {
    this.#end ??= 'cut';
    if (this.#pendingRead !== undefined) this.#answer(this.#nextOrError() ?? DONE);
  }

  // ---------------------------------------------------------- reads of the handler

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return this;
  }

  next(): Promise<Result> {
    const result = this.#nextOrError();
    if (result instanceof GrpcError) return Promise.reject(result);
    if (result !== undefined) return Promise.resolve(result);
    this.#credit();
    if (!this.#queue.isEmpty) this.#partialSinceMs = performance.now();
    return new Promise((resolve, reject) => {
      this.#pendingRead = { resolve, reject };
      if (this.#isDraining || this.draining.aborted) this.#caughtUp();
    });
  }

  /** The handler reads no more: the queue is dropped, and later messages are not kept. */
  return(): Promise<Result> {
    this.#isUnread = true;
    this.#release();
    if (!this.#queue.isEmpty) {
      this.#queue.clear();
      this.#hold(-this.#heldBytes);
      this.#unread();
    }
    return Promise.resolve(DONE);
  }

  /** An unread message gets no credit, so the sender runs out of window. */
  #unread(): void {
    if (this.#isOneRequest)
      this.fail(new GrpcError(Status.INVALID_ARGUMENT, 'the method takes one request; received another'));
  }

  #nextOrError(): Result | GrpcError | undefined {
    try {
      return this.#next();
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      return (this.#end = error);
    }
  }

  /** Throws if the message is invalid. */
  #next(): Result | GrpcError | undefined {
    this.#release();
    const bytes = this.#queue.nextBytes();
    const { isNextCompressed } = this.#queue;
    const message = this.#queue.next();
    if (message === undefined || bytes === undefined) {
      if (this.#end === 'complete' && !this.#queue.isEmpty)
        throw new GrpcError(Status.INTERNAL, 'the stream ended inside a message');
      return this.#end === 'complete' || this.#end === 'cut' ? DONE : this.#end;
    }
    this.#partialSinceMs = undefined;
    this.#hasReceived = true;
    this.#hold(-bytes);
    this.#credit(Math.min(this.#uncredited, bytes));
    if (!isNextCompressed) return { done: false, value: message };
    const whole = this.host.decompressor.decompress(message);
    this.#decompressedBytes = whole.length;
    this.#hold(whole.length);
    return { done: false, value: whole };
  }

  /** The handler asks for the next message, so it is done with the previous one. */
  #release(): void {
    if (this.#decompressedBytes === 0) return;
    this.#hold(-this.#decompressedBytes);
    this.#decompressedBytes = 0;
  }

  #hold(bytes: number): void {
    if (bytes === 0) return;
    this.#heldBytes += bytes;
    if (!this.exchange.hold(bytes) && bytes > 0)
      throw new GrpcError(Status.RESOURCE_EXHAUSTED, 'the requests of this connection hold too much memory');
  }

  #answer(result: Result | GrpcError): void {
    const asked = this.#pendingRead;
    this.#pendingRead = undefined;
    clearTimeout(this.#quietTimer);
    if (result instanceof GrpcError) asked?.reject(result);
    else asked?.resolve(result);
  }

  #credit(bytes = this.#uncredited): void {
    if (bytes === 0) return;
    this.#uncredited -= bytes;
    this.exchange.credit(bytes);
  }

  /** While draining, the handler has read all that has arrived. */
  #caughtUp(): void {
    if (this.#lingersUntilMs !== undefined) return;
    this.#endByMs ??= performance.now() + CATCH_UP_MS;
    // A client drops what it could not send yet: the rest of a message that is larger than the window, as Envoy's first one, or what it
    // kept while its window was closed.
    const isBetweenMessages = this.#hasReceived && this.#queue.isEmpty;
    if (this.#records !== undefined && isBetweenMessages && (!this.#isBehind || performance.now() > this.#endByMs))
      this.#endReply();
    else this.#beginQuiet();
  }

  #beginQuiet(): void {
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => {
      if (this.#records === undefined) this.endRequests();
      else if (this.#queue.isEmpty) this.#endReply();
      else this.#beginQuiet();
    }, QUIET_MS);
  }

  async #room(): Promise<void> {
    if (!this.isOver)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }
}
