/** Many CIDR ranges as sorted intervals of addresses, found by binary search. */
import { sortedInSlices } from '../time/sorted-in-slices.ts';
import type { Turn } from '../time/turns.ts';
import { type Cidr, ipv4Number, parseIp } from './network.ts';

export class IpRanges {
  readonly #firsts: Float64Array;
  readonly #lasts: Float64Array;
  /** Addresses are strings of 16 characters of 0..255, which sort like the addresses. */
  readonly #ipv6: Intervals<string>;

  constructor(ranges: readonly Cidr[], { ipv4, ipv6 }: Bounds = sorted(boundsOf(ranges))) {
    const numbers = merged(ipv4);
    this.#firsts = Float64Array.from(numbers.firsts);
    this.#lasts = Float64Array.from(numbers.lasts);
    this.#ipv6 = merged(ipv6);
  }

  /** As the constructor, for any number of ranges. */
  static async inSlices(ranges: Iterable<Cidr>, turn: Turn): Promise<IpRanges> {
    const ipv4: Interval<number>[] = [];
    const ipv6: Interval<string>[] = [];
    for (const range of ranges) {
      addBounds(range, { ipv4, ipv6 });
      const wait = turn();
      if (wait !== undefined) await wait;
    }
    return new IpRanges([], {
      ipv4: await sortedInSlices(ipv4, byFirst, turn),
      ipv6: await sortedInSlices(ipv6, byFirst, turn),
    });
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

type Interval<T> = readonly [first: T, last: T];
interface Bounds {
  readonly ipv4: readonly Interval<number>[];
  readonly ipv6: readonly Interval<string>[];
}

function boundsOf(ranges: readonly Cidr[]): Bounds {
  const bounds: { ipv4: Interval<number>[]; ipv6: Interval<string>[] } = { ipv4: [], ipv6: [] };
  for (const range of ranges) addBounds(range, bounds);
  return bounds;
}

function addBounds(
  range: Cidr,
  { ipv4, ipv6 }: { readonly ipv4: Interval<number>[]; readonly ipv6: Interval<string>[] },
): void {
  const { address, prefixLength } = range;
  if (address.family === 4) {
    const size = 2 ** (32 - prefixLength);
    const first = Math.floor(numberOf(address.bytes) / size) * size;
    ipv4.push([first, first + size - 1]);
    return;
  }
  const first = range.masked().address.bytes;
  const last = first.map((byte, at) => byte | (0xff >> Math.min(8, Math.max(0, prefixLength - at * 8))));
  ipv6.push([textOf(first), textOf(last)]);
}

const numberOf = (bytes: Uint8Array): number => bytes.reduce((number, byte) => number * 256 + byte, 0);
const textOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

const byFirst = <T extends number | string>([a]: Interval<T>, [b]: Interval<T>): number => (a < b ? -1 : a > b ? 1 : 0);
const sorted = ({ ipv4, ipv6 }: Bounds): Bounds => ({ ipv4: ipv4.toSorted(byFirst), ipv6: ipv6.toSorted(byFirst) });

/** Without overlaps. */
function merged<T extends number | string>(intervals: readonly Interval<T>[]): Intervals<T> {
  const firsts: T[] = [];
  const lasts: T[] = [];
  for (const [first, last] of intervals) {
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
