/**
 * Encodes protobuf messages field by field, for the responses of each call.
 * **In**: fields in ascending order of their numbers, after {@link ProtobufWriter.start}. **Out**: the message. **Fails**: never; empty
 * scalars are left out, as in proto3.
 */
import { Buffer } from 'node:buffer'; // `globalThis.Buffer` is a getter; a local reference is faster on the hot path

/** Messages share slabs of this size, which saves allocating a buffer per message. */
const SLAB_BYTES = 16 * 1024;
const I64 = 1;
const LEN = 2;
/** Up to these lengths a loop is faster than calling a builtin. */
const FEW_BYTES = 24;
const FEW_CHARACTERS = 12;
const MAX_VARINT_BYTES = 5;
const MAX_LONG_BYTES = 10;
const MAX_UINT32 = 0xffffffff;
const TWO_TO_32 = 0x100000000;
/** The longest message whose view is cached. */
const MAX_CACHED_VIEW_BYTES = 1024;

/** The size of a length as a varint. */
function lengthBytes(length: number): number {
  let bytes = 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) bytes++;
  return bytes;
}

export class ProtobufWriter {
  #bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** Begin of the current message, and its write position. */
  #from = 0;
  #at = 0;
  /** Views of the slab's beginning by length; allocating a view takes longer than writing a short message. */
  readonly #views: (Uint8Array | undefined)[] = [];

  /** Begins a message; drops one that was not finished. */
  start(): void {
    this.#at = this.#from;
  }

  varint(field: number, value: number): void {
    if (value === 0) return;
    this.#tag(field, 0);
    this.#varint(value);
  }

  bool(field: number, value: boolean): void {
    this.varint(field, value ? 1 : 0);
  }

  /** An unsigned number of up to 32 bits without its tag, for a packed list. */
  bareVarint(value: number): void {
    this.#varint(value);
  }

  /** An `int64` or `uint64` within 2^53, which is written even if it is 0. */
  long(field: number, value: number): void {
    this.#tag(field, 0);
    if (value >= 0 && value <= MAX_UINT32) return this.#varint(value);
    this.#room(MAX_LONG_BYTES);
    const bytes = this.#bytes;
    // Two's complement in two halves, since bit operations have 32 bits.
    let low = value >>> 0;
    let high = Math.floor(value / TWO_TO_32) >>> 0;
    while (high !== 0 || low >= 0x80) {
      bytes[this.#at++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    bytes[this.#at++] = low;
  }

  /** Written even if it is 0. */
  double(field: number, value: number): void {
    this.#tag(field, I64);
    this.#room(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  text(field: number, text: string): void {
    if (text !== '') this.item(field, text);
  }

  /** A string of a repeated field or a oneof, which is written even if it is empty. */
  item(field: number, text: string): void {
    const { length } = text;
    this.#tag(field, LEN);
    if (length > FEW_CHARACTERS) return this.#longText(text);
    this.#room(1 + length);
    const bytes = this.#bytes;
    const at = this.#at + 1;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) return this.#longText(text);
      bytes[at + index] = code;
    }
    bytes[this.#at] = length;
    this.#at = at + length;
  }

  /** Fields that are already encoded. */
  encoded(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#room(length);
    if (length > FEW_BYTES) this.#bytes.set(bytes, this.#at);
    else for (let at = 0; at < length; at++) this.#bytes[this.#at + at] = bytes[at] as number;
    this.#at += length;
  }

  /** The bytes of ASCII text, without tag and length. */
  ascii(text: string): void {
    const { length } = text;
    this.#room(length);
    for (let at = 0; at < length; at++) this.#bytes[this.#at + at] = text.charCodeAt(at);
    this.#at += length;
  }

  /** A nested message that is already encoded. */
  message(field: number, bytes: Uint8Array): void {
    this.#tag(field, LEN);
    this.#varint(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Begins a nested message; pass the result to {@link end}. */
  begin(field: number): number {
    this.#tag(field, LEN);
    this.#room(1);
    return ++this.#at - this.#from;
  }

  end(begun: number): void {
    const length = this.#at - this.#from - begun;
    if (length < 0x80) {
      this.#bytes[this.#from + begun - 1] = length;
      return;
    }
    let more = 0;
    for (let rest = length >>> 7; rest > 0; rest >>>= 7) more++;
    this.#room(more);
    const from = this.#from + begun;
    this.#bytes.copyWithin(from + more, from, this.#at);
    const end = this.#at + more;
    this.#at = from - 1;
    this.#varint(length);
    this.#at = end;
  }

  /** The same; a nested message without fields is left out, as an empty scalar is. For fields below 16, whose tag has one byte. */
  endUnlessEmpty(begun: number): void {
    if (this.#at - this.#from === begun) this.#at -= 2;
    else this.end(begun);
  }

  /** Of the message so far. */
  get length(): number {
    return this.#at - this.#from;
  }

  /** The message, in memory that the caller may keep. */
  finish(): Uint8Array {
    const message = this.#bytes.subarray(this.#from, this.#at);
    this.#from = this.#at;
    return message;
  }

  /** The message, in memory that the next message reuses; copy it to keep it. */
  lend(): Uint8Array {
    const length = this.#at - this.#from;
    if (this.#from > 0 || length > MAX_CACHED_VIEW_BYTES) return this.#bytes.subarray(this.#from, this.#at);
    return (this.#views[length] ??= this.#bytes.subarray(0, length));
  }

  /** Writes the text first, after space for the length of ASCII text. */
  #longText(text: string): void {
    const { length } = text;
    this.#room(MAX_VARINT_BYTES + 3 * length);
    const room = lengthBytes(length);
    const from = this.#at + room;
    const written = this.#bytes.write(text, from);
    const needed = lengthBytes(written);
    if (needed !== room) this.#bytes.copyWithin(this.#at + needed, from, from + written);
    this.#varint(written);
    this.#at += written;
  }

  #tag(field: number, type: number): void {
    this.#varint((field << 3) | type);
  }

  /** An unsigned number of up to 32 bits. */
  #varint(value: number): void {
    this.#room(5);
    const bytes = this.#bytes;
    let rest = value >>> 0;
    while (rest >= 0x80) {
      bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[this.#at++] = rest;
  }

  #room(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const written = this.#at - this.#from;
    const next = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, 2 * (written + more)));
    next.set(this.#bytes.subarray(this.#from, this.#at));
    this.#bytes = next;
    this.#views.length = 0;
    this.#from = 0;
    this.#at = written;
  }
}
