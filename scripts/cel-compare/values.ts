/** Values as JSON that both sides read and write exactly: `["int", "5"]`, `["double", BITS]`, `["map", [[KEY, VALUE], ...]]`. */
import { Cidr, Ip, parseCidr, parseIp } from '../../src/attributes/network.ts';
import { Duration, Timestamp, Uint } from '../../src/attributes/values.ts';
import { Optional, TypeName, type Val } from '../../src/expression/index.ts';
import { keyOf } from '../../src/expression/values/dynamic.ts';

export type Json = readonly [kind: string, ...rest: readonly unknown[]];

export function jsonOf(value: Val): Json {
  switch (typeof value) {
    case 'boolean':
      return ['bool', value];
    case 'bigint':
      return ['int', String(value)];
    case 'number':
      return ['double', doubleText(value)];
    case 'string':
      return ['string', value];
    default:
      if (value === null) return ['null'];
      if (value instanceof Uint) return ['uint', String(value.value)];
      if (value instanceof Uint8Array) return ['bytes', Buffer.from(value).toString('base64')];
      if (value instanceof Timestamp) return ['timestamp', String(value.seconds), value.nanos];
      if (value instanceof Duration) return ['duration', String(BigInt(value.seconds) * BILLION + BigInt(value.nanos))];
      if (value instanceof TypeName) return ['type', value.name];
      if (value instanceof Ip) return ['ip', value.toString()];
      if (value instanceof Cidr) return ['cidr', value.toString()];
      if (value instanceof Optional)
        return value.value === undefined ? ['optional'] : ['optional', jsonOf(value.value)];
      if (Array.isArray(value)) return ['list', (value as readonly Val[]).map(jsonOf)];
      return ['map', Array.from(value as ReadonlyMap<Val, Val>, ([key, of]) => [keyJson(key), jsonOf(of)])];
  }
}

const BILLION = 1_000_000_000n;

/** Keys are held as ints, whatever their type. */
const keyJson = (key: Val): Json => (typeof key === 'number' ? ['int', String(key)] : jsonOf(key));

function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  return bits.getBigUint64(0).toString(16).padStart(16, '0');
}

/** In `dyn` form. */
export function valueOf([kind, first, second]: Json): Val {
  const text = String(first);
  switch (kind) {
    case 'int':
      return BigInt(text);
    case 'uint':
      return new Uint(BigInt(text));
    case 'double': {
      if (text === 'NaN') return Number.NaN;
      const bits = new DataView(new ArrayBuffer(8));
      bits.setBigUint64(0, BigInt(`0x${text}`));
      return bits.getFloat64(0);
    }
    case 'bytes':
      return new Uint8Array(Buffer.from(text, 'base64'));
    case 'null':
      return null;
    case 'timestamp':
      return new Timestamp(Number(text), Number(second));
    case 'duration':
      return new Duration(Number(BigInt(text) / BILLION), Number(BigInt(text) % BILLION));
    case 'ip':
      return parseIp(text) ?? null;
    case 'cidr':
      return parseCidr(text) ?? null;
    case 'list':
      return (first as readonly Json[]).map(valueOf) as Val;
    case 'map':
      return new Map(
        (first as readonly (readonly [Json, Json])[]).map(([key, of]) => [keyOf(valueOf(key)), valueOf(of)]),
      );
    default:
      return first as Val;
  }
}

/** Equal for equal values: maps in the order of their keys, the type of a whole key left out. */
export function textOf([kind, ...rest]: Json): string {
  if (kind === 'list') return `[${(rest[0] as readonly Json[]).map(textOf).join(', ')}]`;
  if (kind === 'optional') return `optional(${rest.map((one) => textOf(one as Json)).join('')})`;
  if (kind !== 'map') return `${kind} ${rest.map((part) => JSON.stringify(part)).join(' ')}`;
  const entries = (rest[0] as readonly (readonly [Json, Json])[]).map(
    ([key, of]) => `${textOf(key).replace(/^uint/, 'int')}: ${textOf(of)}`,
  );
  return `{${entries.toSorted().join(', ')}}`;
}
