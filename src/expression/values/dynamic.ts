/**
 * Values whose type is known only at run time. In `dyn` an int is a bigint and a uint a {@link Uint}, so that a number
 * is a double; `boxer` and `unbox` convert between that and the static form (attributes/values.ts).
 */
import { Cidr, Ip } from '../../attributes/network.ts';
import type { Type } from '../../attributes/types.ts';
import { Duration, type Int, Timestamp, Uint, type Value, canonicalInt } from '../../attributes/values.ts';

/** An optional value (cel-spec, optional values); `undefined`: it has none. */
export class Optional {
  readonly value: Val | undefined;
  constructor(value: Val | undefined) {
    this.value = value;
  }
}
export const NONE = new Optional(undefined);

/** The value of `type(x)`. */
export class TypeName {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export type Val = Value | Optional | TypeName | readonly Val[] | ReadonlyMap<Val, Val>;

type Convert = (value: Val) => Val;

/** Converts the static form of a type to the form in `dyn`; `undefined` if both are the same. */
export function boxer(type: Type): Convert | undefined {
  switch (type.kind) {
    case 'int':
      return (value) => BigInt(value as Int);
    case 'uint':
      return (value) => new Uint(BigInt(value as Int));
    case 'list': {
      const of = boxer(type.of);
      return of === undefined ? undefined : (value) => (value as readonly Val[]).map(of);
    }
    case 'map': {
      const [key, of] = [boxer(type.key), boxer(type.of)];
      if (key === undefined && of === undefined) return undefined;
      return (value) =>
        new Map(Array.from(value as ReadonlyMap<Val, Val>, ([k, v]) => [keyOf(key?.(k) ?? k), of?.(v) ?? v]));
    }
    case 'optional': {
      const of = boxer(type.of);
      return of === undefined
        ? undefined
        : (value) => (value instanceof Optional && value.value !== undefined ? new Optional(of(value.value)) : value);
    }
    default:
      return undefined;
  }
}

/** The canonical form of a map's key: equal int, uint and whole double are one key, held as an int. */
export function keyOf(value: Val): Val {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value === 'bigint') return canonicalInt(value);
  if (value instanceof Uint) return canonicalInt(value.value);
  return value;
}

/** Converts the form in `dyn` to the static form; `undefined` if the value is not of the type. */
export function unbox(type: Type, value: Val): Val | undefined {
  switch (type.kind) {
    case 'dyn':
      return value;
    case 'int':
      return typeof value === 'bigint' ? canonicalInt(value) : undefined;
    case 'uint':
      return value instanceof Uint ? canonicalInt(value.value) : undefined;
    case 'list':
      return Array.isArray(value) ? every(value as readonly Val[], (item) => unbox(type.of, item)) : undefined;
    case 'map': {
      if (!(value instanceof Map)) return undefined;
      const entries = every([...(value as ReadonlyMap<Val, Val>)], ([key, item]) => {
        const inner = unbox(type.of, item);
        return inner === undefined ? undefined : ([key, inner] as const);
      });
      return entries === undefined ? undefined : new Map(entries);
    }
    case 'optional': {
      if (value === null) return null;
      if (!(value instanceof Optional) || value.value === undefined)
        return value instanceof Optional ? value : undefined;
      const inner = unbox(type.of, value.value);
      return inner === undefined ? undefined : new Optional(inner);
    }
    default:
      return kindOf(value) === type.kind ? value : undefined;
  }
}

function every<T, R>(items: readonly T[], change: (item: T) => R | undefined): R[] | undefined {
  const changed: R[] = [];
  for (const item of items) {
    const inner = change(item);
    if (inner === undefined) return undefined;
    changed.push(inner);
  }
  return changed;
}

/** The kind of a value in `dyn` form. */
export function kindOf(value: Val): Type['kind'] {
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'number':
      return 'double';
    case 'bigint':
      return 'int';
    case 'string':
      return 'string';
    default:
      if (value === null) return 'null';
      if (value instanceof Uint) return 'uint';
      if (value instanceof Uint8Array) return 'bytes';
      if (value instanceof Timestamp) return 'timestamp';
      if (value instanceof Duration) return 'duration';
      if (value instanceof Ip) return 'ip';
      if (value instanceof Cidr) return 'cidr';
      if (value instanceof Optional) return 'optional';
      if (value instanceof TypeName) return 'type';
      return Array.isArray(value) ? 'list' : 'map';
  }
}

const TYPE_NAMES: Readonly<Partial<Record<Type['kind'], string>>> = {
  timestamp: 'google.protobuf.Timestamp',
  duration: 'google.protobuf.Duration',
  null: 'null_type',
  ip: 'net.IP',
  cidr: 'net.CIDR',
  optional: 'optional_type',
};
export const typeNameOf = (kind: Type['kind']): TypeName => new TypeName(TYPE_NAMES[kind] ?? kind);

const numeric = (value: Val): Int | undefined =>
  typeof value === 'number' || typeof value === 'bigint' ? value : value instanceof Uint ? value.value : undefined;

export const isNumber = (value: Val): boolean => numeric(value) !== undefined;

/** CEL's equality of values in `dyn` form: numbers by value across types; other types are never equal to each other. */
export function equalDyn(a: Val, b: Val): boolean {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined || y !== undefined) {
    if (x === undefined || y === undefined) return false;
    return x == y; // eslint-disable-line eqeqeq -- exact between a number and a bigint
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => equalDyn(item as Val, b[index] as Val));
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return false;
    for (const [key, value] of a as ReadonlyMap<Val, Val>) {
      const other = (b as ReadonlyMap<Val, Val>).get(key);
      if (other === undefined || !equalDyn(value, other)) return false;
    }
    return true;
  }
  return equalObjects(a as object, b as object);
}

/** Equality of objects other than lists and maps. */
export function equalObjects(a: object, b: object): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array)
    return a.length === b.length && a.every((byte, index) => byte === b[index]);
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration))
    return a.seconds === b.seconds && a.nanos === b.nanos;
  if (a instanceof Ip && b instanceof Ip) return a.equals(b);
  if (a instanceof Cidr && b instanceof Cidr) return a.equals(b);
  if (a instanceof TypeName && b instanceof TypeName) return a.name === b.name;
  if (a instanceof Optional && b instanceof Optional)
    return a.value === undefined || b.value === undefined ? a.value === b.value : equalDyn(a.value, b.value);
  return false;
}

/** Below 0, 0 or above 0; `undefined` if the two have no order. Values are in `dyn` form. */
export function compareDyn(a: Val, b: Val): number | undefined {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) {
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : undefined; // eslint-disable-line eqeqeq -- exact between a number and a bigint
  }
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if ((a instanceof Timestamp && b instanceof Timestamp) || (a instanceof Duration && b instanceof Duration))
    return a.seconds - b.seconds || a.nanos - b.nanos;
  return undefined;
}

/** Orders text by code points, as CEL does; UTF-16 units are in another order beyond the basic plane. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const [x, y] = [a.charCodeAt(index), b.charCodeAt(index)];
    if (x === y) continue;
    const [isHighX, isHighY] = [x >= 0xd800 && x <= 0xdfff, y >= 0xd800 && y <= 0xdfff];
    return isHighX === isHighY ? x - y : isHighX ? 1 : -1;
  }
  return a.length - b.length;
}
