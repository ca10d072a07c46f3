/**
 * Where a call has its token.
 * **In**: locations of the config. **Out**: the inputs of a rule, and a function that finds the token in them. **Fails**: never; what is
 * ambiguous, such as two Authorization headers, is a {@link Refused}.
 */
import type { Shape } from 'sluice/plugin';
import type { Location } from './location-config.ts';
import { Refused } from './refused.ts';

/** A token, and the number of its location among {@link allLocations}. */
export interface FoundToken {
  readonly token: string;
  readonly location: number;
}
export type Inputs = Readonly<Record<string, unknown>>;

const inputOf = ({ header, query }: Location): string =>
  header !== undefined ? `headers.${header}` : query !== undefined ? `query.${query}` : 'headers.cookie';

/** Each once. */
export const allLocations = (locations: readonly Location[]): readonly Location[] => [
  ...new Map(locations.map((location) => [keyOf(location), location])).values(),
];

export const keyOf = ({ header, prefix, cookie, query }: Location): string =>
  JSON.stringify([header, prefix.toLowerCase(), cookie, query]);

/** Inputs that follow from a config, with the expressions that a policy need not write. */
export const tokenInputs = <C>(
  locationsOf: (config: C) => readonly Location[],
): {
  readonly input: (config: C) => Shape;
  readonly defaults: (config: C) => Readonly<Record<string, string>>;
} => ({ input: (config) => inputsOf(locationsOf(config)), defaults: (config) => inputDefaults(locationsOf(config)) });

export const inputsOf = (locations: readonly Location[]): Shape =>
  Object.fromEntries(locations.map((location) => [inputOf(location), 'string?' as const]));

export const inputDefaults = (locations: readonly Location[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    locations.map((location) => {
      const { header = 'cookie', query } = location;
      const [attribute, key] = query === undefined ? ['request.headers', header] : ['request.query', query];
      return [inputOf(location), `${attribute}[?"${key}"].orValue("")`];
    }),
  );

/** `undefined`: no location has a token. */
export function tokenFinder(locations: readonly Location[]): (inputs: Inputs) => FoundToken | Refused | undefined {
  const steps = locations.map((location) => ({ input: inputOf(location), find: finderOf(location) }));
  return (inputs) => {
    for (let at = 0; at < steps.length; at++) {
      const { input, find } = steps[at] as (typeof steps)[number];
      const text = inputs[input];
      if (typeof text !== 'string' || text === '') continue;
      const found = find(text);
      if (found instanceof Refused) return found;
      if (found !== '') return { token: found, location: at };
    }
    return undefined;
  };
}

/** Empty text: there is none. */
function finderOf({ prefix, cookie }: Location): (text: string) => string | Refused {
  if (cookie !== undefined) return (text) => cookieOf(text, cookie);
  if (prefix === '') return (text) => text.trim();
  const lower = prefix.toLowerCase();
  const startsWith = (part: string): boolean =>
    part.startsWith(prefix) || part.slice(0, prefix.length).toLowerCase() === lower;
  return (text) =>
    text.startsWith(prefix) && !text.includes(',')
      ? text.slice(prefix.length).trim()
      : afterPrefix(text.trimStart(), prefix.length, startsWith);
}

/**
 * A proxy joins headers of one name by commas. A second part that begins like a token would be read by some servers and not by others, so
 * neither counts.
 */
function afterPrefix(text: string, length: number, startsWith: (part: string) => boolean): string | Refused {
  for (let comma = text.indexOf(','); comma >= 0; comma = text.indexOf(',', comma + 1))
    if (startsWith(text.slice(comma + 1, comma + 1 + length + MAX_BLANKS).trimStart())) return TWO_TOKENS;
  return startsWith(text) ? text.slice(length).trim() : '';
}

const MAX_BLANKS = 16;

/**
 * Cookies of one name are sent by a browser for several paths or domains; which one the upstream reads is unknown (RFC 6265 section 5.4).
 */
function cookieOf(text: string, name: string): string | Refused {
  let found = '';
  for (const part of text.split(';')) {
    const equals = part.indexOf('=');
    if (equals < 0 || part.slice(0, equals).trim() !== name) continue;
    const value = part.slice(equals + 1).trim();
    if (found !== '' && value !== found) return TWO_COOKIES;
    found = value;
  }
  return found;
}

const TWO_TOKENS = new Refused('invalid_request', 'the header occurs several times');
const TWO_COOKIES = new Refused('invalid_request', 'the cookie occurs several times with different values');

/** For messages: `the header authorization or the cookie session`. */
export const shownLocations = (locations: readonly Location[]): string =>
  locations
    .map(({ header, cookie, query }) =>
      header !== undefined
        ? `the header ${header}`
        : query !== undefined
          ? `the query parameter ${query}`
          : `the cookie ${cookie ?? ''}`,
    )
    .join(' or ');
