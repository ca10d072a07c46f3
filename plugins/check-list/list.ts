/** A list of values, compared in one of five ways. */
import { Cidr, hostOf, IpRanges, parseCidr, parseIp, Rejected, sortedInSlices, type Turn } from 'sluice/plugin';
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

/** Rejects for the first invalid value. */
export async function makeList(
  kind: Kind,
  values: readonly string[],
  { ignoreCase, maxLength }: ListOptions,
  turn: Turn,
): Promise<List> {
  const folded = (value: string): string => (ignoreCase ? value.toLowerCase() : value);
  switch (kind) {
    case 'string': {
      const listed = new Set<string>();
      for (const value of values) {
        listed.add(folded(value));
        const wait = turn();
        if (wait !== undefined) await wait;
      }
      return { has: (value) => listed.has(folded(value)) };
    }
    case 'prefix': {
      const starts = await withPrefix(values.map(folded), turn);
      return { has: (value) => starts(folded(value)) };
    }
    case 'host': {
      const contains = await hostsOf(values, turn);
      return {
        has(value) {
          const host = hostOf(value);
          if (host === undefined) throw new Rejected(`"${shownValue(value)}" names no host`);
          return contains(host);
        },
      };
    }
    case 'cidr': {
      const ranges = await IpRanges.inSlices(networksOf(values), turn);
      return {
        has(value) {
          const isContained = ranges.has(value);
          if (isContained === undefined) throw new Rejected(`"${shownValue(value)}" is not an IP address`);
          return isContained;
        },
      };
    }
    case 'regex':
      return patterns(values, ignoreCase, maxLength, turn);
  }
}

function* networksOf(values: readonly string[]): Generator<Cidr> {
  for (const value of values) yield parseNetwork(value);
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. Throws with the reason. */
export function parseNetwork(text: string): Cidr {
  const [address = '', length, ...more] = text.split('/');
  const ip = parseIp(address);
  if (ip === undefined || more.length > 0)
    throw new Error(`"${text}" is not a network; expected an address or one like 10.0.0.0/8 or fd00::/8`);
  const bits = ip.bytes.length * 8;
  if (length === undefined) return new Cidr(ip, bits);
  if (!address.includes(':') && /^(?:\d|[12]\d|3[0-2])$/.test(length)) return new Cidr(ip, Number(length));
  const range = parseCidr(text);
  if (range !== undefined) return range;
  const isMapped = ip.family === 4 && address.includes(':');
  throw new Error(
    `"${text}" is not a network; expected a prefix length of ${isMapped ? '96 to 128' : `0 to ${bits}`} after the slash`,
  );
}

interface ListedHost {
  readonly name: string;
  /** It stands for all names below it. */
  readonly isBelow: boolean;
}

/** `example.com`, or `*.example.com` for all names below it. Throws if it is neither. */
function listedHost(host: string): ListedHost {
  const isBelow = host.startsWith('*.');
  const name = hostOf(isBelow ? host.slice(2) : host);
  const isAddress = name?.startsWith('[') === true;
  if (name === undefined || name.includes('*') || /:\d*$/.test(host) || (isBelow && isAddress))
    throw new Error(`"${host}" is not a host; expected a name like shop.example.com or *.example.com, without a port`);
  return { name, isBelow };
}

async function hostsOf(hosts: readonly string[], turn: Turn): Promise<(name: string) => boolean> {
  const names = new Set<string>();
  const parents = new Set<string>();
  for (const host of hosts) {
    const { name, isBelow } = listedHost(host);
    (isBelow ? parents : names).add(name);
    const wait = turn();
    if (wait !== undefined) await wait;
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
    if (kind === 'host') listedHost(value);
    else if (kind === 'cidr') parseNetwork(value);
    else if (kind === 'regex') sizeOf(value, 0);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Binary search over the sorted prefixes. Prefixes that another one covers are removed, so only the last prefix that sorts before a value,
 * or equals it, can be a prefix of it.
 */
async function withPrefix(prefixes: readonly string[], turn: Turn): Promise<(value: string) => boolean> {
  const kept: string[] = [];
  for (const prefix of await sortedInSlices(prefixes, (a, b) => (a < b ? -1 : a > b ? 1 : 0), turn)) {
    const before = kept.at(-1);
    if (before === undefined || !prefix.startsWith(before)) kept.push(prefix);
    const wait = turn();
    if (wait !== undefined) await wait;
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
/** They are compiled in one turn of the event loop. */
const MAX_PATTERNS = 2000;

/** Number of instructions. Throws if the text is not a pattern. */
function sizeOf(value: string, flags: number): number {
  try {
    return RE2JS.compile(value, flags).programSize();
  } catch (error) {
    throw new Error(`"${value}" is not an RE2 pattern: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

const flagsOf = (ignoreCase: boolean): number => (ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);

/** The problem with patterns, each of which is valid, or `undefined`. */
export function patternsProblem(values: readonly string[], { ignoreCase, maxLength }: ListOptions): string | undefined {
  if (values.length > MAX_PATTERNS)
    return `the list has ${values.length} patterns; at most ${MAX_PATTERNS} are taken; write prefixes, or fewer patterns`;
  const flags = flagsOf(ignoreCase);
  return stepsProblem(
    values.reduce((sum, value) => sum + sizeOf(value, flags), 0),
    maxLength,
  );
}

const stepsProblem = (instructions: number, maxLength: number): string | undefined =>
  instructions * maxLength > MAX_STEPS
    ? `the patterns have ${instructions} instructions, too many for values of ${maxLength} characters; ` +
      `set maxLength to at most ${Math.floor(MAX_STEPS / instructions)}, or write fewer or simpler patterns`
    : undefined;

/** All patterns in one automaton: one pass over the value, in time proportional to patterns times characters. */
async function patterns(values: readonly string[], ignoreCase: boolean, maxLength: number, turn: Turn): Promise<List> {
  const flags = flagsOf(ignoreCase);
  const set = new RE2Set(RE2Set.UNANCHORED, flags);
  let instructions = 0;
  if (values.length > MAX_PATTERNS) throw new Error(patternsProblem(values, { ignoreCase, maxLength }));
  for (const value of values) {
    instructions += sizeOf(value, flags);
    set.add(value);
    const wait = turn();
    if (wait !== undefined) await wait;
  }
  if (values.length === 0) return { has: () => false };
  const problem = stepsProblem(instructions, maxLength);
  if (problem !== undefined) throw new Error(problem);
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
