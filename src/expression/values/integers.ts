/**
 * Arithmetic of int64 and uint64 over their canonical form (attributes/values.ts), which is several times faster than
 * bigint alone. Overflow and division by zero give `undefined`; the expression then fails.
 */
import { type Int, canonicalInt } from '../../attributes/values.ts';

const MIN_INT = -0x8000_0000_0000_0000n;
const MAX_INT = 0x7fff_ffff_ffff_ffffn;
const MAX_UINT = 0xffff_ffff_ffff_ffffn;

const inInt = (value: bigint): Int | undefined =>
  value < MIN_INT || value > MAX_INT ? undefined : canonicalInt(value);
const inUint = (value: bigint): Int | undefined => (value < 0n || value > MAX_UINT ? undefined : canonicalInt(value));

export const toInt = inInt;
export const toUint = inUint;

export function addInt(a: Int, b: Int): Int | undefined {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return inInt(BigInt(a) + BigInt(b));
}
export function subtractInt(a: Int, b: Int): Int | undefined {
  if (typeof a === 'number' && typeof b === 'number') {
    const difference = a - b;
    if (Number.isSafeInteger(difference)) return difference;
  }
  return inInt(BigInt(a) - BigInt(b));
}
export function multiplyInt(a: Int, b: Int): Int | undefined {
  if (typeof a === 'number' && typeof b === 'number') {
    const product = a * b;
    if (Number.isSafeInteger(product)) return product === 0 ? 0 : product;
  }
  return inInt(BigInt(a) * BigInt(b));
}
/** Truncates towards zero, as in Go and C. */
export function divideInt(a: Int, b: Int): Int | undefined {
  if (b === 0) return undefined;
  return inInt(BigInt(a) / BigInt(b));
}
export function remainderInt(a: Int, b: Int): Int | undefined {
  if (b === 0) return undefined;
  if (typeof a === 'number' && typeof b === 'number') {
    const rest = a % b;
    return rest === 0 ? 0 : rest;
  }
  return inInt(BigInt(a) % BigInt(b));
}
export function negateInt(a: Int): Int | undefined {
  return subtractInt(0, a);
}

export const addUint = (a: Int, b: Int): Int | undefined => inUint(BigInt(a) + BigInt(b));
export const subtractUint = (a: Int, b: Int): Int | undefined => inUint(BigInt(a) - BigInt(b));
export const multiplyUint = (a: Int, b: Int): Int | undefined => inUint(BigInt(a) * BigInt(b));
export const divideUint = (a: Int, b: Int): Int | undefined => (b === 0 ? undefined : inUint(BigInt(a) / BigInt(b)));
export const remainderUint = (a: Int, b: Int): Int | undefined => (b === 0 ? undefined : inUint(BigInt(a) % BigInt(b)));

/** Truncates towards zero; `undefined` for NaN and beyond int64. */
export function doubleToInt(value: number): Int | undefined {
  if (!(value > -9223372036854775808 && value < 9223372036854775808)) return undefined;
  return canonicalInt(BigInt(Math.trunc(value)));
}
export function doubleToUint(value: number): Int | undefined {
  if (!(value > -1 && value < 18446744073709551616)) return undefined;
  return canonicalInt(BigInt(Math.trunc(value)));
}
