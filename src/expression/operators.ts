/** The binary operators by the types of both sides, so that nothing about types is asked on a call (cel-spec, "Operators"). */
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
  sameType,
  typeText,
} from '../attributes/types.ts';
import { Duration, type Int, type Timestamp } from '../attributes/values.ts';
import {
  type Val,
  boxer,
  compareDyn,
  compareText,
  equalDyn,
  equalObjects,
  keyOf,
  kindOf,
  unbox,
} from './values/dynamic.ts';
import { addSpan, addSpans, between, subtractSpans } from './functions/time.ts';
import { emitBinary, emitUnary } from './generate.ts';
import { READ_PER_STEP, spendCharacters, spendSteps } from './budget.ts';
import * as ints from './values/integers.ts';
import { type Plan, heldAs, joinTypes } from './planned.ts';

type Operation = (a: never, b: never) => Val | undefined;
type Made = { readonly plan: Plan } | { readonly problem: string };

const OPERATORS: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>=', 'in', '+', '-', '*', '/', '%']);
const NUMERIC: ReadonlySet<Type['kind']> = new Set(['int', 'uint', 'double']);
const IDENTICAL: ReadonlySet<Type['kind']> = new Set(['bool', 'string', 'null']);
const ORDERED: ReadonlySet<Type['kind']> = new Set([
  'bool',
  'int',
  'uint',
  'double',
  'string',
  'bytes',
  'timestamp',
  'duration',
]);

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

/** `left sign right`: the result's type and the operation in static forms. */
const ARITHMETIC: readonly (readonly [left: Type, sign: string, right: Type, result: Type, run: Operation])[] = [
  [INT, '+', INT, INT, ints.addInt],
  [INT, '-', INT, INT, ints.subtractInt],
  [INT, '*', INT, INT, ints.multiplyInt],
  [INT, '/', INT, INT, ints.divideInt],
  [INT, '%', INT, INT, ints.remainderInt],
  [UINT, '+', UINT, UINT, ints.addUint],
  [UINT, '-', UINT, UINT, ints.subtractUint],
  [UINT, '*', UINT, UINT, ints.multiplyUint],
  [UINT, '/', UINT, UINT, ints.divideUint],
  [UINT, '%', UINT, UINT, ints.remainderUint],
  [DOUBLE, '+', DOUBLE, DOUBLE, (a: number, b: number) => a + b],
  [DOUBLE, '-', DOUBLE, DOUBLE, (a: number, b: number) => a - b],
  [DOUBLE, '*', DOUBLE, DOUBLE, (a: number, b: number) => a * b],
  [DOUBLE, '/', DOUBLE, DOUBLE, (a: number, b: number) => a / b],
  [STRING, '+', STRING, STRING, joinText],
  [BYTES, '+', BYTES, BYTES, joinBytes],
  [TIMESTAMP, '+', DURATION, TIMESTAMP, (a: Timestamp, b: Duration) => addSpan(a, b)],
  [DURATION, '+', TIMESTAMP, TIMESTAMP, (a: Duration, b: Timestamp) => addSpan(b, a)],
  [TIMESTAMP, '-', DURATION, TIMESTAMP, (a: Timestamp, b: Duration) => addSpan(a, b, -1)],
  [TIMESTAMP, '-', TIMESTAMP, DURATION, between],
  [DURATION, '+', DURATION, DURATION, addSpans],
  [DURATION, '-', DURATION, DURATION, subtractSpans],
];

export function binaryOperator(sign: string, left: Plan, right: Plan): Made | undefined {
  if (!OPERATORS.has(sign)) return undefined;
  if (sign === '==' || sign === '!=') return equality(left, right, sign === '==');
  if (sign === 'in') return membership(left, right);
  if (sign === '<' || sign === '<=' || sign === '>' || sign === '>=') return ordering(sign, left, right);
  return arithmetic(sign, left, right);
}

const isDyn = ({ type }: Plan): boolean => type.kind === 'dyn';
const no = (sign: string, left: Plan, right: Plan, hint = ''): Made => ({
  problem: `there is no ${typeText(left.type)} ${sign} ${typeText(right.type)}${hint}`,
});

/** `code`: the operation as JavaScript, where that is shorter than calling it. */
function both(
  left: Plan,
  right: Plan,
  type: Type,
  operation: Operation,
  code?: (x: string, y: string) => string,
): Made {
  const [a, b] = [left.run, right.run];
  const run = operation as unknown as (x: Val, y: Val) => Val | undefined;
  const emit = emitBinary(left, right, (x, y, out) => code?.(x, y) ?? `${out.pooled(run)}(${x}, ${y})`);
  return {
    plan: {
      type,
      emit,
      run: (bag) => {
        const x = a(bag);
        if (x === undefined) return undefined;
        const y = b(bag);
        return y === undefined ? undefined : run(x, y);
      },
    },
  };
}

