/**
 * Under which name a window is counted.
 *
 * `compatible` names are those of envoyproxy/ratelimit (src/limiter/cache_key.go), so that replicas of both share their counts:
 * nothing in a part is escaped, and neither limit nor unit is part of it, so unlike descriptors can meet in one counter.
 * `safe` names tell every part and period apart.
 */
export type KeyStyle = 'compatible' | 'safe';

export interface KeyParts {
  readonly prefix: string;
  readonly domain: string;
  readonly entries: readonly (readonly [key: string, value: string])[];
  readonly sharedValues: readonly (string | undefined)[] | undefined;
  /** Seconds. */
  readonly windowS: number;
  /** Seconds since 1970. */
  readonly windowStartS: number;
}

export function cacheKey(style: KeyStyle, { prefix, domain, entries, sharedValues, windowS, windowStartS }: KeyParts): string {
  if (style === 'compatible') {
    let text = `${prefix}${domain}_`;
    for (let at = 0; at < entries.length; at++) text += `${entries[at]?.[0]}_${sharedValues?.[at] ?? entries[at]?.[1]}_`;
    return text + windowStartS;
  }
  let text = `${prefix}${escaped(domain)}_`;
  for (let at = 0; at < entries.length; at++) text += `${escaped(entries[at]?.[0] ?? '')}_${sharedValues?.[at] === undefined ? escaped(entries[at]?.[1] ?? '') : `%${escaped(sharedValues[at] ?? '')}`}_`;
  return `${text}${windowS}_${windowStartS}`;
}

const escaped = (text: string): string => (/[%_]/.test(text) ? text.replaceAll('%', '%25').replaceAll('_', '%5F') : text);
