/** One request and its reply as gRPC sees it, whoever speaks HTTP/2: the seam between the two. */

/** The head of a request, well-formed. The same one may serve many requests. */
export interface Head {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  /** The first value of a name in lower case. */
  header(name: string): string | undefined;
  /** What gRPC made of it: of the method, path, content-type, grpc-timeout and grpc-encoding alone, since heads that are alike in these may share it. */
  memo: unknown;
}

/** Where the reply goes. After `reply`, `end`, `refuse` and `reset` there is nothing more to say, and to say it is harmless. */
export interface Exchange {
  readonly peer: string;
  /** When the head came, by `performance.now()`. To be read in the turn in which it did. */
  readonly arrivedAtMs: number;
  /** A message and the status OK: all that there is to say. */
  reply(message: Uint8Array): void;
  /** One of several messages. False: wait for `Receiver.writable` before the next. */
  send(message: Uint8Array): boolean;
  /** The status, after what was sent. */
  end(code: number, details: string): void;
  /** An answer in words to what is no gRPC. */
  refuse(httpStatus: number, text: string): void;
  /** So many octets of the body are done with: as many more may come. */
  credit(bytes: number): void;
  /** So many octets for the request wait in memory (fewer, where negative). False: it is more than its connection may hold. */
  hold(bytes: number): boolean;
}

/** What is told of the request. */
export interface Receiver {
  /** Octets of the body. They stay as they are for as long as they are kept. */
  data(bytes: Uint8Array, from: number, to: number, isEnd: boolean): void;
  /** There is room for another message. */
  writable(): void;
  /** The caller reset it, or its connection is gone: nothing can be said any more. */
  gone(): void;
  /** Now and then, by `performance.now()`: ends what has been on its way for too long. */
  tick(nowMs: number): void;
  /** Its connection is to end: streams end once their clients are quiet. */
  drain(): void;
}

/** How long a request, or a message of a stream, may take to come, whatever deadline its caller sets. */
export const REQUEST_MS = 30_000;

/** Who answers requests. `isEnd`: it has no body. */
export type Serve = (exchange: Exchange, head: Head, isEnd: boolean) => Receiver;

/** For an exchange that is over: nothing of its request matters any more. */
export const NO_RECEIVER: Receiver = { data() {}, writable() {}, gone() {}, tick() {}, drain() {} };
