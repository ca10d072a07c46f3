/** cel-go's math extension; greatest() and least() take any number of arguments (generic.ts). */
import { BOOL, DOUBLE, INT, UINT } from '../../attributes/types.ts';
import { type Int, canonicalInt } from '../../attributes/values.ts';
import { negateInt } from '../values/integers.ts';
import { type Overload, fn } from './overload.ts';

const signed = (value: bigint): Int => canonicalInt(BigInt.asIntN(64, value));
const unsigned = (value: bigint): Int => canonicalInt(BigInt.asUintN(64, value));

/** Of int and of uint. */
const bitwise = (name: string, run: (a: bigint, b: bigint) => bigint): Overload[] => [
  fn(`math.${name}`, [INT, INT], INT, (a: Int, b: Int) => signed(run(BigInt(a), BigInt(b)))),
  fn(`math.${name}`, [UINT, UINT], UINT, (a: Int, b: Int) => unsigned(run(BigInt(a), BigInt(b)))),
];

/** A shift by 64 or more gives 0; a shift to the right fills with zeros, also for negative ints (cel-go). */
const shift = (name: string, run: (bits: bigint, count: bigint) => bigint): Overload[] => {
  const shifted = (value: Int, count: Int): bigint | undefined =>
    count < 0 ? undefined : count > 63 ? 0n : run(BigInt.asUintN(64, BigInt(value)), BigInt(count));
  const typed = (toType: (bits: bigint) => Int) => (value: Int, count: Int) => {
    const bits = shifted(value, count);
    return bits === undefined ? undefined : toType(bits);
  };
  return [fn(`math.${name}`, [INT, INT], INT, typed(signed)), fn(`math.${name}`, [UINT, INT], UINT, typed(unsigned))];
};

const onDouble = (name: string, run: (value: number) => number): Overload => fn(`math.${name}`, [DOUBLE], DOUBLE, run);
const signOf = (value: Int): number => (value > 0 ? 1 : value < 0 ? -1 : 0);

export const MATH_FUNCTIONS: readonly Overload[] = [
  onDouble('ceil', Math.ceil),
  onDouble('floor', Math.floor),
  onDouble('trunc', Math.trunc),
  onDouble('round', (value) => Math.sign(value) * Math.round(Math.abs(value))), // halves away from zero
  fn('math.abs', [INT], INT, (value: Int) => (value < 0 ? negateInt(value) : value)),
  fn('math.abs', [UINT], UINT, (value: Int) => value),
  onDouble('abs', Math.abs),
  fn('math.sign', [INT], INT, signOf),
  fn('math.sign', [UINT], UINT, signOf),
  onDouble('sign', (value) => Math.sign(value) + 0), // of -0.0 it is 0.0
  fn('math.isNaN', [DOUBLE], BOOL, (value: number) => Number.isNaN(value)),
  fn('math.isInf', [DOUBLE], BOOL, (value: number) => Math.abs(value) === Infinity),
  fn('math.isFinite', [DOUBLE], BOOL, (value: number) => Number.isFinite(value)),
  fn('math.sqrt', [DOUBLE], DOUBLE, Math.sqrt),
  fn('math.sqrt', [INT], DOUBLE, (value: Int) => Math.sqrt(Number(value))),
  fn('math.sqrt', [UINT], DOUBLE, (value: Int) => Math.sqrt(Number(value))),
  ...bitwise('bitAnd', (a, b) => a & b),
  ...bitwise('bitOr', (a, b) => a | b),
  ...bitwise('bitXor', (a, b) => a ^ b),
  fn('math.bitNot', [INT], INT, (value: Int) => signed(~BigInt(value))),
  fn('math.bitNot', [UINT], UINT, (value: Int) => unsigned(~BigInt(value))),
  ...shift('bitShiftLeft', (bits, count) => bits << count),
  ...shift('bitShiftRight', (bits, count) => bits >> count),
];
