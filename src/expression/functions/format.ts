/** format() and quote() of cel-go's string extension. */
import { formatDuration, formatTimestamp } from '../../attributes/time-text.ts';
import { Cidr, Ip } from '../../attributes/network.ts';
import { DYN, STRING, listOf } from '../../attributes/types.ts';
import { Duration, Timestamp, Uint } from '../../attributes/values.ts';
import { spendCharacters } from '../budget.ts';
import { TypeName, type Val } from '../values/dynamic.ts';
import { type Overload, fn, method } from './overload.ts';

type Clause = { readonly verb: string; readonly precision: number | undefined };
const CLAUSE = /%(?:%|(?:\.(\d+))?([sdfebxXo]))|%/g;

/** Literal text and clauses; or the text of the first invalid clause. */
function parsed(format: string): readonly (string | Clause)[] | { readonly wrong: string } {
  const parts: (string | Clause)[] = [];
  let from = 0;
  for (const match of format.matchAll(CLAUSE)) {
    const [all, precision, verb] = match;
    if (from < match.index) parts.push(format.slice(from, match.index));
    from = match.index + all.length;
    if (all === '%%') parts.push('%');
    else if (verb === undefined || Number(precision ?? 0) > MAX_DIGITS)
      return { wrong: format.slice(match.index, match.index + 2) };
    else parts.push({ verb, precision: precision === undefined ? undefined : Number(precision) });
  }
  if (from < format.length) parts.push(format.slice(from));
  return parts;
}

function formatted(format: string, values: readonly Val[]): string | undefined {
  const parts = parsed(format);
  if ('wrong' in parts) return undefined;
  let text = '';
  let next = 0;
  for (const part of parts) {
    const value = typeof part === 'string' ? undefined : values[next++];
    const shown = typeof part === 'string' ? part : value === undefined ? undefined : clauseText(part, value);
    if (shown === undefined) return undefined;
    spendCharacters(shown.length);
    text += shown;
  }
  return text;
}

function clauseText({ verb, precision = 6 }: Clause, value: Val): string | undefined {
  switch (verb) {
    case 's':
      return textOf(value);
    case 'd':
      return typeof value === 'number'
        ? Number.isFinite(value)
          ? undefined
          : textOf(value)
        : wholeOf(value)?.toString();
    case 'f':
      return decimal(value, (number) => fixed(number, precision));
    case 'e':
      return decimal(value, (number) => {
        const [digits = '', exponent = ''] = rounded(
          number.toExponential(precision),
          number.toExponential(MAX_DIGITS),
        ).split('e');
        return `${digits}e${exponent.replace(/^([+-])(\d)$/, '$10$2')}`;
      });
    case 'b':
      return typeof value === 'boolean' ? String(Number(value)) : wholeOf(value)?.toString(2);
    case 'o':
      return wholeOf(value)?.toString(8);
    case 'x':
      return hex(value);
    case 'X':
      return hex(value)?.toUpperCase();
    default:
      return undefined;
  }
}

const wholeOf = (value: Val): bigint | undefined =>
  typeof value === 'bigint' ? value : value instanceof Uint ? value.value : undefined;

function decimal(value: Val, show: (number: number) => string): string | undefined {
  const number = typeof value === 'number' ? value : Number(wholeOf(value) ?? Number.NaN);
  if (typeof value !== 'number' && wholeOf(value) === undefined) return undefined;
  if (Object.is(number, -0)) return `-${show(0)}`; // toFixed() leaves its sign out
  return Number.isFinite(number) ? show(number) : textOf(number);
}

/** The most that JavaScript shows. A tie between two shorter decimals has fewer digits. */
const MAX_DIGITS = 100;

function fixed(number: number, precision: number): string {
  if (Math.abs(number) < 1e21) return rounded(number.toFixed(precision), number.toFixed(MAX_DIGITS));
  return String(BigInt(number)) + (precision > 0 ? `.${'0'.repeat(precision)}` : '');
}

/** JavaScript rounds a tie away from zero, Go to the even digit. `exact`: the number with 100 digits, which is exact for a tie. */
function rounded(text: string, exact: string): string {
  const [digits = ''] = text.split('e');
  const [all = ''] = exact.split('e');
  // Rounding up may change digits by a carry, but not their number where the last is odd
  const isTie = /^\.?50*$/.test(all.slice(digits.length));
  const last = Number(digits.at(-1));
  if (!isTie || last % 2 === 0) return text;
  return digits.slice(0, -1) + String(last - 1) + text.slice(digits.length);
}

function hex(value: Val): string | undefined {
  if (typeof value === 'string') return Buffer.from(value).toString('hex');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return wholeOf(value)?.toString(16);
}

function textOf(value: Val): string | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'number':
      return String(value);
    default:
      if (value === null) return 'null';
      if (value instanceof Uint) return String(value.value);
      if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
      if (value instanceof Timestamp) return formatTimestamp(value);
      if (value instanceof Duration) return formatDuration(value);
      if (value instanceof Ip || value instanceof Cidr) return value.toString();
      if (value instanceof TypeName) return value.name;
      if (Array.isArray(value)) return listText(value as readonly Val[]);
      return value instanceof Map ? mapText(value as ReadonlyMap<Val, Val>) : undefined;
  }
}

/** Elements are counted as well: a list may hold one list many times. */
function listText(list: readonly Val[]): string | undefined {
  const parts = list.map(spentTextOf);
  return parts.includes(undefined) ? undefined : `[${parts.join(', ')}]`;
}

function spentTextOf(value: Val): string | undefined {
  const text = textOf(value);
  spendCharacters((text?.length ?? 0) + 2);
  return text;
}

/** Sorted by the text of the keys, so that equal maps have equal texts. */
function mapText(map: ReadonlyMap<Val, Val>): string | undefined {
  const entries = [...map].map(([key, value]) => [spentTextOf(key), spentTextOf(value)] as const);
  if (entries.some(([key, value]) => key === undefined || value === undefined)) return undefined;
  return `{${entries
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}: ${value}`)
    .join(', ')}}`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};
// oxlint-disable-next-line no-control-regex -- BEL to CR have escapes of their own
const ESCAPED = /[\u0007-\r\\"]/g;
const quote = (text: string): string => `"${text.toWellFormed().replace(ESCAPED, (char) => ESCAPES[char] ?? char)}"`;

export const FORMAT_FUNCTIONS: readonly Overload[] = [
  method('format', [STRING, listOf(DYN)], STRING, formatted, {
    builds: true,
    checkConstant: ([format]) => {
      const parts = typeof format === 'string' ? parsed(format) : [];
      return 'wrong' in parts
        ? `${parts.wrong} is not a formatting clause; write %s %d %f %e %b %x %X %o, or %% for a percent sign`
        : undefined;
    },
  }),
  fn('strings.quote', [STRING], STRING, quote),
];
