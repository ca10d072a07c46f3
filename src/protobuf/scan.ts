/**
 * The base of this folder, which reads and writes protobuf messages without knowing their types.
 *
 * Walks the fields of a message without decoding them (protobuf.dev/programming-guides/encoding).
 * **In**: the bytes of a message. **Out**: the ranges of its fields. **Fails**: with {@link Malformed} if it is not a message.
 */
import { Malformed } from './malformed.ts';

export const WireType = { VARINT: 0, I64: 1, LEN: 2, SGROUP: 3, EGROUP: 4, I32: 5 } as const;

/** Maximum depth of nested groups; no sender uses them. */
const MAX_DEPTH = 16;

const malformed = (what: string): Malformed => new Malformed(`the message is not valid protobuf: ${what}`);

/** A cursor over the fields of one message. {@link next} sets the field's range in `from` and `to` (LEN, VARINT), and `value` (VARINT). */
export class FieldScan {
  readonly bytes: Uint8Array;
  /** The position of the next field. */
  at: number;
  readonly #end: number;
  /** 0 at the end. */
  field = 0;
  type = 0;
  from = 0;
  to = 0;
  /** The low 32 bits of a varint, unsigned. */
  value = 0;

  constructor(bytes: Uint8Array, from: number, to: number) {
    this.bytes = bytes;
    this.at = from;
    this.#end = to;
  }

  /** The number of the next field; 0 at the end. */
  next(): number {
    const at = this.at;
    if (at >= this.#end) return 0;
    // The common form: a tag and a length of one byte each.
    if (at + 1 < this.#end) {
      const tag = this.bytes[at] as number;
      const to = at + 2 + (this.bytes[at + 1] as number);
      if (isPlain(tag) && to < at + 2 + 0x80 && to <= this.#end) {
        this.type = WireType.LEN;
        this.from = at + 2;
        this.at = this.to = to;
        return (this.field = tag >>> 3);
      }
    }
    return this.#any();
  }

  #any(): number {
    const tag = this.#varint32();
    this.field = tag >>> 3;
    this.type = tag & 7;
    if (this.field === 0) throw malformed('a field has the number 0');
    switch (this.type) {
      case WireType.VARINT:
        this.from = this.at;
        this.value = this.#varint();
        this.to = this.at;
        break;
      case WireType.LEN: {
        const length = this.#varint32();
        this.from = this.at;
        this.to = this.at + length;
        if (this.to > this.#end) throw malformed('a field ends after its message');
        this.at = this.to;
        break;
      }
      case WireType.I64:
        this.#skip(8);
        break;
      case WireType.I32:
        this.#skip(4);
        break;
      case WireType.SGROUP:
        this.#group(this.field, 0);
        break;
      default:
        throw malformed(`a field has the wire type ${this.type}`);
    }
    return this.field;
  }

  #skip(count: number): void {
    this.at += count;
    if (this.at > this.#end) throw malformed('a field ends after its message');
  }

  #group(field: number, depth: number): void {
    if (depth > MAX_DEPTH) throw malformed('groups are nested too deeply');
    for (;;) {
      if (this.at >= this.#end) throw malformed('a group does not end');
      const tag = this.#varint32();
      switch (tag & 7) {
        case WireType.VARINT:
          this.#varint();
          break;
        case WireType.LEN:
          this.#skip(this.#varint32());
          break;
        case WireType.I64:
          this.#skip(8);
          break;
        case WireType.I32:
          this.#skip(4);
          break;
        case WireType.SGROUP:
          this.#group(tag >>> 3, depth + 1);
          break;
        case WireType.EGROUP:
          if (tag >>> 3 !== field) throw malformed('the end of a group without its start');
          return;
        default:
          throw malformed('a field has an unknown wire type');
      }
    }
  }

  /** A tag or a length; more than 32 bits are an error, since other decoders would read another field or length from them. */
  #varint32(): number {
    const from = this.at;
    const value = this.#varint();
    for (let at = from + 4; at < this.at; at++) {
      if (((this.bytes[at] as number) & (at === from + 4 ? 0x70 : 0x7f)) !== 0)
        throw malformed('a tag or a length has more than 32 bits');
    }
    return value;
  }

  /** The low 32 bits, unsigned. */
  #varint(): number {
    const { bytes } = this;
    let byte = this.at < this.#end ? (bytes[this.at++] as number) : ENDS;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let shift = 7; shift < 70; shift += 7) {
      byte = this.at < this.#end ? (bytes[this.at++] as number) : ENDS;
      if (byte === ENDS) break;
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw malformed(byte === ENDS ? 'it ends inside a varint' : 'a varint has more than ten bytes');
  }
}

const ENDS = 0x100;

/** Whether a tag is of type LEN with a field number below 16, as nearly all are. */
export const isPlain = (tag: number): boolean => (tag & 0x87) === WireType.LEN && tag > 7;
/** The smallest length that takes more than two bytes; the first two bytes of longer lengths read as at least this. */
export const LONG = 0x4000;

/**
 * Records where the wanted fields of type LEN begin; {@link endOf} gives their ends. False: `once` is set, and a field occurs twice.
 * The same as {@link FieldScan} in one loop, since each call walks some thirty fields.
 */
export function locateFields(
  bytes: Uint8Array,
  from: number,
  to: number,
  wanted: Wanted,
  positions: number[],
): boolean {
  const { slotOf, once } = wanted;
  let end = 0;
  for (let at = from; at < to; at = end) {
    const tag = bytes[at] as number;
    let number = tag >>> 3;
    let begin = at + 2;
    let length = begin <= to ? (bytes[at + 1] as number) : LONG;
    if (length >= 0x80 && begin < to) length = (length & 0x7f) | ((bytes[begin++] as number) << 7);
    end = begin + length;
    if (!isPlain(tag) || length >= LONG || end > to) {
      const fields = new FieldScan(bytes, at, to);
      number = fields.next();
      begin = fields.from;
      end = fields.at;
      if (fields.type !== WireType.LEN) continue;
    }
    const slot = number < slotOf.length ? (slotOf[number] as number) : NO_SLOT;
    if (slot === NO_SLOT) continue;
    if (once && positions[slot] !== 0) return false;
    positions[slot] = begin;
  }
  return true;
}

/** The end of a field of type LEN, by its begin. The length precedes it, and before that the tag, whose last byte is below 0x80. */
export function endOf(bytes: Uint8Array, begin: number): number {
  let at = begin - 1;
  let length = bytes[at] as number;
  while ((bytes[at - 1] as number) >= 0x80) length = (length << 7) | ((bytes[--at] as number) & 0x7f);
  return begin + length;
}

const NO_SLOT = -1;

/** For {@link locateFields}: the slot of each field number below 16. */
export interface Wanted {
  readonly slotOf: Int8Array;
  readonly once: boolean;
}

export function wanted(slotByNumber: Readonly<Record<number, number>>, { once }: { readonly once: boolean }): Wanted {
  return { slotOf: Int8Array.from({ length: 16 }, (_, number) => slotByNumber[number] ?? NO_SLOT), once };
}

/** A varint with all its bits, up to 70; a type has 64 at most, so the reader drops the others. */
export function wideValue(bytes: Uint8Array, from: number, to: number): bigint {
  // Seven bytes are 49 bits, which a number holds exactly.
  if (to - from <= 7) {
    let value = 0;
    for (let at = to - 1; at >= from; at--) value = value * 128 + ((bytes[at] as number) & 0x7f);
    return BigInt(value);
  }
  let value = 0n;
  for (let at = to - 1; at >= from; at--) value = (value << 7n) | BigInt((bytes[at] as number) & 0x7f);
  return value;
}
