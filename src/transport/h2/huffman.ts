/**
 * The Huffman code of HPACK (RFC 7541 appendix B), decoded twelve bits at a time: the characters of tracing headers have codes of five
 * and six bits, so a step mostly yields two bytes.
 * **In**: encoded bytes. **Out**: decoded bytes. **Fails**: with -1 at an unknown code, EOS, or padding that is not a prefix of EOS or is
 * longer than seven bits.
 */

/** The length in bits of the code of each byte, and of EOS. The code is canonical, so the lengths define it. */
const CODE_BITS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];
const EOS = 256;

const LONGEST_BITS = 30;
const TWO_BITS_SHIFT = 16;
const COUNT_SHIFT = 24;

/** Codes from the shortest to the longest; each is the next number of its length. */
export interface Code {
  readonly symbol: number;
  readonly bits: number;
  readonly code: number;
}

export const CODES: readonly Code[] = ((): Code[] => {
  let code = -1;
  let last = 0;
  return CODE_BITS.map((bits, symbol) => ({ bits, symbol }))
    .toSorted((a, b) => a.bits - b.bits || a.symbol - b.symbol)
    .map(({ bits, symbol }) => {
      code = (code + 1) * 2 ** (bits - last);
      last = bits;
      return { symbol, bits, code };
    });
})();

const STEP_BITS = 12;
const STEP = (1 << STEP_BITS) - 1;
/** By the next twelve bits: the byte whose code they begin with, and the length of that code; 0 if the code is longer. */
const ONE = new Uint16Array(STEP + 1);
const BITS_SHIFT = 8;
for (const { symbol, bits, code } of CODES) {
  if (bits > STEP_BITS) continue;
  const spare = STEP_BITS - bits;
  ONE.fill(symbol | (bits << BITS_SHIFT), code << spare, (code + 1) << spare);
}
/** By the next twelve bits: up to two bytes whose codes they contain entirely, the bits of both, and the number of bytes. */
const TWO = Uint32Array.from(ONE, (one, bits) => {
  const length = one >> BITS_SHIFT;
  const other = ONE[(bits << length) & STEP] as number;
  const both = length + (other >> BITS_SHIFT);
  if (one === 0 || other === 0 || both > STEP_BITS)
    return (one & 0xff) | (length << TWO_BITS_SHIFT) | ((one === 0 ? 0 : 1) << COUNT_SHIFT);
  return (one & 0xff) | ((other & 0xff) << BITS_SHIFT) | (both << TWO_BITS_SHIFT) | (2 << COUNT_SHIFT);
});

/** For longer codes, by length: a bound on the left-aligned codes, and how to find a code in {@link CODES}. */
const LIMIT = new Float64Array(LONGEST_BITS + 1);
const OFFSET = new Float64Array(LONGEST_BITS + 1);
for (const [index, { bits, code }] of CODES.entries()) {
  LIMIT[bits] = (code + 1) * 2 ** (LONGEST_BITS - bits);
  OFFSET[bits] = index - code;
}
for (let bits = STEP_BITS + 1; bits <= LONGEST_BITS; bits++) LIMIT[bits] ||= LIMIT[bits - 1] as number;

/** Bytes that decoding may write: the shortest code has five bits, and two bytes are written at a time. */
export const mostDecoded = (encoded: number): number => Math.ceil((encoded * 8) / 5) + 1;

/** Whether the last decoded string has bytes with long codes, which are rare in text; bytes below 0x0e are among them. */
export let hadLongCodes = false;

/** Writes to `out`, which has room for {@link mostDecoded} from `outFrom` on; returns where that ends, or -1. */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number, out: Uint8Array, outFrom: number): number {
  let at = from;
  let end = outFrom;
  /** The lowest `bits` bits of `read` are not decoded yet. */
  let read = 0;
  let bits = 0;
  hadLongCodes = false;
  for (;;) {
    if (bits < STEP_BITS) {
      for (; bits <= 24 && at < to; bits += 8) read = (read << 8) | (bytes[at++] as number);
      if (bits < STEP_BITS) break;
    }
    const two = TWO[(read >>> (bits - STEP_BITS)) & STEP] as number;
    const count = two >>> COUNT_SHIFT;
    if (count > 0) {
      out[end] = two;
      out[end + 1] = two >> BITS_SHIFT; // if there is only one, the next byte overwrites it
      end += count;
      bits -= (two >> TWO_BITS_SHIFT) & 0xff;
      continue;
    }
    hadLongCodes = true;
    const begin = at * 8 - bits;
    const long = longCode(bytes, begin, to * 8);
    if (long < 0) return -1;
    out[end++] = long;
    at = (begin + longBits) >> 3;
    bits = 0;
    const rest = (begin + longBits) & 7;
    if (rest === 0) continue;
    read = bytes[at++] as number;
    bits = 8 - rest;
  }
  // The rest is filled with ones, as padding is.
  for (;;) {
    const one = ONE[((read << (STEP_BITS - bits)) | (STEP >> bits)) & STEP] as number;
    const length = one >> BITS_SHIFT;
    if (one === 0 || length > bits) break;
    out[end++] = one;
    bits -= length;
  }
  const padding = (1 << bits) - 1;
  return bits < 8 && (read & padding) === padding ? end : -1;
}

/** The length of the code that {@link longCode} found. */
let longBits = 0;

/** Decodes a code that begins at this bit and is longer than a step; -1 if there is none. */
function longCode(bytes: Uint8Array, begin: number, end: number): number {
  const at = begin >> 3;
  let window = 0;
  for (let next = at; next < at + 5; next++) window = window * 256 + (next * 8 < end ? (bytes[next] as number) : 0);
  window = Math.floor(window / 2 ** (40 - LONGEST_BITS - (begin & 7))) % 2 ** LONGEST_BITS;
  for (longBits = STEP_BITS + 1; window >= (LIMIT[longBits] as number);) longBits++;
  if (begin + longBits > end) return -1;
  const { symbol } = CODES[(OFFSET[longBits] as number) + Math.floor(window / 2 ** (LONGEST_BITS - longBits))] as Code;
  return symbol === EOS ? -1 : symbol;
}
