import type { Entries } from '../call.ts';

/**
 * Style of a counter's name.
 *
 * `compatible`: as in envoyproxy/ratelimit (src/limiter/cache_key.go), so that replicas of both share counters. Nothing is escaped and
 * the unit is not part of the name, so different descriptors can share a counter by accident.
 * `safe`: parts are escaped and the period is part of the name, so names are unambiguous.
 */
export type KeyStyle = 'compatible' | 'safe';

type SharedValues = readonly (string | undefined)[] | undefined;

export interface KeyParts {
  readonly prefix: string;
  readonly domain: string;
  readonly entries: Entries;
  readonly sharedValues: SharedValues;
  /** Seconds. */
  readonly windowS: number;
  /** Seconds since 1970. */
  readonly windowStartS: number;
}

export function cacheKey(
  style: KeyStyle,
  { prefix, domain, entries, sharedValues, windowS, windowStartS }: KeyParts,
): string {
  if (style === 'compatible') {
    let text = `${prefix}${domain}_`;
    for (let at = 0; at < entries.length; at++)
      text += `${entries[at]?.[0]}_${sharedValues?.[at] ?? entries[at]?.[1]}_`;
    return text + windowStartS;
  }
  return `${prefix}${escaped(domain)}_${entriesKey(entries, sharedValues)}${windowS}_${windowStartS}`;
}

/** Escaped entries, for algorithms that the reference does not have. */
export function entriesKey(entries: Entries, sharedValues: SharedValues): string {
  let text = '';
  for (let at = 0; at < entries.length; at++)
    text += `${escaped(entries[at]?.[0] ?? '')}_${sharedValues?.[at] === undefined ? escaped(entries[at]?.[1] ?? '') : `%${escaped(sharedValues[at] ?? '')}`}_`;
  return text;
}

/** The value of the last entry names the holder of a lease, so it is not part of the counter's name. */
export function leaseKey(entries: Entries, sharedValues: SharedValues): string {
  return `${entriesKey(entries.slice(0, -1), sharedValues)}${escaped(entries.at(-1)?.[0] ?? '')}`;
}

const escaped = (text: string): string =>
  /[%_]/.test(text) ? text.replaceAll('%', '%25').replaceAll('_', '%5F') : text;
