/**
 * The Huffman code of HPACK (RFC 7541 appendix B), decoded four bits at a time.
 * **In**: encoded octets. **Out**: what they stand for. **Fails**: with -1: a code that is none, EOS, or padding that is not
 * the beginning of EOS or longer than seven bits.
 */

/** Length in bits of the code of each octet, and of EOS. The code is canonical: lengths are all there is to know. */
const CODE_BITS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const EOS = 256;

/** A packed transition: the state after four bits, the octet that they complete, whether they do, whether they may not be. */
const STATE = 0x1ff;
const SYMBOL_SHIFT = 9;
const EMITS = 1 << 17;
const FAILS = 1 << 18;

interface Automaton { readonly next: Uint32Array; /** Where the input may end. */ readonly accepts: Uint8Array }

const automaton = ((): Automaton => {
  // A node is a pair of children: a node's number, or ~symbol.
  const children: [number, number][] = [[0, 0]];
  const bySize = CODE_BITS.map((bits, symbol) => ({ bits, symbol })).toSorted((a, b) => a.bits - b.bits || a.symbol - b.symbol);
  let code = 0;
  let last = 0;
  for (const { bits, symbol } of bySize) {
    code = last === 0 ? 0 : (code + 1) * 2 ** (bits - last);
    last = bits;
    let node = 0;
    for (let at = bits - 1; at >= 0; at--) {
      const bit = (Math.floor(code / 2 ** at) & 1) as 0 | 1;
      const pair = children[node] as [number, number];
      if (at === 0) pair[bit] = ~symbol;
      else {
        if (pair[bit] === 0) pair[bit] = children.push([0, 0]) - 1;
        node = pair[bit];
      }
    }
  }
  const next = new Uint32Array(children.length * 16);
  for (let state = 0; state < children.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state;
      let packed = 0;
      for (let at = 3; at >= 0; at--) {
        const child = (children[node] as [number, number])[((nibble >> at) & 1) as 0 | 1];
        if (child >= 0) node = child;
        else {
          if (~child === EOS) packed |= FAILS;
          else packed |= EMITS | (~child << SYMBOL_SHIFT);
          node = 0;
        }
      }
      next[state * 16 + nibble] = packed | node;
    }
  }
  const accepts = new Uint8Array(children.length);
  for (let node = 0, bits = 0; bits < 8 && node >= 0; bits++) {
    accepts[node] = 1;
    node = (children[node] as [number, number])[1];
  }
  return { next, accepts };
})();

/** The most octets that so many encoded ones can stand for: the shortest code has five bits. */
export const mostDecoded = (encoded: number): number => Math.ceil(encoded * 8 / 5);

/** Writes to `out` from 0 on, which has room for {@link mostDecoded}; returns how many octets, or -1. */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number, out: Uint8Array): number {
  const { next, accepts } = automaton;
  let state = 0;
  let length = 0;
  for (let at = from; at < to; at++) {
    const octet = bytes[at] as number;
    let packed = next[state * 16 + (octet >> 4)] as number;
    if ((packed & EMITS) !== 0) out[length++] = packed >> SYMBOL_SHIFT;
    if ((packed & FAILS) !== 0) return -1;
    packed = next[(packed & STATE) * 16 + (octet & 15)] as number;
    if ((packed & EMITS) !== 0) out[length++] = packed >> SYMBOL_SHIFT;
    if ((packed & FAILS) !== 0) return -1;
    state = packed & STATE;
  }
  return accepts[state] === 1 ? length : -1;
}
