/** Closures of macros over lists and maps, of `optMap` and `cel.bind`. */
import type { Bag } from '../../attributes/bag.ts';
import { spendSteps } from '../budget.ts';
import type { MacroKind } from '../parse/ast.ts';
import { NONE, Optional, type Val, keyOf } from '../values/dynamic.ts';
import type { Run } from './runs.ts';

export type Items<T> = (bag: Bag) => Iterable<T> | undefined;

/** `T`: an element or a key; with two variables, a pair. */
export function macroRun<T>(
  macro: MacroKind,
  itemsOf: Items<T>,
  body: Run,
  filter: Run | undefined,
  bind: (item: T) => void,
  keyOfItem: (item: T) => Val,
): Run {
  switch (macro) {
    case 'all':
    case 'exists': {
      const deciding = macro === 'exists';
      return (bag) => {
        const items = itemsOf(bag);
        if (items === undefined) return undefined;
        let hasFailed = false;
        for (const item of items) {
          spendSteps(1);
          bind(item);
          const value = body(bag);
          if (value === deciding) return deciding;
          if (value === undefined) hasFailed = true;
        }
        return hasFailed ? undefined : !deciding;
      };
    }
    case 'exists_one':
      return (bag) => {
        const items = itemsOf(bag);
        if (items === undefined) return undefined;
        let count = 0;
        for (const item of items) {
          spendSteps(1);
          bind(item);
          const value = body(bag);
          if (value === undefined) return undefined;
          if (value === true) count += 1;
        }
        return count === 1;
      };
    case 'filter':
    case 'map':
      return (bag) => {
        const items = itemsOf(bag);
        if (items === undefined) return undefined;
        const made: Val[] = [];
        for (const item of items) {
          spendSteps(1);
          bind(item);
          const keeps = filter === undefined ? true : filter(bag);
          if (keeps === undefined) return undefined;
          if (keeps !== true) continue;
          const value = body(bag);
          if (value === undefined) return undefined;
          if (macro === 'map') made.push(value);
          else if (value === true) made.push(item as Val); // filter() has one variable
        }
        return made as Val;
      };
    case 'transformMap':
    case 'transformMapEntry':
      return (bag) => {
        const items = itemsOf(bag);
        if (items === undefined) return undefined;
        const made = new Map<Val, Val>();
        for (const item of items) {
          spendSteps(1);
          bind(item);
          const keeps = filter === undefined ? true : filter(bag);
          if (keeps === undefined) return undefined;
          if (keeps !== true) continue;
          const value = body(bag);
          if (value === undefined || (macro === 'transformMapEntry' && !(value instanceof Map))) return undefined;
          const entries: Iterable<readonly [Val, Val]> =
            macro === 'transformMap' ? [[keyOfItem(item), value]] : (value as ReadonlyMap<Val, Val>);
          for (const [key, one] of entries) {
            if (made.has(keyOf(key))) return undefined;
            made.set(keyOf(key), one);
          }
        }
        return made as Val;
      };
  }
}

/** The elements of a list, or the keys of a map. */
export function itemsOf(run: Run, isDyn: boolean): Items<Val> {
  return (bag) => {
    const value = run(bag);
    if (Array.isArray(value)) return value as readonly Val[];
    if (!(value instanceof Map)) return undefined;
    return isDyn ? boxedKeys(value as ReadonlyMap<Val, Val>) : (value.keys() as Iterable<Val>);
  };
}

/** Index and element of a list, or key and value of a map. */
export function pairsOf(run: Run, isDyn: boolean): Items<readonly [Val, Val]> {
  return (bag) => {
    const value = run(bag);
    if (Array.isArray(value))
      return isDyn ? boxedPairs((value as readonly Val[]).entries()) : (value as readonly Val[]).entries();
    if (!(value instanceof Map)) return undefined;
    return isDyn ? boxedPairs(value as ReadonlyMap<Val, Val>) : (value as ReadonlyMap<Val, Val>);
  };
}

const boxedKey = (key: Val): Val => (typeof key === 'number' ? BigInt(key) : key);

// Generators, since a macro may end at the first element.
function* boxedKeys(map: ReadonlyMap<Val, Val>): Generator<Val> {
  for (const key of map.keys()) yield boxedKey(key);
}
function* boxedPairs(pairs: Iterable<readonly [Val, Val]>): Generator<readonly [Val, Val]> {
  for (const [key, item] of pairs) yield [boxedKey(key), item];
}

type Setter = (value: Val | undefined) => void;

export function optMapRun(over: Run, set: Setter, body: Run, isFlat: boolean): Run {
  return (bag) => {
    const value = over(bag);
    if (!(value instanceof Optional)) return undefined;
    if (value.value === undefined) return NONE;
    set(value.value);
    const made = body(bag);
    return made === undefined || isFlat ? made : new Optional(made);
  };
}

/** A failed value fails only the parts of the body that read it. */
export function bindRun(value: Run, set: Setter, body: Run): Run {
  return (bag) => {
    set(value(bag));
    return body(bag);
  };
}
