import { Cidr, Ip } from '../../attributes/network.ts';
import { formatDuration, formatTimestamp } from '../../attributes/time-text.ts';
import { Duration, Timestamp, Uint, type Value } from '../../attributes/values.ts';

/** The text of a scalar; `undefined` for lists, maps, bytes and null. */
export function textOf(value: Value): string | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value);
    default:
      if (value instanceof Ip || value instanceof Cidr) return value.toString();
      if (value instanceof Timestamp) return formatTimestamp(value);
      if (value instanceof Duration) return formatDuration(value);
      return value instanceof Uint ? String(value.value) : undefined;
  }
}
