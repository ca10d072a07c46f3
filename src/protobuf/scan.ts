/**
 * Protobuf's wire format, walked without making anything of it (protobuf.dev/programming-guides/encoding).
 * **In**: octets of a message. **Out**: where its fields stand. **Fails**: with {@link Malformed} where they are no message.
 */
import { Malformed } from './malformed.ts';

export const WireType = { VARINT: 0, I64: 1, LEN: 2, SGROUP: 3, EGROUP: 4, I32: 5 } as const;

/** Groups within groups, at most. Nobody sends any. */
const MAX_DEPTH = 16;

const malformed = (what: string): Malformed => new Malformed(`the request is no protobuf message: ${what}`);

/** Walks the fields of one message: after {@link next} its place is in `from` and `to` (LEN, VARINT), its value in `value` (VARINT). */
export class FieldScan {
  readonly bytes: Uint8Array;
  /** Where the next field begins. */
  at: number;
  readonly #end: number;
  /** 0: no more. */
  field = 0;
  type = 0;
  from = 0;
  to = 0;
  /** Of a varint, the low 32 bits, unsigned. */
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
    // As nearly all stand there: their tag and their length in an octet each.
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
          if (tag >>> 3 !== field) throw malformed('a group ends that did not begin');
          return;
        default:
          throw malformed('a field has a wire type that is none');
      }
    }
  }

  /** A tag or a length: more than 32 bits are an error, since they would stand for another field or another place here than elsewhere. */
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
    let octet = this.at < this.#end ? (bytes[this.at++] as number) : ENDS;
    if (octet < 0x80) return octet;
    let value = octet & 0x7f;
    for (let shift = 7; shift < 70; shift += 7) {
      octet = this.at < this.#end ? (bytes[this.at++] as number) : ENDS;
      if (octet === ENDS) break;
      if (shift < 32) value |= (octet & 0x7f) << shift;
      if (octet < 0x80) return value >>> 0;
    }
    throw malformed(octet === ENDS ? 'it ends inside a number' : 'a number has more than ten octets');
  }
}

const ENDS = 0x100;

/** Of a field of type LEN whose number is below 16: nearly all are. */
export const isPlain = (tag: number): boolean => (tag & 0x87) === WireType.LEN && tag > 7;
/** A length that two octets do not say; what they make where a third one follows is not less. */
export const MANY = 0x4000;

/**
 * Notes where the fields of a message begin that are wanted: those of type LEN whose number `wanted` has a place for; where
 * they end tells {@link endOf}. Where `once` is true a place may be taken once, else the answer is false.
 * What {@link FieldScan} does, in one loop: each call goes over some thirty fields.
 */
export function noteFields(bytes: Uint8Array, from: number, to: number, wanted: Wanted, places: number[]): boolean {
  const { placeOf, once } = wanted;
  let end = 0;
  for (let at = from; at < to; at = end) {
    const tag = bytes[at] as number;
    let number = tag >>> 3;
    let begin = at + 2;
    let length = begin <= to ? (bytes[at + 1] as number) : MANY;
    if (length >= 0x80 && begin < to) length = (length & 0x7f) | ((bytes[begin++] as number) << 7);
    end = begin + length;
    if (!isPlain(tag) || length >= MANY || end > to) {
      const fields = new FieldScan(bytes, at, to);
      number = fields.next();
      begin = fields.from;
      end = fields.at;
      if (fields.type !== WireType.LEN) continue;
    }
    const place = number < placeOf.length ? (placeOf[number] as number) : NOWHERE;
    if (place === NOWHERE) continue;
    if (once && places[place] !== 0) return false;
    places[place] = begin;
  }
  return true;
}

/** Of a field of type LEN that begins there: its length stands before it, and before that the tag, whose last octet is below 0x80. */
export function endOf(bytes: Uint8Array, begin: number): number {
  let at = begin - 1;
  let length = bytes[at] as number;
  while ((bytes[at - 1] as number) >= 0x80) length = (length << 7) | ((bytes[--at] as number) & 0x7f);
  return begin + length;
}

const NOWHERE = -1;

/** For {@link noteFields}: places by field number, which is below 16. */
export interface Wanted {
  readonly placeOf: Int8Array;
  readonly once: boolean;
}

export function wanted(placeByNumber: Readonly<Record<number, number>>, { once }: { readonly once: boolean }): Wanted {
  return { placeOf: Int8Array.from({ length: 16 }, (_, number) => placeByNumber[number] ?? NOWHERE), once };
}

/** All the bits of a varint that stands there. */
export function wideValue(bytes: Uint8Array, from: number, to: number): bigint {
  // Seven octets are 49 bits, which a number has.
  if (to - from <= 7) {
    let value = 0;
    for (let at = to - 1; at >= from; at--) value = value * 128 + ((bytes[at] as number) & 0x7f);
    return BigInt(value);
  }
  let value = 0n;
  for (let at = to - 1; at >= from; at--) value = (value << 7n) | BigInt((bytes[at] as number) & 0x7f);
  return value;
}
