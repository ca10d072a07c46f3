/** Networks as sorted ranges, found by binary search. */
import { isIPv6 } from 'node:net';

/**
 * An address as a string that sorts like the address, independent of its spelling: four characters of 0..255 for IPv4, eight of 16 bits
 * for IPv6. An IPv4-mapped IPv6 address is IPv4. `undefined` for anything else.
 */
export function sortableAddress(text: string): string | undefined {
  if (!text.includes(':')) return sortableIpv4(text);
  if (!isIPv6(text) || text.includes('%')) return undefined; // a zone has a meaning on one machine only
  const groups = groupsOf(text);
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (!isMapped) return String.fromCharCode(...groups);
  const [high = 0, low = 0] = groups.slice(6);
  return String.fromCharCode(high >> 8, high & 0xff, low >> 8, low & 0xff);
}

function sortableIpv4(text: string): string | undefined {
  const address = ipv4Number(text);
  return address === undefined
    ? undefined
    : String.fromCharCode(address >>> 24, (address >>> 16) & 0xff, (address >>> 8) & 0xff, address & 0xff);
}

/** Reads digit by digit, since each call has an address and splitting the text would take several times as long. */
function ipv4Number(text: string): number | undefined {
  let address = 0;
  let parts = 0;
  let value = -1;
  for (let at = 0; at <= text.length; at++) {
    const code = at === text.length ? DOT : text.charCodeAt(at);
    if (code === DOT) {
      if (value < 0 || parts === 4) return undefined;
      address = address * 256 + value;
      parts++;
      value = -1;
      continue;
    }
    const digit = code - 0x30;
    if (digit < 0 || digit > 9 || value === 0) return undefined; // some parsers read a leading zero as octal
    value = value < 0 ? digit : value * 10 + digit;
    if (value > 255) return undefined;
  }
  return parts === 4 ? address : undefined;
}

const DOT = 0x2e;

/** The eight groups of a valid IPv6 address. */
function groupsOf(text: string): number[] {
  const dotted = /[\d.]+$/.exec(text)?.[0] ?? '';
  const plain = dotted.includes('.')
    ? text.slice(0, -dotted.length) +
      dotted
        .split('.')
        .map(Number)
        .reduce((hex, byte, at) => `${hex}${at === 2 ? ':' : ''}${byte.toString(16).padStart(2, '0')}`, '')
    : text;
  const [head = '', tail] = plain.split('::');
  const parse = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  if (tail === undefined) return parse(head);
  const [before, after] = [parse(head), parse(tail)];
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}

export interface Range {
  readonly first: string;
  readonly last: string;
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. Throws with what is wrong. */
export function parseNetwork(text: string): Range {
  const [address = '', length, ...more] = text.split('/');
  const sortable = sortableAddress(address);
  if (sortable === undefined || more.length > 0)
    throw new Error(`"${text}" is not a network; expected an address or one like 10.0.0.0/8 or fd00::/8`);
  if (length === undefined) return { first: sortable, last: sortable };
  const isMapped = sortable.length === 4 && address.includes(':');
  const bitsPerPart = sortable.length === 4 ? 8 : 16;
  const most = sortable.length * bitsPerPart;
  const bits = /^\d{1,3}$/.test(length) ? Number(length) - (isMapped ? 96 : 0) : -1;
  if (bits < 0 || bits > most)
    throw new Error(
      `"${text}" is not a network; expected a prefix length of ${isMapped ? '96 to 128' : `0 to ${most}`} after the slash`,
    );
  let first = '';
  let last = '';
  for (let part = 0; part < sortable.length; part++) {
    const kept = Math.min(bitsPerPart, Math.max(0, bits - part * bitsPerPart));
    const hostMask = (1 << (bitsPerPart - kept)) - 1;
    const value = sortable.charCodeAt(part);
    first += String.fromCharCode(value & ~hostMask);
    last += String.fromCharCode(value | hostMask);
  }
  return { first, last };
}

/** Whether an address (from {@link sortableAddress}) lies in one of the networks. */
export function rangesOf(networks: readonly Range[]): (address: string) => boolean {
  const families = [4, 8].map((length) => merged(networks.filter(({ first }) => first.length === length)));
  return (address) => {
    const ranges = families[address.length === 4 ? 0 : 1] ?? [];
    let low = 0;
    let high = ranges.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const { first, last } = ranges[middle] as Range;
      if (address < first) high = middle - 1;
      else if (address > last) low = middle + 1;
      else return true;
    }
    return false;
  };
}

/** Whether an address lies in one of the networks; `undefined` where the text is no address. */
export function networksOf(networks: readonly Range[]): (text: string) => boolean | undefined {
  const contains = rangesOf(networks);
  // IPv4 addresses are compared as numbers; making and comparing sortable texts takes several times as long.
  const ranges = merged(networks.filter(({ first }) => first.length === 4));
  const firsts = ranges.map(({ first }) => numberOf(first));
  const lasts = ranges.map(({ last }) => numberOf(last));
  return (text) => {
    const address = ipv4Number(text);
    if (address === undefined) {
      const sortable = sortableAddress(text);
      return sortable === undefined ? undefined : contains(sortable);
    }
    let low = 0;
    let high = firsts.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (address < (firsts[middle] as number)) high = middle - 1;
      else if (address > (lasts[middle] as number)) low = middle + 1;
      else return true;
    }
    return false;
  };
}

/** An IPv4 address in the form of {@link sortableAddress} as a number. */
function numberOf(sortable: string): number {
  let number = 0;
  for (let at = 0; at < sortable.length; at++) number = number * 256 + sortable.charCodeAt(at);
  return number;
}

/** Sorted and disjoint. */
function merged(ranges: readonly Range[]): Range[] {
  const result: { first: string; last: string }[] = [];
  for (const { first, last } of ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const before = result.at(-1);
    if (before === undefined || first > before.last) result.push({ first, last });
    else if (last > before.last) before.last = last;
  }
  return result;
}
