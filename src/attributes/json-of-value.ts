/** Values of attributes as JSON for people: durations and times as text. `RedactedRequest` redacts secrets. */
import { Cidr, Ip } from './network.ts';
import { formatDuration, formatTimestamp } from './time-text.ts';
import { Duration, Timestamp, Uint, type Value } from './values.ts';

export function jsonOfValue(value: Value): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number')
    return value;
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Ip) return value.toString();
  if (value instanceof Cidr) return `${value.address.toString()}/${value.prefixLength}`;
  if (value instanceof Map)
    return Object.fromEntries(
      [...(value as ReadonlyMap<string | number | bigint | boolean, Value>)].map(([key, one]) => [
        String(key),
        jsonOfValue(one),
      ]),
    );
  return (value as readonly Value[]).map(jsonOfValue);
}
