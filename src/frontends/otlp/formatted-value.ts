/**
 * Values of attributes as a proxy formats them: text for most, maps and lists as such.
 * **In**: an AnyValue and the type of its attribute. **Out**: whether it has the form of the type, in place; and its value.
 * **Fails**: never; a value of the right form that is none (an address 1.2.3) is absent.
 */
import { type Json, mapOfJson, valueOfJson } from '../../attributes/json-value.ts';
import { parseIp } from '../../attributes/network.ts';
import { parseDuration, parseTimestamp } from '../../attributes/time-text.ts';
import type { Type } from '../../attributes/types.ts';
import { Duration, type Value } from '../../attributes/values.ts';
import { utf8Text } from '../../protobuf/utf8-text.ts';
import { AnyCase, ANY_VALUE, dynOf, eachItem, intHere, jsonOfDyn } from './any-value.ts';
import { KEY_VALUE } from './key-value.ts';

const DASH = 0x2d;
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/** What Envoy writes where it has no value: nothing, `-`, or `-` and the text after it in the format (`-ms`). */
function isAbsentText(bytes: Buffer, from: number, to: number, mayFollow: boolean): boolean {
  if (from === to) return true;
  if (bytes[from] !== DASH) return false;
  return to === from + 1 || (mayFollow && !isDigit(bytes[from + 1] as number));
}

const INT = /^-?\d{1,19}$/;
const FORMS: Partial<Readonly<Record<Type['kind'], RegExp>>> = {
  int: INT,
  bool: /^(?:true|false)$/,
  duration: /^(?:-?[\d.]+(?:ns|us|µs|ms|s|m|h))+$|^0$/,
  timestamp: /^\d{4}-\d{2}-\d{2}[Tt][\d:.]+(?:[Zz]|[+-]\d{2}:\d{2})$/,
  ip: /^[\da-fA-F.:]+$/,
};
const DIGITS_ONLY: ReadonlySet<Type['kind']> = new Set(['int']);

/** How a value of the type may be sent; `undefined`: nothing is wrong with this one. */
export function problemOf(type: Type, bytes: Buffer, from: number, to: number): string | undefined {
  ANY_VALUE.read(bytes, from, to);
  const { case: kind, from: at, to: end } = ANY_VALUE;
  switch (kind) {
    case AnyCase.NONE:
      return undefined;
    case AnyCase.STRING:
      return type.kind === 'string' || type.kind === 'list' || type.kind === 'map' || isFormed(type, bytes, at, end)
        ? undefined
        : `${JSON.stringify(shown(bytes, at, end))} is no ${type.kind}`;
    case AnyCase.INT:
      return type.kind === 'int' ? undefined : wrongKind('an int', type);
    case AnyCase.BOOL:
      return type.kind === 'bool' ? undefined : wrongKind('a bool', type);
    case AnyCase.KVLIST:
      return type.kind === 'map' ? undefined : wrongKind('a map', type);
    case AnyCase.ARRAY:
      return type.kind === 'list' ? undefined : wrongKind('a list', type);
    default:
      return wrongKind(kind === AnyCase.DOUBLE ? 'a double' : 'bytes', type);
  }
}

const wrongKind = (found: string, { kind }: Type): string => `found ${found}; expected ${kind}`;
const SHOWN_BYTES = 40;
const shown = (bytes: Buffer, from: number, to: number): string =>
  bytes.toString('utf8', from, Math.min(to, from + SHOWN_BYTES));

function isFormed({ kind }: Type, bytes: Buffer, from: number, to: number): boolean {
  if (isAbsentText(bytes, from, to, true)) return true;
  if (DIGITS_ONLY.has(kind) && to - from < 16) {
    let at = bytes[from] === DASH ? from + 1 : from;
    while (at < to && isDigit(bytes[at] as number)) at++;
    return at === to;
  }
  const form = FORMS[kind];
  return form === undefined || form.test(utf8Text(bytes, from, to));
}

