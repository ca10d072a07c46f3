/** The string functions of cel-spec and of cel-go's string extension, `matches` (regex/matches.ts) apart. */
import { BOOL, BYTES, INT, STRING, listOf } from '../../attributes/types.ts';
import type { Int } from '../../attributes/values.ts';
import { spendCharacters } from '../budget.ts';
import { type Overload, fn, method } from './overload.ts';
import * as search from './search.ts';

/** Characters are code points, as in cel-go. Most text has one UTF-16 unit for each. */
const SURROGATE = /[\ud800-\udfff]/;
const pointsOf = (text: string): readonly string[] | string => (SURROGATE.test(text) ? Array.from(text) : text);
export const lengthOf = (text: string): number => pointsOf(text).length;
const slice = (text: string, from: number, to?: number): string => {
  const points = pointsOf(text);
  return typeof points === 'string' ? points.slice(from, to) : points.slice(from, to).join('');
};
const isAt = (at: unknown, length: number): at is number => typeof at === 'number' && at >= 0 && at <= length;

function indexOf(text: string, part: string, from: number): number {
  const rest = slice(text, from);
  const at = search.indexOf(rest, part, 0);
  return at < 0 ? -1 : from + lengthOf(rest.slice(0, at));
}
function lastIndexOf(text: string, part: string, upTo: number): number {
  const at = search.lastIndexOf(slice(text, 0, upTo + lengthOf(part)), part);
  return at < 0 ? -1 : lengthOf(text.slice(0, at));
}

export const TEXT_FUNCTIONS: readonly Overload[] = [
  method('contains', [STRING, STRING], BOOL, search.contains, { constantCode: (x, y) => `${x}.includes(${y})` }),
  method('startsWith', [STRING, STRING], BOOL, (text: string, part: string) => text.startsWith(part), {
    code: (x, y) => `${x}.startsWith(${y})`,
  }),
  method('endsWith', [STRING, STRING], BOOL, (text: string, part: string) => text.endsWith(part), {
    code: (x, y) => `${x}.endsWith(${y})`,
  }),
  fn('size', [STRING], INT, lengthOf),
  method('size', [STRING], INT, lengthOf),
  fn('size', [BYTES], INT, (bytes: Uint8Array) => bytes.length),
  method('size', [BYTES], INT, (bytes: Uint8Array) => bytes.length),
  method('lowerAscii', [STRING], STRING, (text: string) => text.replace(/[A-Z]+/g, (part) => part.toLowerCase())),
  method('upperAscii', [STRING], STRING, (text: string) => text.replace(/[a-z]+/g, (part) => part.toUpperCase())),
  method('trim', [STRING], STRING, trim),
  method('charAt', [STRING, INT], STRING, (text: string, at: unknown) =>
    isAt(at, lengthOf(text)) ? slice(text, at, at + 1) : undefined,
  ),
  method('indexOf', [STRING, STRING], INT, (text: string, part: string) => indexOf(text, part, 0)),
  method('indexOf', [STRING, STRING, INT], INT, (text: string, part: string, from: unknown) =>
    isAt(from, lengthOf(text)) ? indexOf(text, part, from) : undefined,
  ),
  method('lastIndexOf', [STRING, STRING], INT, (text: string, part: string) => lastIndexOf(text, part, lengthOf(text))),
  method('lastIndexOf', [STRING, STRING, INT], INT, (text: string, part: string, upTo: unknown) =>
    isAt(upTo, lengthOf(text)) ? lastIndexOf(text, part, upTo) : undefined,
  ),
  method('substring', [STRING, INT], STRING, (text: string, from: unknown) =>
    isAt(from, lengthOf(text)) ? slice(text, from) : undefined,
  ),
  method('substring', [STRING, INT, INT], STRING, (text: string, from: unknown, to: unknown) =>
    isAt(to, lengthOf(text)) && isAt(from, to) ? slice(text, from, to) : undefined,
  ),
  method(
    'replace',
    [STRING, STRING, STRING],
    STRING,
    (text: string, part: string, replacement: string) => replaceSome(text, part, replacement, -1),
    { builds: true },
  ),
  method(
    'replace',
    [STRING, STRING, STRING, INT],
    STRING,
    (text: string, part: string, replacement: string, most: Int) => replaceSome(text, part, replacement, most),
    { builds: true },
  ),
  method('split', [STRING, STRING], listOf(STRING), (text: string, separator: string) => splitAt(text, separator)),
  method('split', [STRING, STRING, INT], listOf(STRING), (text: string, separator: string, most: number) =>
    splitSome(text, separator, most),
  ),
  method('join', [listOf(STRING)], STRING, (parts: readonly string[]) => joined(parts, ''), { builds: true }),
  method(
    'join',
    [listOf(STRING), STRING],
    STRING,
    (parts: readonly string[], separator: string) => joined(parts, separator),
    {
      builds: true,
    },
  ),
  method('reverse', [STRING], STRING, (text: string) => Array.from(text).toReversed().join('')),
];

/** Unicode's White_Space, as Go trims: JavaScript's own leaves U+0085 and takes U+FEFF. Linear, unlike a pattern with `$`. */
const BLANK = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
function trim(text: string): string {
  let [from, to] = [0, text.length];
  while (from < to && BLANK.test(text[from] ?? '')) from += 1;
  while (to > from && BLANK.test(text[to - 1] ?? '')) to -= 1;
  return text.slice(from, to);
}

function splitAt(text: string, separator: string): readonly string[] {
  if (separator === '') return Array.from(text);
  if (separator.length <= search.MAX_SEARCHED_NATIVELY) return text.split(separator);
  const found = search.occurrencesOf(text, separator);
  return [...found, text.length].map((end, index) =>
    text.slice(index === 0 ? 0 : (found[index - 1] ?? 0) + separator.length, end),
  );
}

function splitSome(text: string, separator: string, most: number): readonly string[] {
  if (most === 0) return [];
  const parts = splitAt(text, separator);
  return most < 0 || parts.length <= most
    ? parts
    : [...parts.slice(0, most - 1), parts.slice(most - 1).join(separator)];
}

function joined(parts: readonly string[], separator: string): string {
  let length = separator.length * Math.max(0, parts.length - 1);
  for (const part of parts) length += part.length;
  spendCharacters(length);
  return parts.join(separator);
}

/** All occurrences where `most` is negative. An empty part occurs around each character. */
function replaceSome(text: string, part: string, replacement: string, most: Int): string {
  const limit = most < 0 ? Number.POSITIVE_INFINITY : Number(most);
  if (part !== '') {
    const found = search.occurrencesOf(text, part, limit);
    spendCharacters(text.length + found.length * (replacement.length - part.length));
    return [...found, text.length]
      .map((end, index) => text.slice(index === 0 ? 0 : (found[index - 1] ?? 0) + part.length, end))
      .join(replacement);
  }
  spendCharacters(text.length + Math.min(limit, text.length + 1) * replacement.length);
  const points = Array.from(text);
  const around = points.map((point, index) => (index < limit ? replacement + point : point));
  return around.join('') + (points.length < limit ? replacement : '');
}
