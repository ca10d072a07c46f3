import { randomInt } from 'node:crypto';

/** Unique in this process, and among the processes of a mesh with high probability: `k3f9a2-1z`. */
const PREFIX = randomInt(36 ** 6)
  .toString(36)
  .padStart(6, '0');
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
