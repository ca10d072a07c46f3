/** Texts that are, or nearly are, numbers, times, zones, patterns, addresses; and literals of texts. */
import { readFileSync } from 'node:fs';
import type { Random } from './random.ts';

export type TextKind =
  | 'plain'
  | 'number'
  | 'bool'
  | 'time'
  | 'span'
  | 'zone'
  | 'pattern'
  | 'address'
  | 'range'
  | 'base64'
  | 'format';

const POOLS = JSON.parse(readFileSync(new URL('texts.json', import.meta.url), 'utf8')) as Readonly<
  Record<TextKind | 'literal', readonly string[]>
>;
const KINDS = Object.keys(POOLS).filter((kind) => kind !== 'literal') as readonly TextKind[];

export const textOfKind = (random: Random, kind: TextKind): string => random.of(POOLS[kind]);

/** Any text of the pools; or two joined, or one changed. */
export function anyText(random: Random): string {
  const kind = random.is(0.7) ? 'plain' : random.of(KINDS);
  const text = textOfKind(random, kind);
  return random.is(0.15) ? text + textOfKind(random, 'plain') : text;
}

const SIMPLE: Readonly<Record<string, string>> = {
  '\u0007': 'a',
  '\b': 'b',
  '\f': 'f',
  '\n': 'n',
  '\r': 'r',
  '\t': 't',
  '\v': 'v',
  '\\': '\\',
  '"': '"',
  "'": "'",
  '`': '`',
  '?': '?',
};

/** A literal of the text, in one of the forms that the grammar has. */
export function literalOf(random: Random, text: string): string {
  const quote = random.of(['"', '"', "'", '"""', "'''"]);
  const mark = quote[0] ?? '"';
  const isLong = quote.length === 3;
  const isRaw = random.is(0.2) && !text.includes(mark) && !(!isLong && /[\n\r]/.test(text)) && !text.endsWith('\\');
  if (isRaw) return `${random.of(['r', 'R'])}${quote}${text}${quote}`;
  const escaped = Array.from(text, (char) => escapedOf(random, char, mark, isLong)).join('');
  return quote + escaped + quote;
}

function escapedOf(random: Random, char: string, mark: string, isLong: boolean): string {
  const point = char.codePointAt(0) ?? 0;
  const simple = SIMPLE[char];
  if (char === mark || char === '\\' || (!isLong && (char === '\n' || char === '\r')))
    return random.is(0.7) ? `\\${simple}` : numbered(random, point);
  if (random.is(0.08)) return numbered(random, point);
  return simple !== undefined && random.is(0.3) ? `\\${simple}` : char;
}

function numbered(random: Random, point: number): string {
  const hex = point.toString(16);
  const forms = [`\\U${hex.padStart(8, '0')}`];
  if (point <= 0xffff) forms.push(`\\u${hex.padStart(4, '0')}`);
  if (point <= 0xff)
    forms.push(`\\x${hex.padStart(2, '0')}`, `\\X${hex.padStart(2, '0')}`, `\\${point.toString(8).padStart(3, '0')}`);
  return random.of(forms);
}

/** Literals that are wrong, or that readers may read differently. */
export const ODD_LITERALS = POOLS.literal;