function boxedRun(plan: Plan): Plan {
  const box = boxer(plan.type);
  const { run } = plan;
  return box === undefined
    ? { ...plan, type: DYN }
    : {
        type: DYN,
        run: (bag) => {
          const value = run(bag);
          return value === undefined ? undefined : box(value);
        },
      };
}

function equality(left: Plan, right: Plan, wants: boolean): Made {
  const [a, b] = [left.type.kind, right.type.kind];
  if (IDENTICAL.has(a) && a === b) return identity(left, right, wants);
  if (NUMERIC.has(a) && NUMERIC.has(b))
    return both(
      left,
      right,
      BOOL,
      (x: Int, y: Int) => (x == y) === wants,
      (x, y) => `${x} ${wants ? '==' : '!='} ${y}`,
    ); // eslint-disable-line eqeqeq
  if (a === b && ['bytes', 'timestamp', 'duration', 'ip', 'cidr', 'type'].includes(a))
    return both(left, right, BOOL, (x: object, y: object) => equalObjects(x, y) === wants);
  const isComparable = isDyn(left) || isDyn(right) || a === b || a === 'null' || b === 'null';
  if (!isComparable) return no(wants ? '==' : '!=', left, right, hintFor(left, right));
  return both(boxedRun(left), boxedRun(right), BOOL, (x: Val, y: Val) => equalDyn(x, y) === wants);
}

/** The commonest form of all, `attribute == "constant"`, without asking the constant. */
function identity(left: Plan, right: Plan, wants: boolean): Made {
  const [read, constant] = right.constant !== undefined ? [left.run, right.constant] : [right.run, left.constant];
  const sign = wants ? '===' : '!==';
  if (constant === undefined)
    return both(
      left,
      right,
      BOOL,
      (x: Val, y: Val) => (x === y) === wants,
      (x, y) => `${x} ${sign} ${y}`,
    );
  const of = right.constant !== undefined ? left : right;
  return {
    plan: {
      type: BOOL,
      emit: emitUnary(of, (x, out) => `${x} ${sign} ${out.pooled(constant)}`),
      run: wants
        ? (bag) => {
            const value = read(bag);
            return value === undefined ? undefined : value === constant;
          }
        : (bag) => {
            const value = read(bag);
            return value === undefined ? undefined : value !== constant;
          },
    },
  };
}

function hintFor(left: Plan, right: Plan): string {
  const kinds = [left.type.kind, right.type.kind];
  if (kinds.includes('ip') && kinds.includes('string')) return '; write ip("192.0.2.1")';
  if (kinds.includes('duration') && kinds.includes('string')) return '; write duration("1s")';
  if (kinds.includes('timestamp') && kinds.includes('string')) return '; write timestamp("2026-01-31T12:00:00Z")';
  if (kinds.includes('string') && (kinds.includes('int') || kinds.includes('double')))
    return '; convert one of them: int(x) or string(x)';
  if (kinds.includes('optional')) return '; take the value out with .orValue(...)';
  return '';
}

function membership(item: Plan, container: Plan): Made {
  const { type } = container;
  if (type.kind === 'list') {
    const constant = container.constant as readonly Val[] | undefined;
    if (constant !== undefined && IDENTICAL.has(item.type.kind) && sameType(item.type, type.of)) {
      const known = new Set(constant);
      const { run } = item;
      return {
        plan: {
          type: BOOL,
          emit: emitUnary(item, (x, out) => `${out.pooled(known)}.has(${x})`),
          run: (bag) => {
            const value = run(bag);
            return value === undefined ? undefined : known.has(value);
          },
        },
      };
    }
    if (
      !isDyn(item) &&
      type.of.kind !== 'dyn' &&
      item.type.kind !== type.of.kind &&
      !(NUMERIC.has(item.type.kind) && NUMERIC.has(type.of.kind))
    )
      return no('in', item, container, hintFor(item, { ...container, type: type.of }));
    return both(boxedRun(item), boxedRun(container), BOOL, (value: Val, list: readonly Val[]) =>
      list.some((other) => equalDyn(value, other)),
    );
  }
  if (type.kind === 'map') {
    if (
      !isDyn(item) &&
      type.key.kind !== 'dyn' &&
      item.type.kind !== type.key.kind &&
      !(NUMERIC.has(item.type.kind) && NUMERIC.has(type.key.kind))
    )
      return no('in', item, container);
    return both(item, container, BOOL, (key: Val, map: ReadonlyMap<Val, Val>) => map.has(keyOf(key)));
  }
  if (type.kind === 'cidr' || item.type.kind === 'ip')
    return { problem: `in goes with lists and maps; write cidr("10.0.0.0/8").containsIP(x)` };
  if (!isDyn(container)) return no('in', item, container);
  return both(boxedRun(item), container, BOOL, (value: Val, within: Val) => {
    if (Array.isArray(within)) return (within as readonly Val[]).some((other) => equalDyn(value, other));
    return within instanceof Map ? within.has(keyOf(value)) : undefined;
  });
}

