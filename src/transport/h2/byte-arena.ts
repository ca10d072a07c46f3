/** Copies of bytes that outlive their header block. Small copies share a buffer, since allocating one each costs more than copying. */
import { LOW_BYTES } from './field.ts';
import { decodeHuffman, hadLongCodes, mostDecoded } from './huffman.ts';

/** A field retains its whole buffer, with fields of other requests; so it is small. */
const BUFFER_BYTES = 1024;
const SMALL_BYTES = 256;

/** A copy, whatever the type: `slice` of a Buffer is a view. */
export const copyOf = (bytes: Uint8Array, from: number, to: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(bytes.subarray(from, to));

export class ByteArena {
  /** The range of the last copy. */
  bytes = new Uint8Array(BUFFER_BYTES);
  from = 0;
  to = 0;
  /** Whether it may contain {@link LOW_BYTES}. */
  hasLow = false;

  /** Copies a range; the copy's range is in `bytes`, `from` and `to` until the next call. */
  copy(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    if (length > SMALL_BYTES) return this.#take(copyOf(bytes, from, to));
    this.#room(length);
    const kept = this.bytes;
    let end = this.from;
    let hasLow = false;
    for (let at = from; at < to; at++) {
      const byte = bytes[at] as number;
      if (byte < LOW_BYTES) hasLow = true;
      kept[end++] = byte;
    }
    this.to = end;
    this.hasLow = hasLow;
  }

  /** Decodes Huffman code; false if it is not valid. */
  decode(bytes: Uint8Array, from: number, to: number): boolean {
    const most = mostDecoded(to - from);
    if (most > SMALL_BYTES) {
      const decoded = new Uint8Array(most);
      const length = decodeHuffman(bytes, from, to, decoded, 0);
      if (length >= 0) this.#take(decoded.slice(0, length));
      return length >= 0;
    }
    this.#room(most);
    const end = decodeHuffman(bytes, from, to, this.bytes, this.from);
    this.to = Math.max(end, this.from);
    this.hasLow = hadLongCodes;
    return end >= 0;
  }

  #room(length: number): void {
    if (this.to + length > this.bytes.length) {
      this.bytes = new Uint8Array(BUFFER_BYTES);
      this.to = 0;
    }
    this.from = this.to;
  }

  /** A large copy has its own buffer. */
  #take(copy: Uint8Array<ArrayBuffer>): void {
    this.bytes = copy;
    this.from = 0;
    this.to = copy.length;
    this.hasLow = true; // not known, so readers have to check
  }
}
