/**
 * **In**: a request's body, in chunks. **Out**: its messages, on demand. **Fails**: with a {@link GrpcError}; nothing is read after that.
 *
 * The buffer grows with the received bytes, not with the announced length.
 */
import { PREFIX_BYTES } from '../framed.ts';
import { GrpcError, Status } from '../transport.ts';

const FIRST_BYTES = 256;
const NOTHING = new Uint8Array(0);

export class MessageQueue {
  readonly #maxBytes: number;
  readonly #encoding: 'identity' | 'gzip';
  #bytes = NOTHING;
  #from = 0;
  #to = 0;

  constructor(maxBytes: number, encoding: 'identity' | 'gzip') {
    this.#maxBytes = maxBytes;
    this.#encoding = encoding;
  }

  get isEmpty(): boolean {
    return this.#from === this.#to;
  }

  push(bytes: Uint8Array, from: number, to: number): void {
    const more = to - from;
    const have = this.#to - this.#from;
    if (this.#to + more > this.#bytes.length) {
      const room =
        have + more > this.#bytes.length
          ? new Uint8Array(Math.max(FIRST_BYTES, 2 * this.#bytes.length, have + more))
          : this.#bytes;
      room.set(this.#bytes.subarray(this.#from, this.#to)); // `set` allows the ranges to overlap
      this.#bytes = room;
      this.#from = 0;
      this.#to = have;
    }
    this.#bytes.set(bytes.subarray(from, to), this.#to);
    this.#to += more;
  }

  /** The size of the first message with its prefix, as sent; `undefined` while the prefix is incomplete. Throws if it is invalid. */
  nextBytes(): number | undefined {
    const at = this.#from;
    if (this.#to - at < PREFIX_BYTES) return undefined;
    const bytes = this.#bytes;
    const flag = bytes[at] as number;
    if (flag !== 0 && flag !== 1)
      throw new GrpcError(Status.INTERNAL, `the compressed flag of a message is ${flag}; expected 0 or 1`);
    if (flag === 1 && this.#encoding === 'identity')
      throw new GrpcError(Status.INTERNAL, 'a message is marked as compressed, but grpc-encoding is missing');
    const length = lengthAt(bytes, at + 1);
    if (length > this.#maxBytes) throw tooLarge(`${length} bytes`, this.#maxBytes);
    return PREFIX_BYTES + length;
  }

  /** Whether bytes after the first message have arrived. Throws if it is invalid. */
  get hasMoreThanOne(): boolean {
    return this.#to - this.#from > (this.nextBytes() ?? Infinity);
  }

  get isNextCompressed(): boolean {
    return this.#bytes[this.#from] === 1;
  }

  /** The first message as sent, in memory that the reader may keep; `undefined` while it is incomplete. */
  next(): Uint8Array | undefined {
    const length = this.nextBytes();
    const at = this.#from;
    const end = at + (length ?? Infinity);
    if (end > this.#to) return undefined;
    if (end < this.#to) {
      this.#from = end;
      return this.#bytes.slice(at + PREFIX_BYTES, end);
    }
    const message = this.#bytes.subarray(at + PREFIX_BYTES, end);
    this.clear();
    return message;
  }

  clear(): void {
    this.#bytes = NOTHING;
    this.#from = 0;
    this.#to = 0;
  }
}

export const lengthAt = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)) >>>
  0;

export const tooLarge = (is: string, maxBytes: number): GrpcError =>
  new GrpcError(Status.RESOURCE_EXHAUSTED, `a message has ${is}; at most ${maxBytes} are allowed`);
