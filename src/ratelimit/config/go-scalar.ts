/** Resolves the text of a scalar as yaml.v2 does (resolve.go). */
import { isUtf8 } from 'node:buffer';

export interface Resolved {
  readonly value: string | bigint | number | boolean | null;
  readonly problem?: string | undefined;
}

type Kind = 'str' | 'bool' | 'int' | 'float' | 'null' | 'timestamp' | 'merge';

const PREFIX = 'tag:yaml.org,2002:';
const RESOLVED_TAGS = ['str', 'bool', 'int', 'float', 'null', 'timestamp'];

const WORDS = new Map<string, readonly [kind: Kind, value: Resolved['value']]>([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map(
    (word) => [word, ['bool', true]] as const,
  ),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map(
    (word) => [word, ['bool', false]] as const,
  ),
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, ['null', null]] as const),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, ['float', NaN]] as const),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map((word) => [word, ['float', Infinity]] as const),
  ...['-.inf', '-.Inf', '-.INF'].map((word) => [word, ['float', -Infinity]] as const),
]);

/** `tag`: '' for none. */
export function resolveScalar(tag: string, text: string): Resolved {
  const name = tag.startsWith(PREFIX) ? tag.slice(PREFIX.length) : undefined;
  if (name === 'binary') return binary(text);
  if (tag !== '' && (name === undefined || !RESOLVED_TAGS.includes(name))) return { value: text };
  const [kind, value] = name === 'str' ? (['str' as const, text] as const) : guessed(text, name);
  if (name === undefined || name === kind) return { value };
  if (name === 'float' && typeof value === 'bigint') return { value: Number(value) };
  return { value, problem: `cannot decode !!${kind} \`${text}\` as a !!${name}` };
}

function binary(text: string): Resolved {
  const plain = text.replaceAll(/[\r\n]/g, '');
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(plain))
    return { value: text, problem: '!!binary value contains invalid base64 data' };
  const bytes = Buffer.from(plain, 'base64');
  return { value: isUtf8(bytes) ? bytes.toString('utf8') : NO_TEXT };
}

/** Replaces bytes that are not UTF-8: it equals no text of a request, and metadata rejects it. */
const NO_TEXT = '\uD800';

function guessed(text: string, tag: string | undefined): readonly [Kind, Resolved['value']] {
  const word = WORDS.get(text);
  if (word !== undefined) return word;
  if (text.startsWith('.')) {
    const float = /^\.\d+(?:[eE][-+]?\d+)?$/.test(text) ? Number(text) : NaN;
    return Number.isFinite(float) ? ['float', float] : ['str', text];
  }
  if (!/^[-+\d]/.test(text)) return ['str', text];
  if (tag === 'timestamp' && isTime(text)) return ['timestamp', text]; // decoded into a field of another type, a timestamp is its text
  const plain = text.replaceAll('_', '');
  const int = wholeNumber(plain);
  if (int !== undefined) return ['int', int];
  const float = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/.test(plain) ? Number(plain) : NaN;
  return Number.isFinite(float) ? ['float', float] : ['str', text];
}

const MAX_UINT64 = 2n ** 64n - 1n;

/** As Go's strconv.ParseInt with base 0, else ParseUint. */
function wholeNumber(text: string): bigint | undefined {
  // yaml.v2 accepts a sign after 0b
  if (/^0b[-+][01]+$/.test(text)) return text[2] === '-' ? -BigInt(`0b${text.slice(3)}`) : BigInt(`0b${text.slice(3)}`);
  const [, sign = '', hex, binaryDigits, octal, decimal] =
    /^([-+]?)(?:0[xX]([\da-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9]\d*))$/.exec(text) ?? [];
  const digits =
    hex === undefined
      ? binaryDigits === undefined
        ? octal === undefined
          ? decimal
          : `0o${octal}`
        : `0b${binaryDigits}`
      : `0x${hex}`;
  if (digits === undefined) return undefined;
  const size = BigInt(digits);
  const value = sign === '-' ? -size : size;
  return value < -(2n ** 63n) || value > (sign === '' ? MAX_UINT64 : 2n ** 63n - 1n) ? undefined : value;
}

/** Whether the text has one of yaml.v2's formats for timestamps. */
function isTime(text: string): boolean {
  const [, year, month, day, hour = '0', minute = '0', second = '0'] =
    /^(\d{4})-(\d\d?)-(\d\d?)(?:[Tt](\d\d?):(\d\d?):(\d\d?)(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)| (\d\d?):(\d\d?):(\d\d?)(?:\.\d+)?)?$/.exec(
      text,
    ) ?? [];
  if (year === undefined) return false;
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  return (
    Number(month) >= 1 &&
    Number(month) <= 12 &&
    Number(day) >= 1 &&
    Number(day) <= days &&
    Number(hour) < 24 &&
    Number(minute) < 60 &&
    Number(second) < 60
  );
}
