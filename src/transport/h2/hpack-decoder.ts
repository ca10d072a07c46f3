/**
 * HPACK (RFC 7541), the receiving side.
 * **In**: whole header blocks of one connection, in order. **Out**: their fields. **Fails**: with COMPRESSION_ERROR, after
 * which the connection cannot go on: both sides would have different tables.
 */
import { ConnectionError, ErrorCode } from './frames.ts';
import { Field, FieldKind, kindOf } from './field.ts';
import { copyOf, KeptOctets } from './kept-octets.ts';
import { STATIC_TABLE } from './static-table.ts';

const octets = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const STATIC: readonly Field[] = STATIC_TABLE.map(
  ([name, value]) => new Field(name, kindOf(name), octets(value), 0, value.length, false),
);
/** What we let the peer's table hold: RFC 7541's default, which we leave as it is. */
export const TABLE_BYTES = 4096;

/** Names that stand in blocks as octets, again and again, where a client does not index them: so many are recognised. */
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
  /** The newest last; those before `#first` are gone. */
  #entries: Field[] = [];
  #first = 0;
  #size = 0;
  #limit = TABLE_BYTES;
  /** How often the table changed: the same octets mean the same fields while it stays. */
  epoch = 0;
  readonly #maxListBytes: number;
  readonly #kept = new KeptOctets();
  readonly #names: KnownName[] = [];
  #nextName = 0;
  /** After the one that was recognised last. */
  #nextKnown = 0;
  /** The text that was found last, as it stands in the block. */
  #isHuffman = false;
  #textFrom = 0;
  #textTo = 0;
  #block: Uint8Array = NOTHING;
  #at = 0;
  #end = 0;

  /** `maxListBytes`: of names, values and 32 for each field. */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes;
  }

  /** `undefined` where the list is larger than allowed: it was read to its end all the same, so the table is right. */
  decode(block: Uint8Array, from: number, to: number): Field[] | undefined {
    this.#block = block;
    this.#at = from;
    this.#end = to;
    const fields: Field[] = [];
    let listBytes = 0;
    let mayResize = true;
    while (this.#at < to) {
      const octet = block[this.#at] as number;
      if (octet >= 0x20 && octet < 0x40) {
        if (!mayResize) throw broken('resizes the table after its first field');
        this.#resize(this.#integer(5));
        continue;
      }
      mayResize = false;
      let field: Field;
      if (octet > 0x80 && octet < 0xff) {
        this.#at++;
        field = this.#indexed(octet & 0x7f);
      } else if (octet >= 0x80) field = this.#indexed(this.#integer(7));
      else if (octet >= 0x40) this.#insert((field = this.#literal(this.#integer(6))));
      else field = this.#literal(this.#integer(4));
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
    const entries = this.#entries;
    const at = entries.length - (index - STATIC.length);
    if (at < this.#first) throw broken(`has the index ${index}, which is not in the table`);
    return entries[at] as Field;
  }

  #literal(nameIndex: number): Field {
    const { name, kind } = nameIndex > 0 ? this.#indexed(nameIndex) : this.#name();
    this.#findText();
    return this.#field(name, kind);
  }

  /** With the text that was found last as its value. */
  #field(name: string, kind: FieldKind): Field {
    const kept = this.#kept;
    if (!this.#isHuffman) kept.copy(this.#block, this.#textFrom, this.#textTo);
    else if (!kept.decode(this.#block, this.#textFrom, this.#textTo))
      throw broken('has a string that is not Huffman code');
    return new Field(name, kind, kept.bytes, kept.from, kept.to, kept.hasLow);
  }

  #name(): Pick<Field, 'name' | 'kind'> {
    this.#findText();
    const block = this.#block;
    const from = this.#textFrom;
    const length = this.#textTo - from;
    const names = this.#names;
    // They mostly come in the same order.
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

  /** Prefixed integers (RFC 7541 section 5.1); those that nothing here can need are errors. */
  #integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1;
    let value = (this.#block[this.#at++] as number) & most;
    if (value < most) return value;
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= this.#end) throw broken('ends inside an integer');
      if (shift > 21) throw broken('has an integer of more than 28 bits');
      const octet = this.#block[this.#at++] as number;
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) return value;
    }
  }

  #findText(): void {
    if (this.#at >= this.#end) throw broken('ends before a string');
    this.#isHuffman = (this.#block[this.#at] as number) >= 0x80;
    const length = this.#integer(7);
    this.#textFrom = this.#at;
    this.#textTo = this.#at + length;
    if (this.#textTo > this.#end) throw broken('ends inside a string');
    this.#at = this.#textTo;
  }

  #insert(field: Field): void {
    this.epoch++;
    const { size } = field;
    this.#evict(this.#limit - size);
    if (size > this.#limit) return;
    this.#entries.push(field);
    this.#size += size;
  }

  #resize(limit: number): void {
    if (limit > TABLE_BYTES) throw broken(`resizes the table to ${limit} bytes, where ${TABLE_BYTES} are allowed`);
    this.epoch++;
    this.#limit = limit;
    this.#evict(limit);
  }

  #evict(room: number): void {
    while (this.#size > room && this.#first < this.#entries.length) {
      this.#size -= (this.#entries[this.#first] as Field).size;
      this.#first++;
    }
    if (this.#first < 256 || this.#first * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#first);
    this.#first = 0;
  }
}

const NOTHING = new Uint8Array(0);