const TESTS: Readonly<Record<string, (order: number) => boolean>> = {
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

function ordering(sign: '<' | '<=' | '>' | '>=', left: Plan, right: Plan): Made {
  const [a, b] = [left.type.kind, right.type.kind];
  if (NUMERIC.has(a) && NUMERIC.has(b)) {
    switch (
      sign // numbers and bigints compare exactly in JavaScript
    ) {
      case '<':
        return both(
          left,
          right,
          BOOL,
          (x: Int, y: Int) => x < y,
          (x, y) => `${x} < ${y}`,
        );
      case '<=':
        return both(
          left,
          right,
          BOOL,
          (x: Int, y: Int) => x <= y,
          (x, y) => `${x} <= ${y}`,
        );
      case '>':
        return both(
          left,
          right,
          BOOL,
          (x: Int, y: Int) => x > y,
          (x, y) => `${x} > ${y}`,
        );
      case '>=':
        return both(
          left,
          right,
          BOOL,
          (x: Int, y: Int) => x >= y,
          (x, y) => `${x} >= ${y}`,
        );
    }
  }
  const test = TESTS[sign] ?? (() => false);
  if (a === 'string' && b === 'string')
    return both(left, right, BOOL, (x: string, y: string) => test(compareText(x, y)));
  if ((a === b && ORDERED.has(a)) || isDyn(left) || isDyn(right)) {
    if ((!isDyn(left) && !ORDERED.has(a)) || (!isDyn(right) && !ORDERED.has(b))) return no(sign, left, right);
    return both(boxedRun(left), boxedRun(right), BOOL, (x: Val, y: Val) => {
      const order = compareDyn(x, y);
      if (order !== undefined) return test(order);
      return typeof x === 'number' || typeof y === 'number' ? false : undefined; // NaN is in no order
    });
  }
  return no(sign, left, right, hintFor(left, right));
}

function arithmetic(sign: string, left: Plan, right: Plan): Made {
  for (const [a, operator, b, result, run] of ARITHMETIC) {
    if (operator === sign && a.kind === left.type.kind && b.kind === right.type.kind)
      return both(left, right, result, run);
  }
  if (sign === '+' && left.type.kind === 'list' && right.type.kind === 'list') {
    const type = joinTypes(left.type, right.type) ?? listOf(DYN);
    return both(heldAs(left, type), heldAs(right, type), type, joinLists);
  }
  const isPossible =
    (isDyn(left) || isDyn(right)) &&
    (sign === '+' ||
      ARITHMETIC.some(
        ([a, operator, b]) =>
          operator === sign &&
          (isDyn(left) || a.kind === left.type.kind) &&
          (isDyn(right) || b.kind === right.type.kind),
      ));
  if (!isPossible) return no(sign, left, right, hintFor(left, right));
  return both(boxedRun(left), boxedRun(right), DYN, (x: Val, y: Val) => dynamicArithmetic(sign, x, y));
}

function dynamicArithmetic(sign: string, x: Val, y: Val): Val | undefined {
  if (sign === '+' && Array.isArray(x) && Array.isArray(y)) return joinLists(x as readonly Val[], y as readonly Val[]);
  const [a, b] = [kindOf(x), kindOf(y)];
  for (const [left, operator, right, result, run] of ARITHMETIC) {
    if (operator !== sign || left.kind !== a || right.kind !== b) continue;
    const value = (run as unknown as (p: Val | undefined, q: Val | undefined) => Val | undefined)(
      unbox(left, x),
      unbox(right, y),
    );
    return value === undefined ? undefined : (boxer(result)?.(value) ?? value);
  }
  return undefined;
}

/** `-x`. */
export function negate(plan: Plan): Plan | undefined {
  const { run } = plan;
  const one = (type: Type, change: (value: Val) => Val | undefined): Plan => ({
    type,
    run: (bag) => {
      const value = run(bag);
      return value === undefined ? undefined : change(value);
    },
  });
  switch (plan.type.kind) {
    case 'int':
      return one(INT, (value) => ints.negateInt(value as Int));
    case 'double':
      return one(DOUBLE, (value) => -(value as number));
    case 'duration':
      return one(DURATION, (value) => subtractSpans(new Duration(0, 0), value as Duration));
    case 'dyn':
      return one(DYN, (value) => {
        if (typeof value === 'number') return -value;
        const negative = typeof value === 'bigint' ? ints.negateInt(value) : undefined;
        return negative === undefined ? undefined : BigInt(negative);
      });
    default:
      return undefined;
  }
}
