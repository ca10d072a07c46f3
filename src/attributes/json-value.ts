/** Converts JSON to values of type dyn: objects are maps, numbers are doubles. */
import type { Value } from './values.ts';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

export function valueOfJson(json: Json): Value {
  if (typeof json !== 'object' || json === null) return json;
  if (Array.isArray(json)) return (json as readonly Json[]).map(valueOfJson);
  return mapOfJson(json as Readonly<Record<string, Json>>);
}

export function mapOfJson(json: Readonly<Record<string, Json>>): ReadonlyMap<string, Value> {
  const map = new Map<string, Value>();
  for (const name of Object.keys(json)) {
    const value = json[name];
    if (value !== undefined) map.set(name, valueOfJson(value));
  }
  return map;
}

/** The value at a path of names; `undefined` if there is none. */
export function jsonAt(json: Json | undefined, path: readonly string[]): Json | undefined {
  let at = json;
  for (const name of path) {
    if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, name)) return undefined;
    at = (at as Readonly<Record<string, Json>>)[name];
  }
  return at;
}
