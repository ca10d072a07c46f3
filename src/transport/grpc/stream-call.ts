import type { Exchange, Head, Receiver } from '../exchange.ts';
import { PREFIX_BYTES } from '../framed.ts';
import { GrpcError, Status, type StreamHandler } from '../transport.ts';
import type { CallHead } from './call-head.ts';
import { Call, type CallHost } from './call.ts';
import { MessageReader } from './message-reader.ts';

/** How long a client has to be quiet before a draining server ends its stream: nothing that is under way is cut off. */
const QUIET_MS = 100;

type Result = IteratorResult<Uint8Array, undefined>;
const DONE: Result = { done: true, value: undefined };

/** Messages in, messages out. What the handler has not asked for holds the sender back: its window is not opened. */
export class StreamCall extends Call implements Receiver, AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  readonly #reader: MessageReader;
  readonly #messages: Uint8Array[] = [];
  /** Octets that the sender was not given room for again. */
  #uncredited = 0;
  /** How the requests end, once those that wait are read. */
  #end: 'well' | GrpcError | undefined;
  #asked: { resolve(result: Result): void; reject(error: GrpcError): void } | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;
  readonly #onOver: (call: StreamCall) => void;

  /** `onOver`: it needs not be told of anything any more. */
  constructor(exchange: Exchange, head: Head, callHead: CallHead, host: CallHost, onOver: (call: StreamCall) => void) {
    super(exchange, head, callHead, host);
    this.#reader = new MessageReader(host.maxMessageBytes, callHead.encoding);
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
    this.#uncredited += to - from;
    this.exchange.hold(to - from);
    try {
      this.#reader.read(bytes, from, to, (message) => this.#messages.push(message));
    } catch (error) {
      this.fail(error);
      return;
    }
    if (isEnd) this.#end = this.#reader.isPartial ? new GrpcError(Status.INTERNAL, 'the stream ended inside a message') : 'well';
    if (this.#asked === undefined) return;
    const result = this.#next();
    if (result === undefined) this.#creditAll();
    else this.#answer(result);
  }

  writable(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  override over(why: GrpcError | undefined): void {
    super.over(why);
    clearTimeout(this.#quiet);
    this.#messages.length = 0;
    this.#end = why ?? new GrpcError(Status.CANCELLED, 'the call is over');
    if (this.#asked !== undefined) this.#answer(this.#end);
    this.writable();
    this.#onOver(this);
  }

  /** The server drains: the stream ends once the client is quiet. */
  drain(): void {
    if (this.#asked !== undefined) this.#beginQuiet();
  }

  /** What has come is read, and no more. */
  endRequests(): void {
    this.#end ??= 'well';
    if (this.#asked !== undefined) this.#answer(this.#next() ?? DONE);
  }

  // ---------------------------------------------------------- what the handler reads

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return this;
  }

  next(): Promise<Result> {
    const result = this.#next();
    if (result instanceof GrpcError) return Promise.reject(result);
    if (result !== undefined) return Promise.resolve(result);
    this.#creditAll();
    return new Promise((resolve, reject) => {
      this.#asked = { resolve, reject };
      if (this.draining.aborted) this.#beginQuiet();
    });
  }

  #next(): Result | GrpcError | undefined {
    const message = this.#messages.shift();
    if (message !== undefined) {
      this.#credit(Math.min(this.#uncredited, PREFIX_BYTES + message.length));
      return { done: false, value: message };
    }
    return this.#end === 'well' ? DONE : this.#end;
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
    this.exchange.hold(-bytes);
    this.exchange.credit(bytes);
  }

  #beginQuiet(): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.endRequests(), QUIET_MS);
  }

  async #room(): Promise<void> {
    if (!this.isOver) await new Promise<void>((resolve) => { this.#wake = resolve; });
  }
}
