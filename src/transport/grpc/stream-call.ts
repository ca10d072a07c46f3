import { type Exchange, type Head, type Receiver, REQUEST_MS } from '../exchange.ts';
import { GrpcError, Status, type StreamHandler } from '../transport.ts';
import type { CallHead } from './call-head.ts';
import { Call, type CallHost } from './call.ts';
import { MessageQueue } from './message-queue.ts';

/** How long a client has to be quiet before a draining server ends its stream: nothing that is under way is cut off. */
const QUIET_MS = 100;

type Result = IteratorResult<Uint8Array, undefined>;
const DONE: Result = { done: true, value: undefined };

/** Messages in, messages out. What the handler has not asked for holds the sender back: its window is not opened. */
export class StreamCall
  extends Call
  implements Receiver, AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined>
{
  readonly #queue: MessageQueue;
  /** Octets that the sender was not given room for again. */
  #uncredited = 0;
  /** Octets in memory: those that wait, and the unpacked message that the handler has. */
  #held = 0;
  /** How much of them is that message. */
  #unpackedBytes = 0;
  /** Since when the handler waits for the end of a message that has begun to come. */
  #partialSinceMs: number | undefined;
  /** The handler reads no more. */
  #isDeaf = false;
  #isDraining = false;
  /** How the requests end, once those that wait are read. Cut: by us, so that a message may be there in part. */
  #end: 'well' | 'cut' | GrpcError | undefined;
  #asked: { resolve(result: Result): void; reject(error: GrpcError): void } | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;
  readonly #isOneRequest: boolean;
  readonly #onOver: (call: StreamCall) => void;

  /** `onOver`: it needs not be told of anything any more. */
  constructor(exchange: Exchange, head: Head, callHead: CallHead, host: CallHost, onOver: (call: StreamCall) => void) {
    super(exchange, head, callHead, host);
    this.#isOneRequest = callHead.method.kind === 'stream' && callHead.method.oneRequest === true;
    this.#queue = new MessageQueue(host.maxMessageBytes, callHead.encoding);
    this.#onOver = onOver;
    this.timed();
  }

  async run(handle: StreamHandler): Promise<void> {
    try {
      for await (const reply of handle(this, this)) {
        if (this.isOver) return;
        if (!this.exchange.send(reply)) await this.#room();
      }
      if (this.isOver) return;
      this.over(undefined);
      this.exchange.end(Status.OK, '');
    } catch (error) {
      this.fail(error);
    }
  }

  // ---------------------------------------------------------- what comes

  data(bytes: Uint8Array, from: number, to: number, isEnd: boolean): void {
    if (this.isOver || this.#end !== undefined) return;
    if (this.#isDeaf && to > from) return this.#unheard();
    this.#uncredited += to - from;
    try {
      this.#hold(to - from);
      this.#queue.push(bytes, from, to);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (isEnd) this.#end = 'well';
    if (this.#asked === undefined) return;
    const result = this.#nextOrError();
    if (result !== undefined) return this.#answer(result);
    this.#creditAll();
    if (!this.#queue.isEmpty) this.#partialSinceMs ??= performance.now();
  }

  tick(nowMs: number): void {
    if (this.#partialSinceMs !== undefined && nowMs - this.#partialSinceMs > REQUEST_MS)
      this.fail(new GrpcError(Status.DEADLINE_EXCEEDED, `a message takes more than ${REQUEST_MS / 1000} s to come`));
  }

  writable(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  override over(why: GrpcError | undefined): void {
    super.over(why);
    clearTimeout(this.#quiet);
    this.#queue.clear();
    this.#hold(-this.#held);
    this.#unpackedBytes = 0;
    this.#end = why ?? new GrpcError(Status.CANCELLED, 'the call is over');
    if (this.#asked !== undefined) this.#answer(this.#end);
    this.writable();
    this.#onOver(this);
  }

  /** The server drains: the stream ends once the client is quiet. */
  drain(): void {
    this.#isDraining = true;
    if (this.#asked !== undefined) this.#beginQuiet();
  }

  /** What has come is read, and no more. */
  endRequests(): void {
    this.#end ??= 'cut';
    if (this.#asked !== undefined) this.#answer(this.#nextOrError() ?? DONE);
  }

  // ---------------------------------------------------------- what the handler reads

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return this;
  }

  next(): Promise<Result> {
    const result = this.#nextOrError();
    if (result instanceof GrpcError) return Promise.reject(result);
    if (result !== undefined) return Promise.resolve(result);
    this.#creditAll();
    if (!this.#queue.isEmpty) this.#partialSinceMs = performance.now();
    return new Promise((resolve, reject) => {
      this.#asked = { resolve, reject };
      if (this.#isDraining || this.draining.aborted) this.#beginQuiet();
    });
  }

  /** The handler reads no more: what waits is dropped, and what still comes is not kept. */
  return(): Promise<Result> {
    this.#isDeaf = true;
    this.#release();
    if (!this.#queue.isEmpty) {
      this.#queue.clear();
      this.#hold(-this.#held);
      this.#unheard();
    }
    return Promise.resolve(DONE);
  }

  /** No room is given for it again, so the sender comes to its window's end. */
  #unheard(): void {
    if (this.#isOneRequest)
      this.fail(new GrpcError(Status.INVALID_ARGUMENT, 'the method takes one request; there is another'));
  }

  #nextOrError(): Result | GrpcError | undefined {
    try {
      return this.#next();
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      return (this.#end = error);
    }
  }

  /** Throws where the message may not be. */
  #next(): Result | GrpcError | undefined {
    this.#release();
    const bytes = this.#queue.nextBytes();
    const { isNextPacked } = this.#queue;
    const message = this.#queue.next();
    if (message === undefined || bytes === undefined) {
      if (this.#end === 'well' && !this.#queue.isEmpty)
        throw new GrpcError(Status.INTERNAL, 'the stream ended inside a message');
      return this.#end === 'well' || this.#end === 'cut' ? DONE : this.#end;
    }
    this.#partialSinceMs = undefined;
    this.#hold(-bytes);
    this.#credit(Math.min(this.#uncredited, bytes));
    if (!isNextPacked) return { done: false, value: message };
    const whole = this.host.unpacker.unpack(message);
    this.#unpackedBytes = whole.length;
    this.#hold(whole.length);
    return { done: false, value: whole };
  }

  /** The handler asks for more, so it is done with the message before. */
  #release(): void {
    if (this.#unpackedBytes === 0) return;
    this.#hold(-this.#unpackedBytes);
    this.#unpackedBytes = 0;
  }

  #hold(bytes: number): void {
    if (bytes === 0) return;
    this.#held += bytes;
    if (!this.exchange.hold(bytes) && bytes > 0)
      throw new GrpcError(Status.RESOURCE_EXHAUSTED, 'the requests of this connection hold too much memory');
  }

  #answer(result: Result | GrpcError): void {
    const asked = this.#asked;
    this.#asked = undefined;
    clearTimeout(this.#quiet);
    if (result instanceof GrpcError) asked?.reject(result);
    else asked?.resolve(result);
  }

  #creditAll(): void {
    this.#credit(this.#uncredited);
  }

  #credit(bytes: number): void {
    if (bytes === 0) return;
    this.#uncredited -= bytes;
    this.exchange.credit(bytes);
  }

  #beginQuiet(): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.endRequests(), QUIET_MS);
  }

  async #room(): Promise<void> {
    if (!this.isOver)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }
}
