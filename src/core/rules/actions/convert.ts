/**
 * Conversion between values of expressions and of adapters (`ShapeValues` of the contract).
 * **In**: a value and the type wanted. **Out**: the converted value. **Fails**: with `undefined`.
 */
import { Cidr, Ip, parseIp } from '../../../attributes/network.ts';
import { formatDuration } from '../../../attributes/time-text.ts';
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  IP,
  SCALARS,
  STRING,
  STRING_MAP,
  TIMESTAMP,
  type Type,
  listOf,
} from '../../../attributes/types.ts';
import { Duration, Timestamp, Uint, type Value } from '../../../attributes/values.ts';
import type { ShapeType } from '../../../adapters/contract.ts';
import { textOf } from '../../../expression/index.ts';

const TAKES: Readonly<Record<ShapeType, { readonly wanted: string; readonly accepts: (type: Type) => boolean }>> = {
  string: { wanted: 'a scalar (it becomes text)', accepts: ({ kind }) => SCALARS.has(kind) },
  int: { wanted: 'an int', accepts: ({ kind }) => kind === 'int' || kind === 'uint' || kind === 'dyn' },
  double: {
    wanted: 'a number or a duration (in seconds)',
    accepts: ({ kind }) => ['int', 'uint', 'double', 'duration', 'dyn'].includes(kind),
  },
  bool: { wanted: 'a bool', accepts: ({ kind }) => kind === 'bool' || kind === 'dyn' },
  bytes: { wanted: 'bytes', accepts: ({ kind }) => kind === 'bytes' || kind === 'dyn' },
  timestamp: { wanted: 'a timestamp', accepts: ({ kind }) => kind === 'timestamp' || kind === 'dyn' },
  duration: { wanted: 'a duration', accepts: ({ kind }) => kind === 'duration' || kind === 'dyn' },
  ip: { wanted: 'an ip', accepts: ({ kind }) => kind === 'ip' || kind === 'dyn' },
  'list<string>': {
    wanted: 'a list of scalars',
    accepts: (type) => type.kind === 'dyn' || (type.kind === 'list' && SCALARS.has(type.of.kind)),
  },
  'map<string>': {
    wanted: 'a map of scalars',
    accepts: (type) => type.kind === 'dyn' || (type.kind === 'map' && SCALARS.has(type.of.kind)),
  },
  any: { wanted: 'any value', accepts: () => true },
};

export const isTaken = (shape: ShapeType, type: Type): boolean => TAKES[shape].accepts(type);
export const wantedBy = (shape: ShapeType): string => TAKES[shape].wanted;

/** The expression type of an adapter's output. */
export const TYPE_OF: Readonly<Record<ShapeType, Type>> = {
  string: STRING,
  int: INT,
  double: DOUBLE,
  bool: BOOL,
  bytes: BYTES,
  timestamp: TIMESTAMP,
  duration: DURATION,
  ip: IP,
  'list<string>': listOf(STRING),
  'map<string>': STRING_MAP,
  any: DYN,
};

export function toShape(shape: ShapeType, value: Value): unknown {
  switch (shape) {
    case 'string':
      return textOf(value);
    case 'int':
      return wholeNumber(value);
    case 'double':
      return value instanceof Duration ? value.toMs() / 1000 : numberOf(value);
    case 'bool':
      return typeof value === 'boolean' ? value : undefined;
    case 'bytes':
      return value instanceof Uint8Array ? value : undefined;
    case 'timestamp':
      return value instanceof Timestamp ? new Date(value.toMs()) : undefined;
    case 'duration':
      return value instanceof Duration ? value.toMs() : undefined;
    case 'ip':
      return value instanceof Ip ? value.toString() : undefined;
    case 'list<string>':
      return Array.isArray(value) ? allOf((value as readonly Value[]).map(textOf)) : undefined;
    case 'map<string>': {
      if (!(value instanceof Map)) return undefined;
      const entries = [...(value as ReadonlyMap<Value, Value>)].map(
        ([key, item]) => [textOf(key) ?? '', textOf(item)] as const,
      );
      return entries.some(([, item]) => item === undefined) ? undefined : Object.fromEntries(entries);
    }
    case 'any':
      return plainOf(value);
  }
}

function allOf<T>(items: readonly (T | undefined)[]): readonly T[] | undefined {
  return items.includes(undefined) ? undefined : (items as readonly T[]);
}

function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  return value instanceof Uint ? Number(value.value) : undefined;
}

/** Exact; else `undefined`. */
function wholeNumber(value: Value): number | undefined {
  const number = numberOf(value);
  return number !== undefined && Number.isSafeInteger(number) ? number : undefined;
}

/** As in JSON, but with dates; a duration is text like `1.5s`. */
function plainOf(value: Value): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint) return plainOf(value.value);
  if (value instanceof Timestamp) return new Date(value.toMs());
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof Ip || value instanceof Cidr) return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return (value as readonly Value[]).map(plainOf);
  return Object.fromEntries(
    [...(value as ReadonlyMap<Value, Value>)].map(([key, item]) => [textOf(key) ?? '', plainOf(item)]),
  );
}

/** From an adapter's output to the value of the attribute. */
export function fromShape(shape: ShapeType, given: unknown): Value | undefined {
  switch (shape) {
    case 'string':
      return typeof given === 'string' ? given : undefined;
    case 'int':
      return typeof given === 'number' && Number.isSafeInteger(given) ? given : undefined;
    case 'double':
      return typeof given === 'number' ? given : undefined;
    case 'bool':
      return typeof given === 'boolean' ? given : undefined;
    case 'bytes':
      return given instanceof Uint8Array ? given : undefined;
    case 'timestamp':
      return given instanceof Date ? Timestamp.fromMs(given.getTime()) : undefined;
    case 'duration':
      return typeof given === 'number' ? Duration.fromMs(given) : undefined;
    case 'ip':
      return typeof given === 'string' ? parseIp(given) : undefined;
    case 'list<string>':
      return Array.isArray(given) && given.every((item) => typeof item === 'string') ? given : undefined;
    case 'map<string>':
      return typeof given === 'object' && given !== null
        ? new Map(Object.entries(given).map(([key, item]) => [key, String(item)]))
        : undefined;
    case 'any':
      return valueOfJson(given);
  }
}

/** Whether {@link fromShape} can convert the value, without converting it. */
export function isOfShape(shape: ShapeType, given: unknown): boolean {
  switch (shape) {
    case 'timestamp':
      return given instanceof Date && !Number.isNaN(given.getTime());
    case 'duration':
      return Number.isFinite(given);
    case 'map<string>':
      return typeof given === 'object' && given !== null && !Array.isArray(given) && !(given instanceof Map);
    case 'any':
      return given === null || ['string', 'boolean', 'number', 'object'].includes(typeof given);
    default:
      return fromShape(shape, given) !== undefined; // these are not copied
  }
}

function valueOfJson(given: unknown): Value | undefined {
  if (given === null || typeof given === 'string' || typeof given === 'boolean' || typeof given === 'number')
    return given;
  if (given instanceof Date) return Timestamp.fromMs(given.getTime());
  if (Array.isArray(given)) return given.map((item: unknown) => valueOfJson(item) ?? null);
  if (typeof given === 'object')
    return new Map(Object.entries(given).map(([key, item]) => [key, valueOfJson(item) ?? null]));
  return undefined;
}
