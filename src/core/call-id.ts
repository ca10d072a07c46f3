import { randomBytes } from 'node:crypto';

/** 64 random bits: ids outlive the process, in access logs and spooled reports. `1m4w8cx20kfpz-1z`. */
const PREFIX = randomBytes(8).readBigUInt64BE().toString(36).padStart(13, '0');
/** The last two digits, precomputed, since formatting a number in base 36 would dominate the cost of an id. */
const LAST_DIGITS = Array.from({ length: 36 ** 2 }, (_, number) => number.toString(36).padStart(2, '0'));
let head = `${PREFIX}-`;
let heads = 0;
let last = 0;

export function nextId(): string {
  if (++last === LAST_DIGITS.length) {
    last = 0;
    head = `${PREFIX}-${(++heads).toString(36)}`;
  }
  return head + (LAST_DIGITS[last] as string);
}
