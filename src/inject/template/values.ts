/** Values of a template are JSON; a field that is absent is `undefined`, and counts as the zero of any type. */
import { isObject } from '../../text/json-object.ts';

export type Value = unknown;

/** Go's names of fields are the JSON's with a capital: `HostIP` is `hostIP`, `DNSPolicy` `dnsPolicy`, `UID` `uid`. */
const jsonNames = new Map<string, string>();
export function jsonName(field: string): string {
  let name = jsonNames.get(field);
  if (name === undefined) {
    name = field.replace(/^[A-Z]+(?![a-z])|^[A-Z]/, (capitals) => capitals.toLowerCase());
    if (jsonNames.size < 1000) jsonNames.set(field, name);
  }
  return name;
}

export const isTrue = (value: Value): boolean =>
  Array.isArray(value) ? value.length > 0 : isObject(value) ? Object.keys(value).length > 0 : Boolean(value);

export const kindOf = (value: Value): string =>
  value === undefined || value === null
    ? 'nothing'
    : Array.isArray(value)
      ? 'a list'
      : isObject(value)
        ? 'a map'
        : `a ${typeof value}`;

/** As Go's package fmt prints it. */
export function printed(value: Value): string {
  if (value === undefined) return '';
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(printed).join(' ')}]`;
  if (isObject(value))
    return `map[${Object.keys(value)
      .toSorted()
      .map((key) => `${key}:${printed(value[key])}`)
      .join(' ')}]`;
  return String(value as string | number | boolean);
}
