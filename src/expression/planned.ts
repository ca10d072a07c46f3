/** What planning makes of a node: its type, and a closure that makes its value. `undefined` from a closure is "failed". */
import type { Bag } from '../attributes/bag.ts';
import { DYN, type Type, listOf, mapOf, optionalOf } from '../attributes/types.ts';
import { DEFAULT_BUDGET, withinBudget } from './budget.ts';
import { type Val, boxer, unbox } from './values/dynamic.ts';
import { type Emitter, emitUnary } from './generate.ts';

export type Run = (bag: Bag) => Val | undefined;

/** Code for an expression that is `undefined` where the plan fails. */
export type Emit = (out: Emitter) => string;

export interface Plan {
  readonly type: Type;
  readonly run: Run;
  /** The same as JavaScript; where there is none, `run` is called. */
  readonly emit?: Emit | undefined;
  /** Of an optional value: code for what is in it, or for `instead` where nothing is. */
  readonly emitOr?: ((out: Emitter, instead: string) => string) | undefined;
  /** The value, where it reads nothing and cannot fail. */
  readonly constant?: Val | undefined;
}

/** Of a node with a problem: it has been told, and what is made of it is not told again. */
export const WRONG: Plan = { type: DYN, run: () => undefined };

/** Of the elements of `[]`, `{}` and `optional.none()`, known by identity: there are none, so any type will do. */
export const FREE: Type = Object.freeze({ kind: 'dyn' });

/** Whether a value of the type is one of the wanted type as it is held, since it differs only where there are no elements. */
export function fitsFreely(type: Type, wanted: Type): boolean {
  if (type === FREE) return true;
  if (type.kind === 'map')
    return wanted.kind === 'map' && fitsFreely(type.key, wanted.key) && fitsFreely(type.of, wanted.of);
  if (type.kind === 'list' || type.kind === 'optional')
    return wanted.kind === type.kind && fitsFreely(type.of, wanted.of);
  return type.kind === wanted.kind;
}

/** The one type that values of both types are of: `dyn` stands where one of them has it; nothing where they have none. */
export function joinTypes(a: Type, b: Type): Type | undefined {
  if (a === FREE) return b;
  if (b === FREE) return a;
  if (a.kind === 'dyn' || b.kind === 'dyn') return DYN;
  if (a.kind === 'map' && b.kind === 'map') {
    const [key, of] = [joinTypes(a.key, b.key), joinTypes(a.of, b.of)];
    return key === undefined || of === undefined ? undefined : mapOf(key, of);
  }
  if ((a.kind === 'list' && b.kind === 'list') || (a.kind === 'optional' && b.kind === 'optional')) {
    const of = joinTypes(a.of, b.of);
    return of === undefined ? undefined : a.kind === 'list' ? listOf(of) : optionalOf(of);
  }
  if (a.kind === 'optional' && b.kind === 'null') return a; // cel-go: null is assignable to what is no primitive
  if (a.kind === 'null' && b.kind === 'optional') return b;
  return a.kind === b.kind ? a : undefined;
}

/** The same value, held as a type of which it is. */
export function heldAs(plan: Plan, type: Type): Plan {
  if (type.kind === 'dyn') return boxed(plan);
  if (fitsFreely(plan.type, type)) return { ...plan, type };
  const box = boxer(plan.type);
  const { run } = plan;
  return constantOf([plan], {
    type,
    run: (bag) => {
      const value = run(bag);
      return value === undefined ? undefined : unbox(type, box?.(value) ?? value);
    },
  });
}
export const isPartlyDyn = (type: Type): boolean =>
  type.kind === 'dyn' ||
  ((type.kind === 'list' || type.kind === 'optional') && isPartlyDyn(type.of)) ||
  (type.kind === 'map' && (isPartlyDyn(type.key) || isPartlyDyn(type.of)));

export function boxed(plan: Plan): Plan {
  const box = boxer(plan.type);
  if (plan.type.kind === 'dyn' || box === undefined) return { ...plan, type: DYN };
  const { run } = plan;
  return constantOf([plan], {
    type: DYN,
    emit: emitUnary(plan, (x, out) => `${out.pooled(box)}(${x})`),
    run: (bag) => {
      const value = run(bag);
      return value === undefined ? undefined : box(value);
    },
  });
}

/** Works out at load what reads nothing. */
export function constantOf(operands: readonly Plan[], plan: Plan): Plan {
  if (!operands.every(({ constant }) => constant !== undefined)) return plan;
  const value = valueAtLoad(plan.run);
  return value === undefined ? plan : { type: plan.type, run: () => value, constant: value };
}

/** `undefined` where it fails or is over the budget of an evaluation. */
function valueAtLoad(run: Run): Val | undefined {
  try {
    return withinBudget(DEFAULT_BUDGET, run, NOTHING);
  } catch {
    return undefined;
  }
}
export const NOTHING: Bag = { get: () => undefined };
