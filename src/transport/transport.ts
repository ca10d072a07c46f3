/**
 * What carries gRPC calls, in words that no implementation leaks through. Nothing outside this folder knows which one runs.
 * **In**: bytes on a socket. **Out**: whole messages to a method's handler. **Fails**: with a gRPC status, never an empty OK.
 */

import type { Address } from './address.ts';
import type { Limits } from './limits.ts';
import type { ByteRange } from './byte-range.ts';

/** google.rpc.Code, the ones we say. */
export const Status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;
export type StatusCode = (typeof Status)[keyof typeof Status];

/** Thrown by a handler to end its call with a status of its choosing; anything else thrown ends it with INTERNAL. */
export class GrpcError extends Error {
  readonly code: number;
  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GrpcError';
    this.code = code;
  }
}

export interface CallContext {
  /** Milliseconds until the caller gives up (grpc-timeout), as of now; `undefined` where it set none. */
  readonly remainingMs: number | undefined;
  /** The same as a time by `performance.now()`; Infinity where it set none. */
  readonly endsAtMs?: number;
  /** Aborted when the caller is gone or its deadline has passed. Made when first read. */
  readonly signal: AbortSignal;
  /** Aborted when the server begins to drain: a handler that waits for something to change ends its stream then. */
  readonly draining: AbortSignal;
  /** Aborted when a draining server ends its streams: a handler that still waits gives that up, takes what has come, and ends. */
  readonly ending: AbortSignal;
  /** The first value of a metadata key (lower case); `undefined` where there is none. */
  metadata(key: string): string | undefined;
  /** When the head of its request came, by `performance.now()`. */
  readonly arrivedAtMs: number;
  /** Who calls: `127.0.0.1:50412`. */
  readonly peer: string;
}

/**
 * One request message in, one reply out: at once where it can be, else by promise. The request's bytes are the handler's to keep
 * only until it answers; those of a reply that it returns at once are the transport's only until it calls the handler again.
 */
export type UnaryHandler = (request: ByteRange, context: CallContext) => Uint8Array | Promise<Uint8Array>;

/**
 * Messages in, messages out. What is not read is not acknowledged (HTTP/2 flow control): a handler that waits holds the
 * sender back. Ends with OK when the generator returns.
 */
export type StreamHandler = (requests: AsyncIterable<Uint8Array>, context: CallContext) => AsyncIterable<Uint8Array>;

export type Method =
  | { readonly kind: 'unary'; readonly handle: UnaryHandler }
  /** `oneRequest`: a second message ends the call with INVALID_ARGUMENT. */
  | { readonly kind: 'stream'; readonly handle: StreamHandler; readonly oneRequest?: true };

/** By full path: `/envoy.service.auth.v3.Authorization/Check`. */
export type Methods = ReadonlyMap<string, Method>;

/** Port 0: any free one. */
export interface TransportOptions extends Address {
  /** Larger requests end with RESOURCE_EXHAUSTED. */
  readonly maxMessageBytes: number;
  /** Told of every fault of our own (a handler threw something that is no {@link GrpcError}), for the log. */
  readonly onFault: (path: string, error: unknown) => void;
  /** Told of each peer that cannot be served, since it speaks something else than this port, for the log. Node's HTTP/2 tells it of TLS alone. */
  readonly onStranger?: (stranger: Stranger) => void;
  /** Absent: cleartext, HTTP/2 with prior knowledge. */
  readonly tls?: TlsOptions;
  /** Other processes or threads may listen at the same port: the kernel shares out connections. */
  readonly reusePort?: boolean;
  /**
   * After it a connection is drained, so that its peer connects anew: its streams end once their clients are quiet. What is left after
   * as long again (60 s at most) is cut off. Without it connections live as long as both sides like.
   */
  readonly maxConnectionAgeMs?: number;
  /** What one connection may cost, where it differs from the default. */
  readonly limits?: Partial<Limits>;
}

/**
 * What a peer speaks at a cleartext port: `tls`, `http1`, or anything else (`unknown`). At a port of TLS: `cleartext`, or a `handshake`
 * that failed. Whoever connects and says nothing is none: probes of load balancers do.
 */
export type StrangerKind = 'tls' | 'http1' | 'unknown' | 'cleartext' | 'handshake';

export interface Stranger {
  readonly kind: StrangerKind;
  /** `127.0.0.1:50412`; `undefined` where the socket was gone before it could be asked. */
  readonly peer: string | undefined;
  /** Of a handshake: why it failed. */
  readonly why?: string;
}

/** PEM. With `ca`, callers have to show a certificate of it. */
export interface TlsOptions {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  readonly ca?: string | Buffer;
}

export interface Transport extends Address {
  /**
   * Takes no new calls, lets those in flight end, for at most `graceMs`; then closes. Streams of requests end once the
   * client is quiet, with what has come read to its end. Harmless when repeated.
   */
  drain(graceMs: number): Promise<void>;
  /** New connections get these; those that stand keep theirs. Throws where they are no certificate and its key; the old ones stay. Only where it was given some at first. */
  renewTls(tls: TlsOptions): void;
}

/** Starts listening; rejects with a clear message where the port is taken. */
export type Listen = (methods: Methods, options: TransportOptions) => Promise<Transport>;
