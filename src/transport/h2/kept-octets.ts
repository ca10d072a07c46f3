/** Octets that outlive the block they came in: small ones share a piece of memory, since a piece for each costs more than its copying. */
import { LOW_OCTETS } from './field.ts';
import { decodeHuffman, hadLongCodes, mostDecoded } from './huffman.ts';

/** A field that is kept keeps its whole piece; the entries of a table are 128 at most, so they keep little. */
const PIECE_BYTES = 1024;
const SMALL_BYTES = 256;

/** Never a view: a Buffer's own slice is one. */
export const copyOf = (bytes: Uint8Array, from: number, to: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(bytes.subarray(from, to));

export class KeptOctets {
  /** Where the last copy is. */
  bytes = new Uint8Array(PIECE_BYTES);
  from = 0;
  to = 0;
  /** Whether there may be {@link LOW_OCTETS} in it. */
  hasLow = false;

  /** Copies; the place is in `bytes`, `from` and `to` until the next. */
  copy(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    if (length > SMALL_BYTES) return this.#take(copyOf(bytes, from, to));
    this.#room(length);
    const kept = this.bytes;
    let end = this.from;
    let hasLow = false;
    for (let at = from; at < to; at++) {
      const octet = bytes[at] as number;
      if (octet < LOW_OCTETS) hasLow = true;
      kept[end++] = octet;
    }
    this.to = end;
    this.hasLow = hasLow;
  }

  /** The same of Huffman code. False: it is none. */
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
      this.bytes = new Uint8Array(PIECE_BYTES);
      this.to = 0;
    }
    this.from = this.to;
  }

  #take(octets: Uint8Array<ArrayBuffer>): void {
    this.bytes = octets;
    this.from = 0;
    this.to = octets.length;
    this.hasLow = true; // or not: whoever looks will see
  }
}
