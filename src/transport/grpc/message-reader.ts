/**
 * **In**: a request's body, in pieces. **Out**: its messages, whole and not compressed. **Fails**: with a {@link GrpcError};
 * nothing is read after that.
 */
import { gunzipSync } from 'node:zlib';
import { PREFIX_BYTES } from '../framed.ts';
import { GrpcError, Status } from '../transport.ts';

export class MessageReader {
  readonly #maxBytes: number;
  readonly #encoding: 'identity' | 'gzip';
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixLength = 0;
  #message: Uint8Array | undefined;
  #length = 0;

  constructor(maxBytes: number, encoding: 'identity' | 'gzip') {
    this.#maxBytes = maxBytes;
    this.#encoding = encoding;
  }

  /** Inside a message. */
  get isPartial(): boolean {
    return this.#prefixLength > 0;
  }

  /** Gives each message that is whole now to `take`. */
  read(bytes: Uint8Array, from: number, to: number, take: (message: Uint8Array) => void): void {
    let at = from;
    while (at < to || this.#message?.length === 0) {
      if (this.#message === undefined) {
        this.#prefix[this.#prefixLength++] = bytes[at++] as number;
        if (this.#prefixLength < PREFIX_BYTES) continue;
        this.#message = new Uint8Array(this.#checkedLength());
        this.#length = 0;
      }
      const taken = Math.min(this.#message.length - this.#length, to - at);
      this.#message.set(bytes.subarray(at, at + taken), this.#length);
      this.#length += taken;
      at += taken;
      if (this.#length < this.#message.length) return;
      const whole = this.#message;
      this.#message = undefined;
      this.#prefixLength = 0;
      take(this.#prefix[0] === 1 ? this.#inflated(whole) : whole);
    }
  }

  #checkedLength(): number {
    const [flag, a = 0, b = 0, c = 0, d = 0] = this.#prefix;
    if (flag !== 0 && flag !== 1) throw new GrpcError(Status.INTERNAL, `a message begins with the flag ${flag}, which is neither 0 nor 1`);
    if (flag === 1 && this.#encoding === 'identity') throw new GrpcError(Status.INTERNAL, 'a message says that it is compressed, but grpc-encoding does not say how');
    const length = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    if (length > this.#maxBytes) throw tooLarge(`${length} bytes`, this.#maxBytes);
    return length;
  }

  #inflated(message: Uint8Array): Uint8Array {
    try {
      return gunzipSync(message, { maxOutputLength: Math.max(1, this.#maxBytes) });
    } catch (error) {
      if (error instanceof RangeError) throw tooLarge('more when it is unpacked', this.#maxBytes);
      throw new GrpcError(Status.INTERNAL, 'a message says that it is gzip, and is not', { cause: error });
    }
  }
}

const tooLarge = (is: string, maxBytes: number): GrpcError => new GrpcError(Status.RESOURCE_EXHAUSTED, `a message has ${is} where ${maxBytes} are allowed`);
