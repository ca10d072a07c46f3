/**
 * The interface of a gRPC transport. Nothing outside this folder knows which implementation runs.
 * **In**: bytes on a socket. **Out**: whole messages to a method's handler. **Fails**: with a gRPC status, never with an empty OK.
 */

import type { X509Certificate } from 'node:crypto';
import type { Address } from './address.ts';
import type { Limits } from './limits.ts';
import type { ByteRange } from './byte-range.ts';

/** The codes of google.rpc.Code in use here. */
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

/** `UNAVAILABLE` for 14; `undefined` for a code that has no name here. */
export const statusName = (code: number): string | undefined =>
  Object.entries(Status).find(([, known]) => known === code)?.[0];

/** Thrown by a handler to end its call with this status; any other error ends the call with INTERNAL. */
export class GrpcError extends Error {
  readonly code: number;
  /** An encoded google.rpc.Status with further details, such as a RetryInfo; sent in the trailer grpc-status-details-bin. */
  readonly richStatus: Uint8Array | undefined;
  constructor(code: number, message: string, options?: ErrorOptions & { readonly richStatus?: Uint8Array }) {
    super(message, options);
    this.name = 'GrpcError';
    this.code = code;
    this.richStatus = options?.richStatus;
  }
}

export interface GoneObserver {
  /** The caller left, or its deadline has passed, before it was answered. */
  callerGone(why: string): void;
}

export interface CallContext {
  /** Milliseconds left until the caller's deadline (grpc-timeout); `undefined` if it set none. */
  readonly remainingMs: number | undefined;
  /** The deadline by `performance.now()`; Infinity if it set none. */
  readonly endsAtMs?: number;
  /** Aborted when the caller has disconnected or its deadline has passed. Created when first read. */
  readonly signal: AbortSignal;
  /** Like a listener of `signal`, without the price of creating one. */
  observe?(observer: GoneObserver): void;
  /** Aborted when the server begins to drain; a handler that waits for a change ends its stream then. */
  readonly draining: AbortSignal;
  /** Aborted when a draining server ends its streams; a handler then stops waiting, reads the received messages, and ends. */
  readonly ending: AbortSignal;
  /** The first value of a metadata key (lower case); `undefined` if there is none. */
  metadata(key: string): string | undefined;
  /** When the head of its request arrived, by `performance.now()`. */
  readonly arrivedAtMs: number;
  /** The caller's address: `127.0.0.1:50412`. */
  readonly peer: string;
  /**
   * The caller's, verified against `ca` of {@link TlsOptions} when it connected; it may have ended since. Read from the connection when
   * asked for.
   */
  readonly peerCertificate?: X509Certificate | undefined;
}

/**
 * One request message in, one reply out, synchronously or by promise. The request's bytes are valid until the handler answers; copy them to
 * keep them longer. The handler may reuse the bytes of a synchronous reply when it is called again.
 */
export type UnaryHandler = (request: ByteRange, context: CallContext) => Uint8Array | Promise<Uint8Array>;

/**
 * Messages in, messages out. Messages that are not read give the sender no flow-control credit, so a slow handler slows it down. The call
 * ends with OK when the generator returns.
 */
export type StreamHandler = (requests: AsyncIterable<Uint8Array>, context: CallContext) => AsyncIterable<Uint8Array>;

export type Method =
  | { readonly kind: 'unary'; readonly handle: UnaryHandler }
  /** `oneRequest`: a second message ends the call with INVALID_ARGUMENT. */
  | {
      readonly kind: 'stream';
      readonly handle: StreamHandler;
      readonly oneRequest?: true;
      readonly records?: Records;
    };

/**
 * For a stream of records, such as log entries, that its client neither repeats nor keeps. The server ends it by sending `lastReply` and
 * OK, and reads on until the client ends its side; messages that have arrived are read even if the client is gone.
 */
export interface Records {
  readonly lastReply: Uint8Array;
}

/** By full path: `/envoy.service.auth.v3.Authorization/Check`. */
export type Methods = ReadonlyMap<string, Method>;

/** Port 0: any free port. */
export interface TransportOptions extends Address {
  /** Larger requests end with RESOURCE_EXHAUSTED. */
  readonly maxMessageBytes: number;
  /** Called with every internal error (a handler threw something other than a {@link GrpcError}), for the log. */
  readonly onFault: (path: string, error: unknown) => void;
  /** Called for each peer that does not speak the protocol of this port, for the log. With Node's HTTP/2, only for TLS. */
  readonly onStranger?: (stranger: Stranger) => void;
  /** Absent: cleartext, HTTP/2 with prior knowledge. */
  readonly tls?: TlsOptions;
  /** Other processes or threads may listen at the same port; the kernel distributes connections. */
  readonly reusePort?: boolean;
  /**
   * At this age a connection is drained, so that its peer reconnects: its streams end once their clients are quiet. It is closed after the
   * same time again, at most 60 s. Default: no limit.
   */
  readonly maxConnectionAgeMs?: number;
  /** At this age a stream of records is ended with OK, so that its client opens another, perhaps at another server. Default: no limit. */
  readonly maxStreamAgeMs?: number;
  /** Overrides of the default limits of a connection. */
  readonly limits?: Partial<Limits>;
}

/**
 * The protocol of a peer at a cleartext port: `tls`, `http1`, or anything else (`unknown`). At a TLS port: `cleartext`, or a failed
 * `handshake`. A peer that sends nothing is not reported, since probes of load balancers do that.
 */
export type StrangerKind = 'tls' | 'http1' | 'unknown' | 'cleartext' | 'handshake';

export interface Stranger {
  readonly kind: StrangerKind;
  /** `127.0.0.1:50412`; `undefined` if the socket was closed before it could be read. */
  readonly peer: string | undefined;
  /** Why a handshake failed. */
  readonly why?: string;
}

/** In PEM. */
export interface TlsOptions {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** Callers must present a certificate that it has signed. */
  readonly ca?: string | Buffer;
  /**
   * With `ca`. `optional`: a caller may present none; one that does not verify still fails the handshake, so that a caller with a bad
   * certificate is not taken for one without. Fixed when the server starts. Default: `required`.
   */
  readonly clientCertificate?: 'required' | 'optional';
}

export interface Transport extends Address {
  /**
   * Refuses new calls, lets calls in flight finish for at most `graceMs`, then closes. Streams of records are ended with OK and read to
   * their end; others end once their clients are quiet and the received messages are read. Idempotent.
   */
  drain(graceMs: number): Promise<void>;
  /** Applies to new connections. Throws and keeps the old certificate if certificate and key do not match, or in cleartext. */
  renewTls(tls: TlsOptions): void;
}

/** Starts listening; rejects with the cause and the fix if the address cannot be bound. */
export type Listen = (methods: Methods, options: TransportOptions) => Promise<Transport>;
