/**
 * Protobuf's wire format, walked without making anything of it (protobuf.dev/programming-guides/encoding).
 * **In**: octets of a message. **Out**: where its fields stand. **Fails**: with INVALID_ARGUMENT where they are no message.
 */
import { GrpcError, Status } from '../transport/transport.ts';

export const WireType = { VARINT: 0, I64: 1, LEN: 2, SGROUP: 3, EGROUP: 4, I32: 5 } as const;

/** Groups within groups, at most. Nobody sends any. */
const MAX_DEPTH = 16;

export const malformed = (what: string): GrpcError => new GrpcError(Status.INVALID_ARGUMENT, `the request is no protobuf message: ${what}`);

/** Walks the fields of one message: after {@link next} its place is in `from` and `to` (LEN, VARINT), its value in `value` (VARINT). */
export class FieldScan {
  readonly bytes: Uint8Array;
  #at: number;
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
    this.#at = from;
    this.#end = to;
  }

  /** The number of the next field; 0 at the end. */
  next(): number {
    if (this.#at >= this.#end) return 0;
    const tag = this.#varint();
    this.field = tag >>> 3;
    this.type = tag & 7;
    if (this.field === 0) throw malformed('a field has the number 0');
    switch (this.type) {
      case WireType.VARINT:
        this.from = this.#at;
        this.value = this.#varint();
        this.to = this.#at;
        break;
      case WireType.LEN: {
        const length = this.#varint();
        this.from = this.#at;
        this.to = this.#at + length;
        if (this.to > this.#end) throw malformed('a field ends after its message');
        this.#at = this.to;
        break;
      }
      case WireType.I64: this.#skip(8); break;
      case WireType.I32: this.#skip(4); break;
      case WireType.SGROUP: this.#group(this.field, 0); break;
      default: throw malformed(`a field has the wire type ${this.type}`);
    }
    return this.field;
  }

  #skip(count: number): void {
    this.#at += count;
    if (this.#at > this.#end) throw malformed('a field ends after its message');
  }

  #group(field: number, depth: number): void {
    if (depth > MAX_DEPTH) throw malformed('groups are nested too deeply');
    for (;;) {
      if (this.#at >= this.#end) throw malformed('a group does not end');
      const tag = this.#varint();
      switch (tag & 7) {
        case WireType.VARINT: this.#varint(); break;
        case WireType.LEN: this.#skip(this.#varint()); break;
        case WireType.I64: this.#skip(8); break;
        case WireType.I32: this.#skip(4); break;
        case WireType.SGROUP: this.#group(tag >>> 3, depth + 1); break;
        case WireType.EGROUP:
          if (tag >>> 3 !== field) throw malformed('a group ends that did not begin');
          return;
        default: throw malformed('a field has a wire type that is none');
      }
    }
  }

  #varint(): number {
    const { bytes } = this;
    let octet = this.#at < this.#end ? (bytes[this.#at++] as number) : ENDS;
    if (octet < 0x80) return octet;
    let value = octet & 0x7f;
    for (let shift = 7; shift < 70; shift += 7) {
      octet = this.#at < this.#end ? (bytes[this.#at++] as number) : ENDS;
      if (octet === ENDS) break;
      if (shift < 32) value |= (octet & 0x7f) << shift;
      if (octet < 0x80) return value >>> 0;
    }
    throw malformed(octet === ENDS ? 'it ends inside a number' : 'a number has more than ten octets');
  }
}

const ENDS = 0x100;

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