/** `undefined`: the proxy had no value. */
export function formattedValue(type: Type, bytes: Buffer, from: number, to: number): Value | undefined {
  ANY_VALUE.read(bytes, from, to);
  const { case: kind, from: at, to: end } = ANY_VALUE;
  switch (kind) {
    case AnyCase.STRING:
      return isAbsentText(bytes, at, end, type.kind !== 'string' && type.kind !== 'list')
        ? undefined
        : ofText(type, utf8Text(bytes, at, end));
    case AnyCase.INT:
      return type.kind === 'int' ? intHere(bytes) : undefined;
    case AnyCase.BOOL:
      return type.kind === 'bool' ? dynOf(bytes, from, to) : undefined;
    case AnyCase.KVLIST:
      return type.kind === 'map' ? mapHere(type, bytes, at, end) : undefined;
    case AnyCase.ARRAY:
      return type.kind === 'list' ? dynOf(bytes, from, to) : undefined;
    default:
      return undefined;
  }
}

function ofText(type: Type, text: string): Value | undefined {
  switch (type.kind) {
    case 'string':
      return text;
    case 'int': {
      if (!INT.test(text)) return undefined;
      const value = Number(text);
      return Number.isSafeInteger(value) ? value : BigInt.asIntN(64, BigInt(text));
    }
    case 'bool':
      return text === 'true';
    case 'duration':
      return oneUnit(text) ?? parseDuration(text);
    case 'timestamp':
      return parseTimestamp(text);
    case 'ip':
      return parseIp(text);
    case 'list':
      return text.split(',');
    case 'map':
      return jsonMap(text);
    default:
      return undefined;
  }
}

const NANOS_OF: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };
const MAX_EXACT_NANOS = Number.MAX_SAFE_INTEGER;

/** `7ms`, the form of Envoy's durations, without the bigints of the general one. */
function oneUnit(text: string): Duration | undefined {
  let digits = 0;
  let count = 0;
  for (; digits < text.length; digits++) {
    const digit = text.charCodeAt(digits) - 0x30;
    if (digit < 0 || digit > 9) break;
    count = count * 10 + digit;
  }
  const nanos = digits === 0 ? Number.NaN : count * (NANOS_OF[text.slice(digits)] ?? Number.NaN);
  return nanos <= MAX_EXACT_NANOS ? new Duration(Math.floor(nanos / 1e9), nanos % 1e9) : undefined;
}

function mapHere(type: Type & { readonly kind: 'map' }, bytes: Buffer, from: number, to: number): Value {
  const map = new Map<string, Value>();
  const isText = type.of.kind === 'string';
  eachItem(bytes, from, to, (itemFrom, itemTo) => {
    KEY_VALUE.read(bytes, itemFrom, itemTo);
    const { keyFrom, keyTo, valueFrom, valueTo } = KEY_VALUE;
    const value = isText ? formattedValue(type.of, bytes, valueFrom, valueTo) : dynValue(bytes, valueFrom, valueTo);
    if (value !== undefined) map.set(utf8Text(bytes, keyFrom, keyTo), value);
  });
  return map;
}

function dynValue(bytes: Buffer, from: number, to: number): Value | undefined {
  const json = jsonOf(bytes, from, to);
  return json === undefined ? undefined : valueOfJson(json);
}

/** Structures that Envoy formats as text of JSON, or that are sent as maps; `undefined`: the proxy had no value. */
export function jsonOf(bytes: Buffer, from: number, to: number): Json | undefined {
  ANY_VALUE.read(bytes, from, to);
  const { case: kind, from: at, to: end } = ANY_VALUE;
  if (kind === AnyCase.NONE) return undefined;
  if (kind !== AnyCase.STRING) return jsonOfDyn(dynOf(bytes, from, to));
  return isAbsentText(bytes, at, end, false) ? undefined : jsonOfText(utf8Text(bytes, at, end));
}

function jsonOfText(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function jsonMap(text: string): Value | undefined {
  const json = jsonOfText(text);
  return typeof json === 'object' && json !== null && !Array.isArray(json)
    ? mapOfJson(json as Readonly<Record<string, Json>>)
    : undefined;
}
