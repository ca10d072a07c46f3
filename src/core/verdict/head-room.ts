/** Room for headers, parameters and metadata in one answer: {@link MAX_HEADERS}, and {@link MAX_HEAD} octets of names and values. */
import { MAX_HEAD, MAX_HEADERS } from '../text-bounds.ts';

export type Pair = readonly [name: string, value: string];

/** Whether there is room for all. */
export const fit = (pairs: readonly Pair[]): boolean =>
  (pairs.length <= MAX_HEADERS && mostOctets(pairs) <= MAX_HEAD) || thatFit(pairs).size === pairs.length;

/** At least the octets of all, without counting them: a unit of UTF-16 has at most three. */
export function mostOctets(pairs: readonly Pair[]): number {
  let most = 0;
  for (let at = 0; at < pairs.length; at++) {
    const [name, value] = pairs[at] as Pair;
    most += 3 * (name.length + value.length);
  }
  return most;
}

/**
 * Those that there is room for, of one list after the other. Of each the shortest come first: a client may choose how long some are, and
 * must not displace others by them.
 */
export function thatFit(...lists: readonly (readonly Pair[])[]): ReadonlySet<Pair> {
  const fitting = new Set<Pair>();
  let room = MAX_HEAD;
  for (const pairs of lists) {
    const sized = pairs.map((pair) => ({ pair, octets: octetsOf(pair) }));
    for (const { pair, octets } of sized.toSorted((a, b) => a.octets - b.octets)) {
      if (octets > room || fitting.size === MAX_HEADERS) break;
      room -= octets;
      fitting.add(pair);
    }
  }
  return fitting;
}

const octetsOf = ([name, value]: Pair): number => Buffer.byteLength(name) + Buffer.byteLength(value);
