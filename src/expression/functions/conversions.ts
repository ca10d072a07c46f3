/** Conversions between types (cel-spec, "Type conversions"). */
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  IP,
  CIDR,
  STRING,
  TIMESTAMP,
  TYPE,
  UINT,
} from '../../attributes/types.ts';
import { Duration, type Int, Timestamp } from '../../attributes/values.ts';
import { formatDuration, formatTimestamp, parseDuration, parseTimestamp } from '../../attributes/time-text.ts';
import { doubleToInt, doubleToUint, toInt, toUint } from '../values/integers.ts';
import { type Val, kindOf, typeNameOf } from '../values/dynamic.ts';
import { type Overload, fn } from './overload.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function doubleText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value);
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}

/** More than 20 digits after leading zeros are beyond 64 bits, and BigInt takes long for many. */
const WHOLE = /^([+-]?)0*(\d{1,20})$/;
function textToInt(text: string): Int | undefined {
  return fewDigits(text) ?? signedOrLong(text);
}
function signedOrLong(text: string): Int | undefined {
  const [, sign, digits = ''] = WHOLE.exec(text) ?? [];
  return sign === undefined ? undefined : toInt(sign === '-' ? -BigInt(digits) : BigInt(digits));
}
/** As nearly all are written; `undefined` for all else. Fifteen digits are a safe integer. */
function fewDigits(text: string): number | undefined {
  const { length } = text;
  if (length === 0 || length > 15) return undefined;
  let value = 0;
  for (let at = 0; at < length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}
function textToUint(text: string): Int | undefined {
  const [, sign, digits = ''] = WHOLE.exec(text) ?? [];
  return sign === '' ? toUint(BigInt(digits)) : undefined;
}
// Unambiguous, so that it is linear: \d+\.?\d* takes the square of the length to refuse "111...x".
function textToDouble(text: string): number | undefined {
  if (/^[+-]?(inf|infinity)$/i.test(text))
    return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (/^nan$/i.test(text)) return Number.NaN;
  const value = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}
function textToBool(text: string): boolean | undefined {
  if (['true', 'True', 'TRUE', 't', '1'].includes(text)) return true;
  return ['false', 'False', 'FALSE', 'f', '0'].includes(text) ? false : undefined;
}
function bytesToText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

const constant = (parse: (text: string) => unknown, what: string): Partial<Overload> => ({
  checkConstant: ([text]) =>
    typeof text === 'string' && parse(text) === undefined ? `${JSON.stringify(text)} is not ${what}` : undefined,
});
const same = (value: Val): Val => value;

export const CONVERSIONS: readonly Overload[] = [
  fn('int', [INT], INT, same),
  fn('int', [UINT], INT, (value: Int) => toInt(BigInt(value))),
  fn('int', [DOUBLE], INT, doubleToInt),
  fn('int', [STRING], INT, textToInt, constant(textToInt, 'a whole number')),
  fn('int', [TIMESTAMP], INT, (time: Timestamp) => time.seconds),
  fn('int', [DURATION], INT, (span: Duration) => toInt(BigInt(span.seconds) * 1_000_000_000n + BigInt(span.nanos))),
  fn('uint', [UINT], UINT, same),
  fn('uint', [INT], UINT, (value: Int) => toUint(BigInt(value))),
  fn('uint', [DOUBLE], UINT, doubleToUint),
  fn('uint', [STRING], UINT, textToUint, constant(textToUint, 'a whole number from 0')),
  fn('double', [DOUBLE], DOUBLE, same),
  fn('double', [INT], DOUBLE, Number),
  fn('double', [UINT], DOUBLE, Number),
  fn('double', [STRING], DOUBLE, textToDouble, constant(textToDouble, 'a number')),
  fn('string', [STRING], STRING, same),
  fn('string', [INT], STRING, String),
  fn('string', [UINT], STRING, String),
  fn('string', [DOUBLE], STRING, doubleText),
  fn('string', [BOOL], STRING, String),
  fn('string', [BYTES], STRING, bytesToText),
  fn('string', [TIMESTAMP], STRING, formatTimestamp),
  fn('string', [DURATION], STRING, formatDuration),
  fn('string', [IP], STRING, String),
  fn('string', [CIDR], STRING, String),
  fn('bytes', [BYTES], BYTES, same),
  fn('bytes', [STRING], BYTES, (text: string) => new TextEncoder().encode(text)),
  fn('bool', [BOOL], BOOL, same),
  fn('bool', [STRING], BOOL, textToBool, constant(textToBool, 'true or false')),
  fn('timestamp', [TIMESTAMP], TIMESTAMP, same),
  fn(
    'timestamp',
    [STRING],
    TIMESTAMP,
    parseTimestamp,
    constant(parseTimestamp, 'an RFC 3339 time, such as "2026-01-31T12:00:00Z"'),
  ),
  fn('timestamp', [INT], TIMESTAMP, (seconds: Int) =>
    typeof seconds === 'number' && seconds >= -62_135_596_800 && seconds <= 253_402_300_799
      ? new Timestamp(seconds, 0)
      : undefined,
  ),
  fn('duration', [DURATION], DURATION, same),
  fn('duration', [STRING], DURATION, parseDuration, constant(parseDuration, 'a duration, such as "1.5s" or "1h30m"')),
  fn('type', [DYN], TYPE, (value: Val) => typeNameOf(kindOf(value))),
];
