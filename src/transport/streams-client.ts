/**
 * A client for streams that stay open, on one connection of Node's HTTP/2. It writes a message in the turn in which it is sent, and tells
 * how much waits for the other side.
 * **In**: messages. **Out**: messages, then how the stream ended. **Fails**: with a {@link GrpcError}; a broken connection ends its
 * streams.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { namedBy } from '../text/server-name.ts';
import { type Address, addressText, socketPath } from './address.ts';
import { asBuffer } from './byte-range.ts';
import type { DialTls } from './client.ts';
import { framed } from './framed.ts';
import { MessageQueue } from './grpc/message-queue.ts';
import { percentDecoded } from './percent.ts';
import { MIN_TLS } from './tls.ts';
import { GrpcError, Status } from './transport.ts';
import { AT_ONCE, whyNotConnected } from './why-not-connected.ts';

/** Room for a large batch, so that it does not wait for a round trip. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024;
/** Of Node's own bound on what waits in a connection; each stream has its own. */
const MAX_SESSION_MEGABYTES = 1024;

export interface StreamEvents {
  /** In memory that the receiver may keep. */
  readonly message: (bytes: Buffer) => void;
  /** GOAWAY: the connection takes no more streams; this one goes on until the other side ends it. */
  readonly goingAway?: () => void;
  /**
   * Once, unless it was cancelled. The code is {@link Status.OK} where the other side has ended the stream without an error.
   * `isItsOwn`: the other side has sent this status.
   */
  readonly over: (why: GrpcError, isItsOwn: boolean) => void;
}

export interface OutgoingStream {
  /** A message with its prefix; see {@link framed}. Does nothing once the stream is over. */
  send(message: Uint8Array): void;
  /** What was sent and waits for the other side to read. */
  readonly unreadBytes: number;
  /** Ends it without `over`. Idempotent. */
  cancel(): void;
}

export interface StreamsClient {
  /** Whether streams can be opened on it. */
  readonly isOpen: boolean;
  open(path: string, maxMessageBytes: number, events: StreamEvents): OutgoingStream;
  /** One message there, one back. */
  unary(path: string, request: Uint8Array, options: { maxMessageBytes: number; timeoutMs: number }): Promise<Buffer>;
  /** Ends it with all its streams. */
  close(): void;
}

/** Connects, and waits until the other side speaks HTTP/2. Rejects with a {@link GrpcError} with what to do. */
export async function connectStreams(
  address: Address,
  {
    tls,
    withinMs,
    signal,
  }: { readonly tls?: DialTls | undefined; readonly withinMs: number; readonly signal?: AbortSignal },
): Promise<StreamsClient> {
  const where = addressText(address);
  const timeout = AbortSignal.timeout(withinMs);
  const until = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
  let socket: Socket;
  try {
    socket = socketTo(address, tls);
  } catch (error) {
    // A key or certificate that OpenSSL does not take.
    throw new GrpcError(Status.UNAVAILABLE, whyNotConnected(where, error, false, true), { cause: error });
  }
  const session = connect(`${tls === undefined ? 'http' : 'https'}://${authorityOf(address)}`, {
    createConnection: () => socket,
    maxSessionMemory: MAX_SESSION_MEGABYTES,
    settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
  });
  const { promise: connected, resolve, reject } = Promise.withResolvers<void>();
  // Its settings, since a socket of a process that hangs is connected, too.
  session.once('remoteSettings', () => resolve());
  session.on('error', reject); // later its streams report it
  session.once('close', () => reject(new Error(AT_ONCE)));
  socket.on('error', reject); // an alert of TLS may come after the handshake
  const late = (): void => reject(until.reason as Error);
  until.addEventListener('abort', late, { once: true });
  try {
    await connected;
  } catch (error) {
    session.destroy();
    socket.destroy();
    throw new GrpcError(Status.UNAVAILABLE, whyNotConnected(where, error, until.aborted, tls !== undefined), {
      cause: error,
    });
  } finally {
    until.removeEventListener('abort', late);
  }
  session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
  return new Http2Streams(session, where);
}

function socketTo(address: Address, tls: DialTls | undefined): Socket {
  const path = socketPath(address);
  const to = path === undefined ? { host: address.host, port: address.port } : { path };
  if (tls === undefined) return connectSocket(to).setNoDelay();
  const { serverName, ...files } = tls;
  const name = serverName ?? (path === undefined ? address.host : 'localhost');
  return connectTls({
    ...to,
    ...files,
    ALPNProtocols: ['h2'],
    minVersion: MIN_TLS,
    host: to.path === undefined ? address.host : name,
    ...namedBy(name),
  }).setNoDelay();
}

const authorityOf = (address: Address): string =>
  socketPath(address) === undefined ? addressText(address) : 'localhost';

class Http2Streams implements StreamsClient {
  readonly #session: ClientHttp2Session;
  readonly #where: string;
  #isGoingAway = false;
  readonly #onGoingAway = new Set<() => void>();

