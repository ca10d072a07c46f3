/** Writing and reading the few protobuf messages of OTLP. */

/** A length that is not known yet takes this many octets: a padded varint, up to 256 MiB. */
const LENGTH_BYTES = 4;
const FIRST_BYTES = 16 * 1024;
/** Octets; shorter values are copied in a loop. Their length takes one octet. */
const SHORT = 64;

/** Messages are written in one pass; nested ones between `begin` and `end`. */
export class WireWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #at = 0;

  get length(): number {
    return this.#at;
  }

  /** What was written, as a view that the next `clear` allows to be overwritten. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  clear(): void {
    this.#at = 0;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }

  #tag(field: number, type: 0 | 1 | 2 | 5): void {
    this.#varint(field * 8 + type);
  }

  /** Not negative, within 2^53. */
  #varint(value: number): void {
    this.#room(10);
    let left = value;
    while (left > 127) {
      this.#bytes[this.#at++] = (left % 128) | 128;
      left = Math.floor(left / 128);
    }
    this.#bytes[this.#at++] = left;
  }

  uint(field: number, value: number): void {
    this.#tag(field, 0);
    this.#varint(value);
  }

  /** int64; negative ones take ten octets. */
  int(field: number, value: number): void {
    this.#tag(field, 0);
    if (value >= 0) return this.#varint(value);
    this.#room(10);
    let left = BigInt.asUintN(64, BigInt(value));
    for (; left > 127n; left >>= 7n) this.#bytes[this.#at++] = Number(left & 127n) | 128;
    this.#bytes[this.#at++] = Number(left);
  }

  double(field: number, value: number): void {
    this.#tag(field, 1);
    this.#room(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  fixed64(field: number, value: bigint): void {
    this.#tag(field, 1);
    this.#room(8);
    this.#at = this.#bytes.writeBigUInt64LE(value, this.#at);
  }

  /** Milliseconds since 1970, as nanoseconds. */
  time(field: number, ms: number): void {
    this.fixed64(field, BigInt(Math.round(Math.max(0, ms) * 1000)) * 1000n);
  }

  fixed32(field: number, value: number): void {
    this.#tag(field, 5);
    this.#room(4);
    this.#at = this.#bytes.writeUInt32LE(value, this.#at);
  }

  text(field: number, value: string): void {
    if (value.length < SHORT && this.#ascii(field, value)) return;
    const open = this.begin(field);
    this.#room(value.length * 3);
    this.#at += this.#bytes.write(value, this.#at, 'utf8');
    this.end(open);
  }

  /** For short texts a loop is faster than the call of `Buffer.write`. False, with nothing written, if a character is not ASCII. */
  #ascii(field: number, value: string): boolean {
    const { length } = value;
    const from = this.#at;
    this.#tag(field, 2);
    this.#room(length + 1);
    const bytes = this.#bytes;
    let at = this.#at;
    bytes[at++] = length;
    for (let nth = 0; nth < length; nth++) {
      const code = value.charCodeAt(nth);
      if (code > 127) {
        this.#at = from;
        return false;
      }
      bytes[at++] = code;
    }
    this.#at = at;
    return true;
  }

  bytes(field: number, value: Uint8Array): void {
    this.#tag(field, 2);
    this.#varint(value.length);
    this.raw(value);
  }

  /** Encoded fields. */
  raw(value: Uint8Array): void {
    const { length } = value;
    this.#room(length);
    if (length < SHORT) {
      const bytes = this.#bytes;
      let at = this.#at;
      for (let nth = 0; nth < length; nth++) bytes[at++] = value[nth] as number;
    } else this.#bytes.set(value, this.#at);
    this.#at += length;
  }

  begin(field: number): number {
    this.#tag(field, 2);
    this.#room(LENGTH_BYTES);
    this.#at += LENGTH_BYTES;
    return this.#at;
  }

  end(open: number): void {
    let length = this.#at - open;
    for (let at = open - LENGTH_BYTES; at < open; at++) {
      this.#bytes[at] = (length & 127) | (at < open - 1 ? 128 : 0);
      length >>>= 7;
    }
  }
}

export interface ReadField {
  readonly field: number;
  /** Of a varint. */
  readonly value: bigint;
  /** Of a length-delimited field; empty otherwise. */
  readonly bytes: Buffer;
}

/** The fields of a message. Throws a RangeError if it is malformed. */
export function* fieldsOf(message: Buffer): Generator<ReadField> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const octet = message[at++];
      if (octet === undefined) throw new RangeError('the message ends inside of a number');
      value |= BigInt(octet & 127) << shift;
      if (octet < 128) return BigInt.asIntN(64, value);
    }
    throw new RangeError('a number has more than ten octets');
  };
  const taken = (length: number): Buffer => {
    if (length > message.length - at) throw new RangeError('the message ends inside of a field');
    return message.subarray(at, (at += length));
  };
  while (at < message.length) {
    const tag = Number(varint());
    const field = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield { field, value: varint(), bytes: Buffer.alloc(0) };
        break;
      case 1:
        taken(8);
        break;
      case 2: {
        const length = Number(varint());
        if (length < 0) throw new RangeError('a field has a negative length');
        yield { field, value: 0n, bytes: taken(length) };
        break;
      }
      case 5:
        taken(4);
        break;
      default:
        throw new RangeError(`a field has the wire type ${tag % 8}`);
    }
  }
}
