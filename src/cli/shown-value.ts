/** Values of attributes as people read them in JSON: spans and times as text, and nothing that is secret. */
import type { Attribute } from '../attributes/attributes.ts';
import { Cidr, Ip } from '../attributes/network.ts';
import { formatDuration, formatTimestamp } from '../attributes/time-text.ts';
import { HEADER_MAPS, HIDDEN, SECRET_HEADERS } from '../attributes/secrets.ts';
import { Duration, Timestamp, Uint, type Value } from '../attributes/values.ts';

/** `null` where it is absent. */
export function shownAttribute({ name, secret }: Attribute, value: Value | undefined): unknown {
  if (value === undefined) return null;
  if (secret) return HIDDEN;
  if (HEADER_MAPS.has(name) && value instanceof Map) {
    return Object.fromEntries([...value as ReadonlyMap<string, Value>].map(([header, text]) => [header, SECRET_HEADERS.has(header) ? HIDDEN : shownValue(text)]));
  }
  return shownValue(value);
}

export function shownValue(value: Value): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Ip) return value.toString();
  if (value instanceof Cidr) return `${value.address.toString()}/${value.prefixLength}`;
  if (value instanceof Map) return Object.fromEntries([...value as ReadonlyMap<string | number | bigint | boolean, Value>].map(([key, one]) => [String(key), shownValue(one)]));
  return (value as readonly Value[]).map(shownValue);
}
