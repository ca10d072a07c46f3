/** An encoder of HPACK (RFC 7541) that chooses at random among the representations of a field, with a table of its own. */
import type { Random } from '../../parts/random.ts';
import { STATIC_TABLE } from '../../../src/transport/h2/static-table.ts';
import { CODES } from '../../../src/transport/h2/huffman.ts';

type Entry = readonly [name: string, value: string];

/** Bits of the prefix, and the pattern before it (RFC 7541 section 6.2): with indexing, without, and never indexed. */
const WITH_INDEXING = [[6, 0x40]] as const;
const WITHOUT_INDEXING = [[4, 0x00]] as const;
const REPRESENTATIONS = [...WITH_INDEXING, ...WITH_INDEXING, ...WITHOUT_INDEXING, [4, 0x10]] as const;
const MAX_TABLE_BYTES = 4096;
const sizeOf = ([name, value]: Entry): number => name.length + value.length + 32;
const BITS = new Map(CODES.map(({ symbol, bits, code }) => [symbol, code.toString(2).padStart(bits, '0')]));

export class TestEncoder {
  readonly #random: Random;
  /** Always takes the shortest form, as most clients do. */
  readonly #isUsual: boolean;
  /** Only this name enters the table, so that an equal block comes again with another meaning. */
  readonly #indexed: string | undefined;
  /** Newest first. */
  #table: Entry[] = [];
  #limit = MAX_TABLE_BYTES;

  constructor(random: Random) {
    this.#random = random;
    this.#isUsual = random.chance(2);
    this.#indexed = this.#isUsual && random.chance(2) ? 'x-echo' : undefined;
  }

  block(fields: readonly Entry[]): Buffer {
    const random = this.#random;
    const encoded: number[] = [];
    // Several updates may stand at the start of a block, the smallest of them and the last one.
    if (random.chance(8))
      for (const limit of random.list([1, 2], () => random.one([0, 40, 200, 1000, MAX_TABLE_BYTES]))) {
        this.#limit = limit;
        this.#evict(limit);
        encoded.push(...integer(limit, 5, 0x20));
      }
    for (const field of fields) encoded.push(...this.#field(field));
    return Buffer.from(encoded);
  }

  #field(field: Entry): number[] {
    const random = this.#random;
    const all: readonly Entry[] = [...STATIC_TABLE, ...this.#table];
    const whole = all.findIndex(([name, value]) => name === field[0] && value === field[1]);
    if (whole >= 0 && (this.#isUsual || !random.chance(4))) return integer(whole + 1, 7, 0x80);
    const named = all.map(([name], at) => (name === field[0] ? at + 1 : 0)).filter((index) => index > 0);
    const index = named.length > 0 && (this.#isUsual || !random.chance(3)) ? random.one(named) : 0;
    const [bits, pattern] = random.one(this.#representations(field[0]));
    const encoded = [
      ...integer(index, bits, pattern),
      ...(index === 0 ? this.#text(field[0]) : []),
      ...this.#text(field[1]),
    ];
    if (bits === 6) {
      this.#evict(this.#limit - sizeOf(field));
      if (sizeOf(field) <= this.#limit) this.#table = [field, ...this.#table];
    }
    return encoded;
  }

  #representations(name: string): readonly (readonly [bits: number, pattern: number])[] {
    if (!this.#isUsual) return REPRESENTATIONS;
    return this.#indexed === undefined || this.#indexed === name ? WITH_INDEXING : WITHOUT_INDEXING;
  }

  #text(text: string): number[] {
    const bytes = [...Buffer.from(text, 'latin1')];
    if (this.#isUsual || this.#random.chance(2)) return [...integer(bytes.length, 7, 0), ...bytes];
    const bits = bytes.map((byte) => BITS.get(byte)).join('');
    const whole = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
    const huffman = Array.from({ length: whole.length / 8 }, (_, at) =>
      Number.parseInt(whole.slice(at * 8, at * 8 + 8), 2),
    );
    return [...integer(huffman.length, 7, 0x80), ...huffman];
  }

  #evict(room: number): void {
    let size = this.#table.reduce((sum, entry) => sum + sizeOf(entry), 0);
    while (size > room && this.#table.length > 0) size -= sizeOf(this.#table.pop() as Entry);
  }
}

/** RFC 7541 section 5.1. */
function integer(value: number, prefixBits: number, pattern: number): number[] {
  const most = (1 << prefixBits) - 1;
  if (value < most) return [pattern | value];
  const encoded = [pattern | most];
  let rest = value - most;
  for (; rest >= 0x80; rest >>= 7) encoded.push((rest & 0x7f) | 0x80);
  return [...encoded, rest];
}
