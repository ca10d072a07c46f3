import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Exchange, Head, Peer, Receiver } from '../exchange.ts';
import { framed } from '../framed.ts';
import { percentEncoded } from '../percent.ts';
import { SocketPeer } from '../socket-peer.ts';

/** The stream is paused if more unread bytes than this are received. */
const WINDOW_BYTES = 32 * 1024;
const HEAD = { ':status': 200, 'content-type': 'application/grpc' } as const;

export class NodeHead implements Head {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  readonly #headers: IncomingHttpHeaders;
  cached: unknown;

  constructor(headers: IncomingHttpHeaders) {
    this.#headers = headers;
    this.method = headers[':method'] ?? '';
    this.path = headers[':path'] ?? '';
    this.contentType = headers['content-type'];
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value[0] : value;
  }
}

/** A stream of node:http2 as an exchange. */
export class NodeExchange implements Exchange {
  readonly peer: Peer;
  readonly arrivedAtMs = performance.now();
  readonly #stream: ServerHttp2Stream;
  #isEnded = false;
  #isReading = false;
  #uncredited = 0;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    this.peer = new SocketPeer(stream.session?.socket);
  }

  /** Passes events on to the receiver. */
  attach(receiver: Receiver): void {
    const stream = this.#stream;
    stream.on('data', (chunk: Buffer) => {
      this.#uncredited += chunk.length;
      if (this.#uncredited > WINDOW_BYTES) stream.pause();
      receiver.data(chunk, 0, chunk.length, false);
    });
    stream.on('end', () => {
      if (!stream.aborted) receiver.data(NO_BYTES, 0, 0, true);
    });
    stream.on('drain', () => receiver.writable());
    stream.on('error', () => {}); // close follows
    stream.on('close', () => receiver.gone());
  }

  reply(message: Uint8Array): void {
    this.send(message);
    this.end(0, '');
  }

  send(message: Uint8Array): boolean {
    const stream = this.#stream;
    if (this.#isEnded || stream.destroyed) return true;
    if (!stream.headersSent) stream.respond(HEAD, { waitForTrailers: true });
    return stream.write(framed(message));
  }

  endReply(): void {
    if (this.#isEnded) return;
    this.#isReading = true;
    this.end(0, '');
  }

  end(code: number, details: string, richStatus?: Uint8Array): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    if (this.#isEnded) {
      this.#isReading = false;
      return this.#resetUnlessEnded();
    }
    this.#isEnded = true;
    const status = {
      'grpc-status': String(code),
      ...(details === '' ? {} : { 'grpc-message': percentEncoded(details) }),
      ...(richStatus === undefined ? {} : { 'grpc-status-details-bin': Buffer.from(richStatus).toString('base64') }),
    };
    if (!stream.headersSent) {
      stream.respond({ ...HEAD, ...status }, { endStream: true });
      this.#resetUnlessEnded();
      return;
    }
    stream.once('wantTrailers', () => {
      stream.sendTrailers(status);
      this.#resetUnlessEnded();
    });
    stream.end();
  }

  refuse(httpStatus: number, text: string): void {
    if (this.#isEnded || this.#stream.destroyed) return;
    this.#isEnded = true;
    this.#stream.respond({ ':status': httpStatus, 'content-type': 'text/plain; charset=utf-8' });
    this.#stream.end(text);
  }

  credit(bytes: number): void {
    this.#uncredited -= bytes;
    if (this.#uncredited <= WINDOW_BYTES && this.#stream.isPaused()) this.#stream.resume();
  }

  /** Memory is bounded by Node (maxSessionMemory). */
  hold(): boolean {
    return true;
  }

  /** Node reuses no memory. */
  retain(): void {}

  /** The reply is complete; the rest of the request is not needed. */
  #resetUnlessEnded(): void {
    const stream = this.#stream;
    if (!this.#isReading && !stream.readableEnded)
      setImmediate(() => {
        if (!stream.closed && !stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
      });
  }
}

const NO_BYTES = new Uint8Array(0);
