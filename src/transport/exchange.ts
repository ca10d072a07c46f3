/** One request and its reply: the seam between gRPC and the HTTP/2 stacks. */
import type { X509Certificate } from 'node:crypto';

/** The other end of a connection. */
export interface Peer {
  /** `127.0.0.1:50412` */
  readonly address: string;
  /** Read from the socket when first asked for. */
  readonly certificate: X509Certificate | undefined;
}

/** A well-formed request head. Several requests may share one. */
export interface Head {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  /** The first value of a name in lower case. */
  header(name: string): string | undefined;
  /**
   * A cache for gRPC's parsed form. It may depend only on method, path, content-type, grpc-timeout and grpc-encoding, since heads that
   * agree in these share it.
   */
  cached: unknown;
}

/** Sends the reply. Calls after `reply`, `end` or `refuse` do nothing. */
export interface Exchange {
  readonly peer: Peer;
  /** When the head arrived, by `performance.now()`. Valid only in the turn of its arrival. */
  readonly arrivedAtMs: number;
  /** Sends a message and the status OK. */
  reply(message: Uint8Array): void;
  /** Sends one of several messages. False: wait for `Receiver.writable` before the next one. */
  send(message: Uint8Array): boolean;
  /** Sends the status, after the messages. `richStatus`: an encoded google.rpc.Status, for the trailer grpc-status-details-bin. */
  end(code: number, details: string, richStatus?: Uint8Array): void;
  /** Sends the status OK, and goes on receiving: the receiver gets the rest of the request until its end. `end` then stops the peer. */
  endReply(): void;
  /** Sends a plain HTTP reply to a request that is not gRPC. */
  refuse(httpStatus: number, text: string): void;
  /** Gives the sender flow-control credit for bytes of the body that are consumed. */
  credit(bytes: number): void;
  /** Counts bytes that are held in memory for the request; negative releases them. False: more than its connection may hold. */
  hold(bytes: number): boolean;
  /** The bytes that `Receiver.data` gets in this turn are read after it, until the reply. */
  retain(): void;
}

/** Receives the events of a request. */
export interface Receiver {
  /** Bytes of the body. Their memory is reused after this turn, unless {@link Exchange.retain} is called. */
  data(bytes: Uint8Array, from: number, to: number, isEnd: boolean): void;
  /** There is room for another message after `send` returned false. */
  writable(): void;
  /** The caller has reset it, or its connection is closed: nothing more can be sent. */
  gone(): void;
  /** Once a second, by `performance.now()`: ends requests that take too long to arrive. */
  tick(nowMs: number): void;
  /** Its connection is about to drain: streams end. True: GOAWAY should wait for the end of this one. May be repeated. */
  drain(): boolean;
}

/** Time to receive a request, or a message of a stream, whatever deadline its caller sets. */
export const REQUEST_MS = 30_000;

/** Answers requests. `isEnd`: the request has no body. */
export type Serve = (exchange: Exchange, head: Head, isEnd: boolean) => Receiver;

/** For an exchange that is over; the rest of its request is ignored. */
export const NO_RECEIVER: Receiver = { data() {}, writable() {}, gone() {}, tick() {}, drain: () => false };
