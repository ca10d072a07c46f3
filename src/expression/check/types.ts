/** Joins of types, assignability, and conversions to and from `dyn`. */
import { DYN, type Type, listOf, mapOf, optionalOf, sameType } from '../../attributes/types.ts';
import { boxer, unbox } from '../values/dynamic.ts';
import type { Typed, TypedOf } from './typed.ts';

/**
 * A free type variable: the element type of `[]`, `{}` and `optional.none()`, compared by identity. They have no elements, so
 * any type fits.
 */
export const FREE: Type = Object.freeze({ kind: 'dyn' });

/** Whether the types are equal but for {@link FREE}; their values then have the same form. */
export function fitsFreely(type: Type, wanted: Type): boolean {
  if (type === FREE) return true;
  if (type.kind === 'map')
    return wanted.kind === 'map' && fitsFreely(type.key, wanted.key) && fitsFreely(type.of, wanted.of);
  if (type.kind === 'list' || type.kind === 'optional')
    return wanted.kind === type.kind && fitsFreely(type.of, wanted.of);
  return type.kind === wanted.kind;
}

/** The most specific common type, with `dyn` if one of them has it; `undefined` if there is none. */
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
  if (a.kind === 'optional' && b.kind === 'null') return a; // cel-go: null is assignable to all but primitive types
  if (a.kind === 'null' && b.kind === 'optional') return b;
  return a.kind === b.kind ? a : undefined;
}

/** The join of all; `dyn` if they have none. */
export const joinAll = (types: readonly Type[]): Type =>
  types.reduce((joined, type) => joinTypes(joined, type) ?? DYN, FREE);

export const isPartlyDyn = (type: Type): boolean =>
  type.kind === 'dyn' ||
  ((type.kind === 'list' || type.kind === 'optional') && isPartlyDyn(type.of)) ||
  (type.kind === 'map' && (isPartlyDyn(type.key) || isPartlyDyn(type.of)));

/** Whether a value of the type may be passed where `param` is expected; by its value, if one of them is partly `dyn`. */
export const isAssignable = (type: Type, param: Type): boolean =>
  param.kind === 'dyn' || sameType(type, param) || isAssignableByValue(type, param);

/** One of them is partly `dyn`, and some value of the type is of the other. */
export const isAssignableByValue = (type: Type, param: Type): boolean =>
  (isPartlyDyn(type) || isPartlyDyn(param)) && joinTypes(type, param) !== undefined;

export function toDyn(typed: Typed): Typed {
  if (typed.type === DYN) return typed;
  const box = boxer(typed.type);
  return box === undefined
    ? { ...typed, type: DYN }
    : { kind: 'convert', node: typed.node, type: DYN, of: typed, convert: box };
}

/** Converts to the static form of `type`; an evaluation fails if the value is of another type. */
export function convertTo(typed: Typed, type: Type): Typed {
  if (type.kind === 'dyn') return toDyn(typed);
  if (typed.type === type) return typed;
  if (fitsFreely(typed.type, type)) return { ...typed, type };
  return {
    kind: 'convert',
    node: typed.node,
    type,
    of: typed,
    convert: unboxer(type, boxer(typed.type)),
  };
}

const unboxer = (type: Type, box: ReturnType<typeof boxer>): TypedOf<'convert'>['convert'] =>
  box === undefined ? (value) => unbox(type, value) : (value) => unbox(type, box(value));

/** An argument in the form of the overload's parameter. */
export function argumentFor(param: Type, typed: Typed): Typed {
  if (param.kind === 'dyn') return toDyn(typed);
  return isPartlyDyn(typed.type) || isPartlyDyn(param) ? convertTo(typed, param) : typed;
}
