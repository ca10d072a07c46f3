/**
 * **In**: values of a rule's key, with their types. **Out**: one canonical text: equal for equal keys, different for different ones,
 * since each value carries its type, and text its length. **Fails**: never.
 */
import { Cidr, Ip } from '../attributes/network.ts';
import type { Type } from '../attributes/types.ts';
import { Duration, Timestamp, Uint, type Value } from '../attributes/values.ts';

/** Represents an unavailable value. */
const ABSENT = '-';

/** `undefined`: the value is not available. */
export const keyPart = (value: Value | undefined, type: Type): string =>
  value === undefined ? ABSENT : valueText(value, type);

export function valueText(value: Value, type: Type): string {
  if (typeof value === 'string') return `s${value.length}:${value}`;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  if (typeof value === 'number')
    return type.kind === 'int' ? `i${value}` : type.kind === 'uint' ? `u${value}` : `d${value}`;
  if (typeof value === 'bigint') return type.kind === 'uint' ? `u${value}` : `i${value}`;
  if (value === null) return 'n';
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('hex')}`;
  if (value instanceof Timestamp) return `T${value.seconds}.${value.nanos}`;
  if (value instanceof Duration) return `D${value.seconds}.${value.nanos}`;
  if (value instanceof Uint) return `u${value.value}`;
  if (value instanceof Ip) return `I${value.toString()}`;
  if (value instanceof Cidr) return `C${value.toString()}`;
  if (value instanceof Map) {
    const [key, of] = type.kind === 'map' ? [type.key, type.of] : [type, type];
    return `{${[...(value as ReadonlyMap<Value, Value>)]
      .map(([name, one]) => `${valueText(name, key)}=${valueText(one, of)}`)
      .toSorted()
      .join(',')}}`;
  }
  const of = type.kind === 'list' ? type.of : type;
  return `[${(value as readonly Value[]).map((one) => valueText(one, of)).join(',')}]`;
}
