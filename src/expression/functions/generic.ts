/**
 * Overloads whose types the checker computes, since they depend on the types or the number of the arguments: `size` of
 * containers, optional values, `math.greatest` and `math.least`.
 */
import { BOOL, DYN, INT } from '../../attributes/types.ts';
import { Duration } from '../../attributes/values.ts';
import { NONE, Optional, type Val, compareDyn, equalDyn, isNumber } from '../values/dynamic.ts';
import { type Overload, fn, method } from './overload.ts';
import { lengthOf } from './text.ts';

const sizeOf = (value: Val): number | undefined =>
  Array.isArray(value) ? value.length : value instanceof Map ? value.size : undefined;

export const SIZE_OF_CONTAINER = fn('size', [DYN], INT, sizeOf);
/** Of a value whose type is known at run time. */
export const SIZE_OF_ANY = fn('size', [DYN], INT, (value: Val) =>
  typeof value === 'string' ? lengthOf(value) : value instanceof Uint8Array ? value.length : sizeOf(value),
);

function isZero(value: Val): boolean {
  if (value === false || value === '' || value === null) return true;
  if (isNumber(value)) return equalDyn(value, 0);
  if (value instanceof Duration) return value.seconds === 0 && value.nanos === 0;
  return sizeOf(value) === 0 || (value instanceof Uint8Array && value.length === 0);
}

export const OPTIONAL_OF = fn('optional.of', [DYN], DYN, (value: Val) => new Optional(value));
export const OPTIONAL_OF_NON_ZERO = fn('optional.ofNonZeroValue', [DYN], DYN, (value: Val) =>
  isZero(value) ? NONE : new Optional(value),
);
// null is assignable to an optional type (types.ts), so the value need not be an Optional.
export const HAS_VALUE = method('hasValue', [DYN], BOOL, (value: Val) =>
  value instanceof Optional ? value.value !== undefined : undefined,
);
export const VALUE = method('value', [DYN], DYN, (value: Val) => (value instanceof Optional ? value.value : undefined));

/** The first of the greatest (`sign` 1) or least values; `undefined` if one is not a number, or there are none. */
function extreme(values: readonly Val[], sign: 1 | -1): Val | undefined {
  let [found] = values;
  if (found === undefined || compareDyn(found, 0n) === undefined) return undefined;
  for (const value of values) {
    const order = compareDyn(value, found);
    if (order === undefined) return undefined;
    if (order * sign > 0) found = value;
  }
  return found;
}

type Extreme = 'math.greatest' | 'math.least';
const extremes = (make: (name: Extreme, sign: 1 | -1) => Overload): Readonly<Record<Extreme, Overload>> => ({
  'math.greatest': make('math.greatest', 1),
  'math.least': make('math.least', -1),
});

/** Of any number of arguments. */
export const EXTREMES = extremes((name, sign) =>
  fn(name, [], DYN, (...values: readonly Val[]) => extreme(values, sign)),
);
/** Of one argument: a list, or a value in `dyn` that may be one. */
export const EXTREMES_OF_LIST = extremes((name, sign) =>
  fn(name, [DYN], DYN, (value: Val) =>
    Array.isArray(value)
      ? extreme(value as readonly Val[], sign)
      : typeof value === 'string'
        ? undefined
        : extreme([value], sign),
  ),
);
