/** The overloads of the operators. The checker chooses one by the types of both sides (check/operators.ts). */
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  STRING,
  TIMESTAMP,
  type Type,
  UINT,
  listOf,
} from '../../attributes/types.ts';
import { Duration, type Int, type Timestamp } from '../../attributes/values.ts';
import { READ_PER_STEP, spendCharacters, spendSteps } from '../budget.ts';
import {
  type Val,
  boxer,
  compareDyn,
  compareText,
  equalDyn,
  equalObjects,
  isNumber,
  keyOf,
  kindOf,
  unbox,
} from '../values/dynamic.ts';
import * as ints from '../values/integers.ts';
import { type Overload, fn } from './overload.ts';
import { addSpan, addSpans, between, subtractSpans } from './time.ts';

export type Equality = '==' | '!=';
export type Comparison = '<' | '<=' | '>' | '>=';

const operator = (
  sign: string,
  params: readonly Type[],
  result: Type,
  run: Overload['run'],
  more: Partial<Overload> = {},
): Overload => fn(sign, params, result, run, { isOperator: true, ...more });

// ------------------------------------------------------------ equality and order

const equality = (
  equal: (x: never, y: never) => boolean,
  code?: (sign: Equality) => (x: string, y: string) => string,
): Readonly<Record<Equality, Overload>> => {
  const test = equal as (x: Val, y: Val) => boolean;
  const more = (sign: Equality): Partial<Overload> =>
    code === undefined ? {} : { code: code(sign) as (...args: readonly string[]) => string };
  return {
    '==': operator('==', [DYN, DYN], BOOL, test, more('==')),
    '!=': operator('!=', [DYN, DYN], BOOL, (x: Val, y: Val) => !test(x, y), more('!=')),
  };
};

/** JavaScript compares numbers and bigints exactly. */
export const EQUAL_NUMBERS = equality(
  (x: Int, y: Int) => x == y, // eslint-disable-line eqeqeq
  (sign) => (x, y) => `${x} ${sign} ${y}`,
);
export const EQUAL_OBJECTS = equality(equalObjects);
export const EQUAL_DYN = equality(equalDyn);

const comparison = (
  make: (sign: Comparison, test: (order: number) => boolean) => Overload,
): Readonly<Record<Comparison, Overload>> => ({
  '<': make('<', (order) => order < 0),
  '<=': make('<=', (order) => order <= 0),
  '>': make('>', (order) => order > 0),
  '>=': make('>=', (order) => order >= 0),
});

const NUMBER_TESTS: Readonly<Record<Comparison, (x: Int, y: Int) => boolean>> = {
  '<': (x, y) => x < y,
  '<=': (x, y) => x <= y,
  '>': (x, y) => x > y,
  '>=': (x, y) => x >= y,
};
export const COMPARE_NUMBERS = comparison((sign) =>
  operator(sign, [DYN, DYN], BOOL, NUMBER_TESTS[sign], { code: (x, y) => `${x} ${sign} ${y}` }),
);
export const COMPARE_TEXT = comparison((sign, test) =>
  operator(sign, [STRING, STRING], BOOL, (x: string, y: string) => test(compareText(x, y))),
);
export const COMPARE_DYN = comparison((sign, test) =>
  operator(sign, [DYN, DYN], BOOL, (x: Val, y: Val) => {
    const order = compareDyn(x, y);
    if (order !== undefined) return test(order);
    return isNumber(x) && isNumber(y) ? false : undefined; // NaN has no order
  }),
);

// ------------------------------------------------------------ in

/** For elements whose equality is `===`. */
export const IN_LIST_OF_SAME = operator('in', [DYN, DYN], BOOL, (item: Val, list: readonly Val[]) =>
  list.includes(item),
);
export const IN_LIST = operator('in', [DYN, DYN], BOOL, (item: Val, list: readonly Val[]) =>
  list.some((other) => equalDyn(item, other)),
);
export const IN_MAP = operator('in', [DYN, DYN], BOOL, (key: Val, map: ReadonlyMap<Val, Val>) => map.has(keyOf(key)));
export const IN_DYN = operator('in', [DYN, DYN], BOOL, (item: Val, within: Val) => {
  if (Array.isArray(within)) return (within as readonly Val[]).some((other) => equalDyn(item, other));
  return within instanceof Map ? within.has(keyOf(item)) : undefined;
});

// ------------------------------------------------------------ arithmetic

