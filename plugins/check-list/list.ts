/** A list of values, compared in one of five ways. */
import { Cidr, hostOf, IpRanges, parseCidr, parseIp, Rejected } from 'sluice/plugin';
import { RE2JS, RE2Set } from 're2js';

export type Kind = 'string' | 'prefix' | 'host' | 'cidr' | 'regex';

export interface List {
  /** Throws {@link Rejected} for a value that is not of the kind (not an address), or too long for patterns. */
  has(value: string): boolean;
}

export interface ListOptions {
  readonly ignoreCase: boolean;
  /** Longest value that patterns are matched with, in characters. */
  readonly maxLength: number;
}

/** Throws with the first invalid value. */
export function makeList(kind: Kind, values: readonly string[], { ignoreCase, maxLength }: ListOptions): List {
  const folded = (value: string): string => (ignoreCase ? value.toLowerCase() : value);
  switch (kind) {
    case 'string': {
      const listed = new Set(values.map(folded));
      return { has: (value) => listed.has(folded(value)) };
    }
    case 'prefix': {
      const starts = withPrefix(values.map(folded));
      return { has: (value) => starts(folded(value)) };
    }
    case 'host': {
      const contains = hostsOf(values);
      return {
        has(value) {
          const host = hostOf(value);
          if (host === undefined) throw new Rejected(`"${shownValue(value)}" names no host`);
          return contains(host);
        },
      };
    }
    case 'cidr': {
      const ranges = new IpRanges(values.map(parseNetwork));
      return {
        has(value) {
          const isContained = ranges.has(value);
          if (isContained === undefined) throw new Rejected(`"${shownValue(value)}" is not an IP address`);
          return isContained;
        },
      };
    }
    case 'regex':
      return patterns(values, ignoreCase, maxLength);
  }
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. Throws with the reason. */
export function parseNetwork(text: string): Cidr {
  const [address = '', length, ...more] = text.split('/');
  const ip = parseIp(address);
  if (ip === undefined || more.length > 0)
    throw new Error(`"${text}" is not a network; expected an address or one like 10.0.0.0/8 or fd00::/8`);
  const bits = ip.bytes.length * 8;
  if (length === undefined) return new Cidr(ip, bits);
  const range = parseCidr(text);
  if (range !== undefined) return range;
  const isMapped = ip.family === 4 && address.includes(':');
  throw new Error(
    `"${text}" is not a network; expected a prefix length of ${isMapped ? '96 to 128' : `0 to ${bits}`} after the slash`,
  );
}

/** Hosts are `example.com`, or `*.example.com` for all names below it. Throws with the first that is neither. */
function hostsOf(hosts: readonly string[]): (name: string) => boolean {
  const names = new Set<string>();
  const parents = new Set<string>();
  for (const host of hosts) {
    const isBelow = host.startsWith('*.');
    const name = hostOf(isBelow ? host.slice(2) : host);
    const isAddress = name?.startsWith('[') === true;
    if (name === undefined || name.includes('*') || /:\d*$/.test(host) || (isBelow && isAddress)) {
      throw new Error(
        `"${host}" is not a host; expected a name like shop.example.com or *.example.com, without a port`,
      );
    }
    (isBelow ? parents : names).add(name);
  }
  return (name) => {
    if (names.has(name)) return true;
    if (parents.size === 0) return false;
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      if (dot > 0 && parents.has(name.slice(dot + 1))) return true;
    }
    return false;
  };
}

const SHOWN_CHARACTERS = 200;

/** A value in a denial's reason, cut: it may be a whole header. */
export const shownValue = (value: string): string =>
  value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}...` : value;

/** The problem with a value of the list, or `undefined`. */
export function valueProblem(kind: Kind, value: string): string | undefined {
  try {
    makeList(kind, [value], { ignoreCase: false, maxLength: 1 });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Binary search over the sorted prefixes. Prefixes that another one covers are removed, so only the last prefix that sorts before a value,
 * or equals it, can be a prefix of it.
 */
function withPrefix(prefixes: readonly string[]): (value: string) => boolean {
  const kept: string[] = [];
  for (const prefix of [...prefixes].toSorted()) {
    const before = kept.at(-1);
    if (before === undefined || !prefix.startsWith(before)) kept.push(prefix);
  }
  return (value) => {
    let low = 0;
    let high = kept.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((kept[middle] as string) <= value) low = middle + 1;
      else high = middle;
    }
    const candidate = kept[low - 1];
    return candidate !== undefined && value.startsWith(candidate);
  };
}

/**
 * An automaton takes about 3 to 30 ns per instruction and character, so this bound is 25 to 250 ms of one core for the longest value.
 * Clients choose the value, and all other calls wait meanwhile.
 */
const MAX_STEPS = 8_000_000;

/** All patterns in one automaton: one pass over the value, in time proportional to patterns times characters. */
function patterns(values: readonly string[], ignoreCase: boolean, maxLength: number): List {
  let instructions = 0;
  const flags = ignoreCase ? RE2JS.CASE_INSENSITIVE : 0;
  const set = new RE2Set(RE2Set.UNANCHORED, flags);
  for (const value of values) {
    try {
      set.add(value);
      instructions += RE2JS.compile(value, flags).programSize();
    } catch (error) {
      throw new Error(`"${value}" is not an RE2 pattern: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
  if (values.length === 0) return { has: () => false };
  if (instructions * maxLength > MAX_STEPS) {
    throw new Error(
      `the patterns have ${instructions} instructions, too many for values of ${maxLength} characters; ` +
        `set maxLength to at most ${Math.floor(MAX_STEPS / instructions)}, or write fewer or simpler patterns`,
    );
  }
  set.compile();
  return {
    has(value) {
      if (value.length > maxLength)
        throw new Rejected(
          `the value has ${value.length} characters; at most ${maxLength} are matched with patterns (maxLength)`,
        );
      return set.match(value).length > 0;
    },
  };
}
