/** Many CIDR ranges as sorted intervals of addresses, found by binary search. */
import { type Cidr, ipv4Number, parseIp } from './network.ts';

export class IpRanges {
  readonly #firsts: Float64Array;
  readonly #lasts: Float64Array;
  /** Addresses are strings of 16 characters of 0..255, which sort like the addresses. */
  readonly #ipv6: Intervals<string>;

  constructor(ranges: readonly Cidr[]) {
    const [ipv4, ipv6] = [4, 6].map((family) =>
      ranges.filter(({ address }) => address.family === family).map(boundsOf),
    );
    const numbers = merged((ipv4 ?? []).map(([first, last]) => [numberOf(first), numberOf(last)]));
    this.#firsts = Float64Array.from(numbers.firsts);
    this.#lasts = Float64Array.from(numbers.lasts);
    this.#ipv6 = merged((ipv6 ?? []).map(([first, last]) => [textOf(first), textOf(last)]));
  }

  /**
   * Whether the address lies in one of the ranges; `undefined` for text that is not an address. An IPv4 address is compared
   * as a number, since most calls have one and making an `Ip` takes longer than the search.
   */
  has(address: string): boolean | undefined {
    const number = ipv4Number(address);
    if (number !== undefined) return this.#hasIpv4(number);
    const ip = parseIp(address);
    if (ip === undefined) return undefined;
    return ip.family === 4 ? this.#hasIpv4(numberOf(ip.bytes)) : isWithin(this.#ipv6, textOf(ip.bytes));
  }

  #hasIpv4(address: number): boolean {
    const firsts = this.#firsts;
    const lasts = this.#lasts;
    let low = 0;
    let high = firsts.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (address < (firsts[middle] as number)) high = middle - 1;
      else if (address > (lasts[middle] as number)) low = middle + 1;
      else return true;
    }
    return false;
  }
}

interface Intervals<T> {
  readonly firsts: readonly T[];
  readonly lasts: readonly T[];
}

/** The first and the last address. */
function boundsOf(range: Cidr): readonly [Uint8Array, Uint8Array] {
  const first = range.masked().address.bytes;
  const last = first.map((byte, at) => byte | (0xff >> Math.min(8, Math.max(0, range.prefixLength - at * 8))));
  return [first, last];
}

const numberOf = (bytes: Uint8Array): number => bytes.reduce((number, byte) => number * 256 + byte, 0);
const textOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Sorted, without overlaps. */
function merged<T extends number | string>(intervals: readonly (readonly [T, T])[]): Intervals<T> {
  const firsts: T[] = [];
  const lasts: T[] = [];
  for (const [first, last] of intervals.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    const before = lasts.at(-1);
    if (before === undefined || first > before) {
      firsts.push(first);
      lasts.push(last);
    } else if (last > before) lasts[lasts.length - 1] = last;
  }
  return { firsts, lasts };
}

function isWithin({ firsts, lasts }: Intervals<string>, address: string): boolean {
  let low = 0;
  let high = firsts.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (address < (firsts[middle] as string)) high = middle - 1;
    else if (address > (lasts[middle] as string)) low = middle + 1;
    else return true;
  }
  return false;
}