const joinText = (a: string, b: string): string => {
  spendCharacters(a.length + b.length);
  return a + b;
};
const joinLists = (a: readonly Val[], b: readonly Val[]): Val => {
  spendSteps(Math.trunc((a.length + b.length) / READ_PER_STEP));
  return [...a, ...b] as Val;
};
const joinBytes = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  spendCharacters(a.length + b.length);
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
};
const BUILDS = { builds: true } as const;

export const JOIN_LISTS = operator('+', [listOf(DYN), listOf(DYN)], listOf(DYN), joinLists, BUILDS);

const ALL_ARITHMETIC: readonly Overload[] = [
  operator('+', [INT, INT], INT, ints.addInt),
  operator('-', [INT, INT], INT, ints.subtractInt),
  operator('*', [INT, INT], INT, ints.multiplyInt),
  operator('/', [INT, INT], INT, ints.divideInt),
  operator('%', [INT, INT], INT, ints.remainderInt),
  operator('+', [UINT, UINT], UINT, ints.addUint),
  operator('-', [UINT, UINT], UINT, ints.subtractUint),
  operator('*', [UINT, UINT], UINT, ints.multiplyUint),
  operator('/', [UINT, UINT], UINT, ints.divideUint),
  operator('%', [UINT, UINT], UINT, ints.remainderUint),
  operator('+', [DOUBLE, DOUBLE], DOUBLE, (a: number, b: number) => a + b),
  operator('-', [DOUBLE, DOUBLE], DOUBLE, (a: number, b: number) => a - b),
  operator('*', [DOUBLE, DOUBLE], DOUBLE, (a: number, b: number) => a * b),
  operator('/', [DOUBLE, DOUBLE], DOUBLE, (a: number, b: number) => a / b),
  operator('+', [STRING, STRING], STRING, joinText, BUILDS),
  operator('+', [BYTES, BYTES], BYTES, joinBytes, BUILDS),
  operator('+', [TIMESTAMP, DURATION], TIMESTAMP, (a: Timestamp, b: Duration) => addSpan(a, b)),
  operator('+', [DURATION, TIMESTAMP], TIMESTAMP, (a: Duration, b: Timestamp) => addSpan(b, a)),
  operator('-', [TIMESTAMP, DURATION], TIMESTAMP, (a: Timestamp, b: Duration) => addSpan(a, b, -1)),
  operator('-', [TIMESTAMP, TIMESTAMP], DURATION, between),
  operator('+', [DURATION, DURATION], DURATION, addSpans),
  operator('-', [DURATION, DURATION], DURATION, subtractSpans),
];

/** By sign. */
export const ARITHMETIC: ReadonlyMap<string, readonly Overload[]> = Map.groupBy(ALL_ARITHMETIC, ({ name }) => name);

/** By sign, for `dyn` values; each evaluation uses the overload that they fit. */
export const DYN_ARITHMETIC: ReadonlyMap<string, Overload> = new Map(
  [...ARITHMETIC].map(([sign, overloads]) => [
    sign,
    operator(sign, [DYN, DYN], DYN, dynArithmetic(sign, overloads), sign === '+' ? BUILDS : {}),
  ]),
);

function dynArithmetic(sign: string, overloads: readonly Overload[]): (x: Val, y: Val) => Val | undefined {
  return (x, y) => {
    if (sign === '+' && Array.isArray(x) && Array.isArray(y))
      return joinLists(x as readonly Val[], y as readonly Val[]);
    const [a, b] = [kindOf(x), kindOf(y)];
    for (const {
      params: [left = DYN, right = DYN],
      result,
      run,
    } of overloads) {
      if (left.kind !== a || right.kind !== b) continue;
      const value = (run as unknown as (p: Val | undefined, q: Val | undefined) => Val | undefined)(
        unbox(left, x),
        unbox(right, y),
      );
      return value === undefined ? undefined : (boxer(result)?.(value) ?? value);
    }
    return undefined;
  };
}

/** `-x`, by the kind of its operand. */
export const NEGATION: ReadonlyMap<Type['kind'], Overload> = new Map([
  ['int', operator('-', [INT], INT, ints.negateInt)],
  ['double', operator('-', [DOUBLE], DOUBLE, (value: number) => -value)],
  ['duration', operator('-', [DURATION], DURATION, (value: Duration) => subtractSpans(new Duration(0, 0), value))],
  [
    'dyn',
    operator('-', [DYN], DYN, (value: Val) => {
      if (typeof value === 'number') return -value;
      if (value instanceof Duration) return subtractSpans(new Duration(0, 0), value);
      const negative = typeof value === 'bigint' ? ints.negateInt(value) : undefined;
      return negative === undefined ? undefined : BigInt(negative);
    }),
  ],
]);
