/** A list of values, compared in one of four ways. */
import { Rejected } from 'sluice/plugin';
import { RE2JS, RE2Set } from 're2js';
import { parseNetwork, rangesOf, sortableAddress } from './addresses.ts';

export type Kind = 'string' | 'prefix' | 'cidr' | 'regex';

export interface List {
  /** Throws {@link Rejected} where the value is not of the kind (no address). */
  has(value: string): boolean;
}

/** Throws with the first value that is bad. */
export function makeList(kind: Kind, values: readonly string[], ignoreCase: boolean): List {
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
    case 'cidr': {
      const contains = rangesOf(values.map(parseNetwork));
      return {
        has(value) {
          const address = sortableAddress(value);
          if (address === undefined) throw new Rejected(`"${value}" is not an IP address`);
          return contains(address);
        },
      };
    }
    case 'regex': return patterns(values, ignoreCase);
  }
}

/** What is wrong with a value, or nothing. */
export function valueProblem(kind: Kind, value: string): string | undefined {
  try {
    makeList(kind, [value], false);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Sorted, and without those that begin with another: then the last one that is not after a value is the only one that
 * the value can begin with.
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

/** All patterns in one automaton: one pass over the value, in linear time. */
function patterns(values: readonly string[], ignoreCase: boolean): List {
  const flags = ignoreCase ? RE2JS.CASE_INSENSITIVE : 0;
  const set = new RE2Set(RE2Set.UNANCHORED, flags);
  for (const value of values) {
    try {
      set.add(value);
    } catch (error) {
      throw new Error(`"${value}" is not a pattern of RE2: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
  if (values.length === 0) return { has: () => false };
  set.compile();
  return { has: (value) => set.match(value).length > 0 };
}
