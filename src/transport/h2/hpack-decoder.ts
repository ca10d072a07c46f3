/**
 * The decoder of HPACK (RFC 7541).
 * **In**: whole header blocks of one connection, in order. **Out**: their fields. **Fails**: with COMPRESSION_ERROR, which
 * ends the connection, since the tables of both sides would differ.
 */
import { ConnectionError, ErrorCode } from './frames.ts';
import { Field, FieldKind, kindOf } from './field.ts';
import { copyOf, ByteArena } from './byte-arena.ts';
import { DynamicTable, TABLE_BYTES } from './dynamic-table.ts';
import { STATIC_TABLE } from './static-table.ts';

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const STATIC: readonly Field[] = STATIC_TABLE.map(
  ([name, value]) => new Field(name, kindOf(name), bytesOf(value), 0, value.length, false),
);
/** Of all connections, so that its buffers live shortly: fields outlive their block only while their request is served. */
const ARENA = new ByteArena();

/** Number of literal names cached by their encoding; a client that does not index a name repeats it in each block. */
const KNOWN_NAMES = 32;
const LONGEST_KNOWN_NAME = 64;
interface KnownName {
  readonly encoded: Uint8Array;
  readonly isHuffman: boolean;
  readonly name: string;
  readonly kind: FieldKind;
}

const broken = (what: string): ConnectionError =>
  new ConnectionError(ErrorCode.COMPRESSION_ERROR, `a header block ${what}`);

export class HpackDecoder {
  readonly #table = new DynamicTable();
  /** Counts changes of the table; while it does not change, equal blocks mean equal fields. */
  epoch = 0;
  readonly #maxListBytes: number;
  readonly #names: KnownName[] = [];
  #nextName = 0;
  /** The index after the cached name that was found last. */
  #nextKnown = 0;
  /** The string that was read last: its encoding and its range in the block. */
  #isHuffman = false;
  #stringFrom = 0;
  #stringTo = 0;
  #block: Uint8Array = NOTHING;
  #at = 0;
  #end = 0;

  /** `maxListBytes`: the sum of names, values and 32 bytes per field. */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes;
  }

  /** `undefined` if the list is larger than allowed; it is still decoded to its end, to keep the table in sync. */
  decode(block: Uint8Array, from: number, to: number): Field[] | undefined {
    this.#block = block;
    this.#at = from;
    this.#end = to;
    const fields: Field[] = [];
    let listBytes = 0;
    let mayResize = true;
    while (this.#at < to) {
      const first = block[this.#at] as number;
      if (first >= 0x20 && first < 0x40) {
        if (!mayResize) throw broken('resizes the table after its first field');
        this.#resize(this.#integer(5));
        continue;
      }
      mayResize = false;
      let field: Field;
      if (first > 0x80 && first < 0xff) {
        this.#at++;
        field = this.#indexed(first & 0x7f);
      } else if (first >= 0x80) field = this.#indexed(this.#integer(7));
      else if (first >= 0x40) {
        field = this.#literal(this.#integer(6));
        this.#insert(field);
      } else field = this.#literal(this.#integer(4));
      listBytes += field.size;
      if (listBytes <= this.#maxListBytes) fields.push(field);
    }
    this.#block = NOTHING;
    return listBytes <= this.#maxListBytes ? fields : undefined;
  }

  #indexed(index: number): Field {
    if (index <= STATIC.length) {
      const field = STATIC[index - 1];
      if (field === undefined) throw broken('has the index 0');
      return field;
    }
    const field = this.#table.at(index - STATIC.length);
    if (field === undefined) throw broken(`has the index ${index}, which is not in the table`);
    return field;
  }

  #literal(nameIndex: number): Field {
    const { name, kind } = nameIndex > 0 ? this.#indexed(nameIndex) : this.#name();
    this.#readString();
    return this.#field(name, kind);
  }

  /** Its value is the string that was read last. */
  #field(name: string, kind: FieldKind): Field {
    const arena = ARENA;
    if (!this.#isHuffman) arena.copy(this.#block, this.#stringFrom, this.#stringTo);
    else if (!arena.decode(this.#block, this.#stringFrom, this.#stringTo))
      throw broken('has a string that is not Huffman code');
    return new Field(name, kind, arena.bytes, arena.from, arena.to, arena.hasLow);
  }

  #name(): Pick<Field, 'name' | 'kind'> {
    this.#readString();
    const block = this.#block;
    const from = this.#stringFrom;
    const length = this.#stringTo - from;
    const names = this.#names;
    // Blocks mostly repeat names in the same order.
    let index = this.#nextKnown;
    for (let looked = 0; looked < names.length; looked++) {
      if (index >= names.length) index = 0;
      const known = names[index++] as KnownName;
      const { encoded } = known;
      if (encoded.length !== length || known.isHuffman !== this.#isHuffman) continue;
      let at = 0;
      while (at < length && encoded[at] === block[from + at]) at++;
      if (at < length) continue;
      this.#nextKnown = index;
      return known;
    }
    const name = this.#field('', FieldKind.OTHER).value;
    const known = { name, kind: kindOf(name), encoded: copyOf(block, from, from + length), isHuffman: this.#isHuffman };
    if (length <= LONGEST_KNOWN_NAME) {
      this.#names[this.#nextName] = known;
      this.#nextName = (this.#nextName + 1) % KNOWN_NAMES;
    }
    return known;
  }

  /** A prefixed integer (RFC 7541 section 5.1); integers larger than any field needs are errors. */
  #integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1;
    let value = (this.#block[this.#at++] as number) & most;
    if (value < most) return value;
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= this.#end) throw broken('ends inside an integer');
      if (shift > 21) throw broken('has an integer of more than 28 bits');
      const byte = this.#block[this.#at++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  #readString(): void {
    if (this.#at >= this.#end) throw broken('ends before a string');
    this.#isHuffman = (this.#block[this.#at] as number) >= 0x80;
    const length = this.#integer(7);
    this.#stringFrom = this.#at;
    this.#stringTo = this.#at + length;
    if (this.#stringTo > this.#end) throw broken('ends inside a string');
    this.#at = this.#stringTo;
  }

  /** Its value is the string that was read last. */
  #insert({ name, kind }: Field): void {
    this.epoch++;
    this.#table.insert(name, kind, ARENA.bytes, ARENA.from, ARENA.to, ARENA.hasLow);
  }

  #resize(limit: number): void {
    if (limit > TABLE_BYTES) throw broken(`resizes the table to ${limit} bytes; at most ${TABLE_BYTES} are allowed`);
    this.epoch++;
    this.#table.resize(limit);
  }
}

const NOTHING = new Uint8Array(0);
