/** Reading lists, maps and fields. */
import { BOOL } from '../attributes/types.ts';
import type { Bag } from '../attributes/bag.ts';
import type { Value } from '../attributes/values.ts';
import { Optional, type Val, keyOf } from './values/dynamic.ts';
import type { Plan } from './planned.ts';

export const elementAt = (list: Val, index: Val): Val | undefined =>
  Array.isArray(list) && typeof index === 'number' ? (list as readonly Val[])[index] : undefined;
export const entryOf = (map: Val, key: Val): Val | undefined => (map as ReadonlyMap<Val, Val>).get(keyOf(key));
export function anyOf(value: Val, key: Val): Val | undefined {
  if (value instanceof Map) return entryOf(value as Val, key);
  const index = keyOf(key);
  return Array.isArray(value) && typeof index === 'number' && Number.isInteger(index)
    ? (value as readonly Val[])[index]
    : undefined;
}

export function hasField({ run }: Plan, field: string, isAbsent: ((bag: Bag) => boolean) | undefined): Plan {
  return {
    type: BOOL,
    run: (bag) => {
      if (isAbsent?.(bag) === true) return false;
      let value = run(bag);
      if (value instanceof Optional) {
        if (value.value === undefined) return false;
        value = value.value;
      }
      if (value === undefined) return undefined;
      return value instanceof Map ? value.has(field) : undefined;
    },
  };
}

export function sizeOf(value: Val | undefined): Value | undefined {
  return Array.isArray(value) ? value.length : value instanceof Map ? value.size : undefined;
}

export function isZero(value: Val): boolean {
  if (value === false || value === 0 || value === 0n || value === '' || value === null) return true;
  return sizeOf(value) === 0 || (value instanceof Uint8Array && value.length === 0);
}
