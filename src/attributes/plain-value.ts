/**
 * Converts values of YAML and JSON.
 * **In**: a plain value and the declared type. **Out**: the value.
 * **Fails**: with `undefined` for a value of another type; {@link wantedForm} names the expected form.
 */
import { type Json, valueOfJson } from './json-value.ts';
import { parseCidr, parseIp } from './network.ts';
import { parseDuration, parseTimestamp } from './time-text.ts';
import { type Type, typeText } from './types.ts';
import { Timestamp, type Value } from './values.ts';

export function valueOfPlain(plain: unknown, type: Type): Value | undefined {
  switch (type.kind) {
    case 'bool':
      return typeof plain === 'boolean' ? plain : undefined;
    case 'int':
    case 'uint':
      return intOf(plain, type.kind === 'uint');
    case 'double':
      return typeof plain === 'number' ? plain : undefined;
    case 'string':
      return typeof plain === 'string' ? plain : undefined;
    case 'bytes':
      return plain instanceof Uint8Array ? plain : typeof plain === 'string' ? Buffer.from(plain, 'utf8') : undefined;
    case 'timestamp':
      return plain instanceof Date
        ? Timestamp.fromMs(plain.getTime())
        : typeof plain === 'string'
          ? parseTimestamp(plain)
          : undefined;
    case 'duration':
      return typeof plain === 'string' ? parseDuration(plain) : undefined;
    case 'ip':
      return typeof plain === 'string' ? parseIp(plain) : undefined;
    case 'cidr':
      return typeof plain === 'string' ? parseCidr(plain) : undefined;
    case 'null':
      return plain === null ? null : undefined;
    case 'type':
      return undefined;
    case 'dyn':
      return isJson(plain) ? valueOfJson(plain) : undefined;
    case 'optional':
      return valueOfPlain(plain, type.of);
    case 'list':
      return Array.isArray(plain) ? listOfPlain(plain, type.of) : undefined;
    case 'map':
      return mapOfPlain(plain, type.key, type.of);
  }
}

const FORMS: Partial<Readonly<Record<Type['kind'], string>>> = {
  bytes: 'text, which is taken as UTF-8',
  timestamp: 'a time such as 2026-01-31T12:00:00Z',
  duration: 'a span such as 2s or 150ms',
  ip: 'an address such as 203.0.113.9',
  cidr: 'a range such as 10.0.0.0/8',
  int: 'a whole number',
  uint: 'a whole number from 0 on',
  string: 'text',
  bool: 'true or false',
};

/** How a value of the type is written, for messages. */
export const wantedForm = (type: Type): string => FORMS[type.kind] ?? typeText(type);

function intOf(plain: unknown, unsigned: boolean): Value | undefined {
  if (typeof plain === 'bigint')
    return unsigned && plain < 0n ? undefined : BigInt.asIntN(54, plain) === plain ? Number(plain) : plain;
  return typeof plain === 'number' && Number.isSafeInteger(plain) && !(unsigned && plain < 0) ? plain : undefined;
}

function listOfPlain(plain: readonly unknown[], of: Type): Value | undefined {
  const values = plain.map((one) => valueOfPlain(one, of));
  return values.includes(undefined) ? undefined : (values as Value[]);
}

/** Keys of YAML and JSON objects are text, whatever their type. A number or boolean is taken for a string value. */
function mapOfPlain(plain: unknown, key: Type, of: Type): Value | undefined {
  if (typeof plain !== 'object' || plain === null || Array.isArray(plain)) return undefined;
  const map = new Map<Value, Value>();
  for (const [name, one] of plain instanceof Map ? plain : Object.entries(plain)) {
    const asKey =
      key.kind === 'int' || key.kind === 'uint'
        ? valueOfPlain(Number(name), key)
        : key.kind === 'bool'
          ? name === 'true'
          : String(name);
    const value = valueOfPlain(
      of.kind === 'string' && (typeof one === 'number' || typeof one === 'boolean') ? String(one) : one,
      of,
    );
    if (asKey === undefined || value === undefined) return undefined;
    map.set(asKey, value);
  }
  return map;
}

function isJson(plain: unknown): plain is Json {
  if (plain === null || ['string', 'number', 'boolean'].includes(typeof plain)) return true;
  if (Array.isArray(plain)) return plain.every(isJson);
  return (
    typeof plain === 'object' && Object.getPrototypeOf(plain) === Object.prototype && Object.values(plain).every(isJson)
  );
}
