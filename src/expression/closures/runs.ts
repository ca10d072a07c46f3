/**
 * Closures of single nodes over the closures of their children. They are created outside of the builder, since a closure of one of
 * its methods would retain the builder and the tree as long as the expression.
 */
import type { Bag } from '../../attributes/bag.ts';
import { type Type, DYN } from '../../attributes/types.ts';
import { Uint } from '../../attributes/values.ts';
import type { Overload } from '../functions/overload.ts';
import { NONE, Optional, type Val, boxer, keyOf, unbox } from '../values/dynamic.ts';

/** The value of a part; `undefined` if its evaluation failed. */
export type Run = (bag: Bag) => Val | undefined;

export const failingRun: Run = () => undefined;
export const constantRun =
  (value: Val): Run =>
  () =>
    value;

export const attributeRun =
  (slot: number): Run =>
  (bag) =>
    bag.get(slot);
export const optionalAttributeRun =
  (slot: number): Run =>
  (bag) => {
    const value = bag.get(slot);
    return value === undefined ? NONE : new Optional(value);
  };

export const variableRun =
  (values: readonly (Val | undefined)[], index: number): Run =>
  () =>
    values[index];

// ------------------------------------------------------------ fields and keys

export type Lookup = (container: Val, key: Val) => Val | undefined;

export const elementAt: Lookup = (list, index) =>
  Array.isArray(list) && typeof index === 'number' ? (list as readonly Val[])[index] : undefined;
export const entryOf: Lookup = (map, key) => (map as ReadonlyMap<Val, Val>).get(keyOf(key));
export const elementOrEntry: Lookup = (value, key) => {
  if (value instanceof Map) return entryOf(value as Val, key);
  const index = keyOf(key);
  return Array.isArray(value) && typeof index === 'number' && Number.isInteger(index)
    ? (value as readonly Val[])[index]
    : undefined;
};

/** A whole number of any type. */
const isIndex = (key: Val): boolean =>
  typeof key === 'number' ? Number.isInteger(key) : typeof key === 'bigint' || key instanceof Uint;

export const lookupRun =
  (of: Run, key: Run, lookup: Lookup): Run =>
  (bag) => {
    const [value, index] = [of(bag), key(bag)];
    return value === undefined || index === undefined ? undefined : lookup(value, index);
  };

export const optionalLookupRun =
  (of: Run, key: Run, lookup: Lookup): Run =>
  (bag) => {
    let value = of(bag);
    if (value instanceof Optional) value = value.value === undefined ? NONE : value.value;
    if (value === NONE) return NONE;
    const index = key(bag);
    if (value === undefined || index === undefined || !(Array.isArray(value) || value instanceof Map)) return undefined;
    if (Array.isArray(value) && !isIndex(index)) return undefined;
    const found = lookup(value, index);
    return found === undefined ? NONE : found instanceof Optional ? found : new Optional(found);
  };

export const hasAttributeRun =
  (slot: number): Run =>
  (bag) =>
    bag.get(slot) !== undefined;

/** False if the attribute of `slot` is absent. */
export const hasFieldRun =
  (of: Run, field: string, slot: number | undefined): Run =>
  (bag) => {
    if (slot !== undefined && bag.get(slot) === undefined) return false;
    let value = of(bag);
    if (value instanceof Optional) {
      if (value.value === undefined) return false;
      value = value.value;
    }
    return value instanceof Map ? value.has(field) : undefined;
  };

export const hasValueRun =
  (of: Run): Run =>
  (bag) => {
    const value = of(bag);
    return value === undefined ? undefined : value instanceof Optional && value.value !== undefined;
  };

/** `keepsOptional`: the result is the optional value and not the value in it. */
export const orElseRun =
  (of: Run, instead: Run, keepsOptional: boolean): Run =>
  (bag) => {
    const value = of(bag);
    if (!(value instanceof Optional)) return undefined;
    return value.value === undefined ? instead(bag) : keepsOptional ? value : value.value;
  };

// ------------------------------------------------------------ logic

export const notRun =
  (of: Run): Run =>
  (bag) => {
    const value = of(bag);
    return value === undefined ? undefined : value !== true;
  };

/** CEL's commutative logic: the side that decides absorbs a failure of the other. */
export const logicRun =
  (left: Run, right: Run, deciding: boolean): Run =>
  (bag) => {
    const first = left(bag);
    if (first === deciding) return deciding;
    const second = right(bag);
    if (second === deciding) return deciding;
    return first === undefined || second === undefined ? undefined : !deciding;
  };

