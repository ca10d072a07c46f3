/**
 * Writes protobuf messages straight to octets: the few that answer each call.
 * **In**: fields in ascending order of their numbers, after a start. **Out**: the message. **Fails**: never; what is empty is left out,
 * as proto3 has it.
 */
import { Buffer } from 'node:buffer'; // the global one is looked up anew each time that it is named

/** Messages stand one after the other in memory of this size: one of their own each would be asked for, filled and freed for each call. */
const SLAB_BYTES = 16 * 1024;
const LEN = 2;
/** Up to so many are copied by a loop: the call of a builtin costs more. */
const FEW_OCTETS = 24;
const FEW_CHARACTERS = 12;
const MOST_LENGTH_BYTES = 5;
const LONGEST_VIEW_KEPT = 1024;

function lengthBytes(length: number): number {
  let bytes = 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) bytes++;
  return bytes;
}

export class ProtobufWriter {
  #bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** Of the message that is being written. */
  #from = 0;
  #at = 0;
  /** Of the memory's beginning, by length: a view takes longer to make than a short message to write. */
  readonly #views: (Uint8Array | undefined)[] = [];

  /** Begins a message. What a message that was given up had written is dropped. */
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

  text(field: number, text: string): void {
    if (text !== '') this.item(field, text);
  }

  /** Of a repeated field or a oneof: there also where it is empty. */
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

  /** Whole fields, encoded before. */
  encoded(octets: Uint8Array): void {
    const { length } = octets;
    this.#room(length);
    if (length > FEW_OCTETS) this.#bytes.set(octets, this.#at);
    else for (let at = 0; at < length; at++) this.#bytes[this.#at + at] = octets[at] as number;
    this.#at += length;
  }

  /** The octets of an ASCII text alone, without tag and length. */
  ascii(text: string): void {
    const { length } = text;
    this.#room(length);
    for (let at = 0; at < length; at++) this.#bytes[this.#at + at] = text.charCodeAt(at);
    this.#at += length;
  }

  /** A message within that is written already. */
  message(field: number, octets: Uint8Array): void {
    this.#tag(field, LEN);
    this.#varint(octets.length);
    this.#room(octets.length);
    this.#bytes.set(octets, this.#at);
    this.#at += octets.length;
  }

  /** Begins a message within; what it returns is for {@link end}. */
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

  /** All that was written, in memory that is no longer the writer's, which begins anew. */
  finish(): Uint8Array {
    const message = this.#bytes.subarray(this.#from, this.#at);
    this.#from = this.#at;
    return message;
  }

  /** All that was written, lent: the next message is written over it. */
  lend(): Uint8Array {
    const length = this.#at - this.#from;
    if (this.#from > 0 || length > LONGEST_VIEW_KEPT) return this.#bytes.subarray(this.#from, this.#at);
    return (this.#views[length] ??= this.#bytes.subarray(0, length));
  }

  /** Written first, behind room for a length as that of ASCII is. */
  #longText(text: string): void {
    const { length } = text;
    this.#room(MOST_LENGTH_BYTES + 3 * length);
    const room = lengthBytes(length);
    const from = this.#at + room;
    const octets = this.#bytes.write(text, from);
    const needed = lengthBytes(octets);
    if (needed !== room) this.#bytes.copyWithin(this.#at + needed, from, from + octets);
    this.#varint(octets);
    this.#at += octets;
  }

  #tag(field: number, type: number): void {
    this.#varint((field << 3) | type);
  }

  /** Of what is not negative, up to 32 bits. */
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