  constructor(session: ClientHttp2Session, where: string) {
    this.#session = session;
    this.#where = where;
    session.on('goaway', () => {
      if (this.#isGoingAway) return; // a server that drains sends a second one
      this.#isGoingAway = true;
      for (const goingAway of this.#onGoingAway) goingAway();
    });
  }

  get isOpen(): boolean {
    return !this.#isGoingAway && !this.#session.closed && !this.#session.destroyed;
  }

  open(path: string, maxMessageBytes: number, events: StreamEvents): Http2Stream {
    const stream = this.#session.request(
      { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' },
      { endStream: false },
    );
    const { goingAway } = events;
    if (goingAway !== undefined) {
      this.#onGoingAway.add(goingAway);
      stream.on('close', () => this.#onGoingAway.delete(goingAway));
    }
    return new Http2Stream(stream, this.#where, maxMessageBytes, events);
  }

  unary(
    path: string,
    request: Uint8Array,
    { maxMessageBytes, timeoutMs }: { maxMessageBytes: number; timeoutMs: number },
  ): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    let reply: Buffer | undefined;
    const late = setTimeout(() => {
      stream.cancel();
      reject(
        new GrpcError(Status.DEADLINE_EXCEEDED, `${this.#where} does not answer within ${timeoutMs} ms; it may hang`),
      );
    }, timeoutMs);
    const stream = this.open(path, maxMessageBytes, {
      message: (bytes) => {
        reply ??= bytes;
      },
      over: (why) => {
        clearTimeout(late);
        if (why.code === Status.OK && reply !== undefined) resolve(reply);
        else reject(why);
      },
    });
    stream.send(framed(request));
    stream.finish();
    return promise;
  }

  close(): void {
    this.#session.destroy();
  }
}

class Http2Stream implements OutgoingStream {
  readonly #stream: ClientHttp2Stream;
  readonly #where: string;
  readonly #queue: MessageQueue;
  readonly #events: StreamEvents;
  #status: GrpcError | undefined;
  #isItsOwn = false;
  #isOver = false;

  constructor(stream: ClientHttp2Stream, where: string, maxMessageBytes: number, events: StreamEvents) {
    this.#stream = stream;
    this.#where = where;
    this.#queue = new MessageQueue(maxMessageBytes, 'identity');
    this.#events = events;
    stream.on('response', (headers) => this.#head(headers));
    stream.on('trailers', (trailers) => this.#take(trailers));
    stream.on('data', (bytes: Buffer) => this.#data(bytes));
    stream.on('error', (error) => {
      this.#status ??= new GrpcError(Status.UNAVAILABLE, `the connection to ${where} broke: ${error.message}`);
    });
    stream.on('close', () => this.#closed());
  }

  get unreadBytes(): number {
    return this.#stream.writableLength;
  }

  send(message: Uint8Array): void {
    if (!this.#isOver && this.#stream.writable) this.#stream.write(message);
  }

  /** Nothing more is sent. */
  finish(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#isOver = true;
    this.#queue.clear();
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #data(bytes: Buffer): void {
    if (this.#isOver) return;
    try {
      this.#queue.push(bytes, 0, bytes.length);
      for (let next = this.#queue.next(); next !== undefined && !this.#isOver; next = this.#queue.next())
        this.#events.message(asBuffer(next));
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      this.#fail(error);
    }
  }

  #head(headers: Readonly<Record<string, unknown>>): void {
    const { ':status': status, 'content-type': type } = headers;
    if (status !== 200 || !String(type).startsWith('application/grpc'))
      this.#fail(
        new GrpcError(
          Status.UNAVAILABLE,
          `${this.#where} is no gRPC server: it answers with HTTP status ${String(status)}`,
        ),
      );
    else this.#take(headers);
  }

  #take(headers: Readonly<Record<string, unknown>>): void {
    const code = headers['grpc-status'];
    if (code === undefined) return;
    const message = headers['grpc-message'];
    if (this.#status !== undefined) return;
    this.#status = new GrpcError(Number(code), typeof message === 'string' ? percentDecoded(message) : '');
    this.#isItsOwn = true;
  }

  #fail(error: GrpcError): void {
    if (this.#isOver) return;
    this.cancel();
    this.#events.over(error, false);
  }

  #closed(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const incomplete = this.#queue.isEmpty
      ? undefined
      : new GrpcError(Status.INTERNAL, `${this.#where} ended the stream inside a message`);
    // RFC 9113: it has begun nothing of it; the connection is going away, or has as many streams as it takes.
    const isRefused = this.#stream.rstCode === constants.NGHTTP2_REFUSED_STREAM && !this.#isItsOwn;
    const status = isRefused ? new GrpcError(Status.UNAVAILABLE, `${this.#where} refuses the stream`) : this.#status;
    this.#events.over(
      incomplete ?? status ?? new GrpcError(Status.UNAVAILABLE, `the connection to ${this.#where} broke`),
      incomplete === undefined && (this.#isItsOwn || isRefused),
    );
  }
}