export const conditionalRun =
  (test: Run, yes: Run, no: Run): Run =>
  (bag) => {
    const value = test(bag);
    return value === undefined ? undefined : value === true ? yes(bag) : no(bag);
  };

export const identicalRun =
  (left: Run, right: Run, wanted: boolean): Run =>
  (bag) => {
    const x = left(bag);
    if (x === undefined) return undefined;
    const y = right(bag);
    return y === undefined ? undefined : (x === y) === wanted;
  };

/** `attribute == "constant"` is the most common expression of all. */
export const identicalToRun = (of: Run, constant: Val, wanted: boolean): Run =>
  wanted
    ? (bag) => {
        const value = of(bag);
        return value === undefined ? undefined : value === constant;
      }
    : (bag) => {
        const value = of(bag);
        return value === undefined ? undefined : value !== constant;
      };

export const inSetRun =
  (item: Run, values: ReadonlySet<Val>): Run =>
  (bag) => {
    const value = item(bag);
    return value === undefined ? undefined : values.has(value);
  };

// ------------------------------------------------------------ calls

export const unaryRun =
  (a: Run, call: (x: Val) => Val | undefined): Run =>
  (bag) => {
    const x = a(bag);
    return x === undefined ? undefined : call(x);
  };

export const binaryRun =
  (a: Run, b: Run, call: (x: Val, y: Val) => Val | undefined): Run =>
  (bag) => {
    const x = a(bag);
    if (x === undefined) return undefined;
    const y = b(bag);
    return y === undefined ? undefined : call(x, y);
  };

export const callRun =
  (args: readonly Run[], call: (...args: readonly Val[]) => Val | undefined): Run =>
  (bag) => {
    const values = valuesOf(args, bag);
    return values === undefined ? undefined : call(...values);
  };

/** Calls the first overload that the values of this evaluation fit. Arguments are `dyn`, and the result if the overloads differ in it. */
export function dispatchRun(overloads: readonly Overload[], args: readonly Run[], type: Type): Run {
  const boxers = overloads.map(({ result }) => (type.kind === 'dyn' ? boxer(result) : undefined));
  return (bag) => {
    const given = valuesOf(args, bag);
    if (given === undefined) return undefined;
    for (const [index, { params, run }] of overloads.entries()) {
      const unboxed = given.map((value, at) => unbox(params[at] ?? DYN, value));
      if (unboxed.includes(undefined)) continue;
      const value = (run as unknown as (...values: readonly (Val | undefined)[]) => Val | undefined)(...unboxed);
      return value === undefined ? undefined : (boxers[index]?.(value) ?? value);
    }
    return undefined;
  };
}

function valuesOf(runs: readonly Run[], bag: Bag): Val[] | undefined {
  const values: Val[] = [];
  for (const run of runs) {
    const value = run(bag);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}

// ------------------------------------------------------------ lists and maps

/** `isOptional`: an optional value, which is left out if it has none. */
export interface ItemRun {
  readonly value: Run;
  readonly isOptional: boolean;
}
export interface EntryRun extends ItemRun {
  readonly key: Run;
}

export const listRun =
  (items: readonly ItemRun[]): Run =>
  (bag) => {
    const list: Val[] = [];
    for (const item of items) {
      const value = item.value(bag);
      if (value === undefined) return undefined;
      if (!item.isOptional) list.push(value);
      else if (!(value instanceof Optional)) return undefined;
      else if (value.value !== undefined) list.push(value.value);
    }
    return list as Val;
  };

/** Fails for a duplicate key, and for one that is no text, bool or whole number. */
export const mapRun =
  (entries: readonly EntryRun[]): Run =>
  (bag) => {
    const map = new Map<Val, Val>();
    for (const entry of entries) {
      const [key, value] = [entry.key(bag), entry.value(bag)];
      if (key === undefined || value === undefined) return undefined;
      const canonical = keyOf(key);
      if (typeof canonical === 'object' || (typeof canonical === 'number' && !Number.isInteger(canonical)))
        return undefined;
      if (map.has(canonical)) return undefined;
      if (!entry.isOptional) map.set(canonical, value);
      else if (!(value instanceof Optional)) return undefined;
      else if (value.value !== undefined) map.set(canonical, value.value);
    }
    return map as Val;
  };
