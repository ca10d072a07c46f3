/**
 * Lists of values on a byte stream between two processes: a length of 32 bits (little-endian), then the list as V8 serializes it, which is
 * what a structured clone is made of. A length of 0 is a sign of life.
 */
import { deserialize, serialize } from 'node:v8';

const HEAD_BYTES = 4;
/** More in one turn of the event loop is a fault. */
const MAX_BYTES = 64 * 1024 * 1024;

/** Throws if a value cannot be cloned. */
export function frame(list: readonly unknown[]): Buffer {
  const bytes = serialize(list);
  if (bytes.length > MAX_BYTES) throw new Error(`${bytes.length} bytes in one turn are more than ${MAX_BYTES}`);
  const framed = Buffer.allocUnsafe(HEAD_BYTES + bytes.length);
  framed.writeUInt32LE(bytes.length, 0);
  bytes.copy(framed, HEAD_BYTES);
  return framed;
}

export const BEAT: Buffer = Buffer.alloc(HEAD_BYTES);

/** Reads frames from chunks of a stream. */
export class FrameReader {
  readonly #take: (list: readonly unknown[]) => void;
  /** The beginning of a frame. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Bytes until there is a head, or a whole frame. */
  #wanted = HEAD_BYTES;

  constructor(take: (list: readonly unknown[]) => void) {
    this.#take = take;
  }

  /** Throws if the bytes are no frames; the stream is of no use any more. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#wanted) return;
    let bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#bytes);
    this.#wanted = HEAD_BYTES;
    while (bytes.length >= HEAD_BYTES) {
      const length = bytes.readUInt32LE(0);
      if (length > MAX_BYTES) throw new Error(`a frame of ${length} bytes is longer than ${MAX_BYTES}`);
      this.#wanted = HEAD_BYTES + length;
      if (bytes.length < this.#wanted) break;
      const body = bytes.subarray(HEAD_BYTES, this.#wanted);
      bytes = bytes.subarray(this.#wanted);
      this.#wanted = HEAD_BYTES;
      if (length > 0) this.#take(deserialize(body) as readonly unknown[]);
    }
    this.#chunks = bytes.length === 0 ? [] : [bytes];
    this.#bytes = bytes.length;
  }
}
