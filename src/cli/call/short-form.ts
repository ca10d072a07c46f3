/**
 * Converts a request by attribute names to the JSON form of the protobuf message.
 * **In**: `{ request.method: GET, source: { ip: 1.2.3.4 } }`, flat or nested. **Out**: JSON for protobuf's fromJson.
 * **Fails**: with a CliError that names the attribute.
 */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { parseDuration, parseTimestamp } from '../../attributes/time-text.ts';
import { flatRequest } from '../../attributes/plain-request.ts';
import { VOCABULARY } from '../../attributes/vocabulary.ts';
import { meant } from '../../text/nearest.ts';
import { CliError } from '../cli-error.ts';

export type Write = (value: JsonValue, name: string) => JsonValue;

/** The path of a value in the message, and its conversion; unchanged if `write` is absent. */
export interface Place {
  readonly path: readonly string[];
  readonly write?: Write;
}
export type Places = Readonly<Record<string, Place>>;

/** `path` is `a.b.c`; only for names without dots. */
export const at = (path: string, write?: Write): Place => ({
  path: path.split('.'),
  ...(write === undefined ? {} : { write }),
});

const VOCABULARY_NAMES = new Set(VOCABULARY.map(({ name }) => name));

/** Names and values, with nested maps (`request: { method: GET }`) flattened to known names. */
export function flat(request: unknown, known: ReadonlySet<string>): (readonly [name: string, value: JsonValue])[] {
  if (!isObject(request))
    throw wrong('the request is not a map of names and values; write `request.method: GET`, one a line');
  return flatRequest(request, known) as (readonly [string, JsonValue])[];
}

export interface ShortForm {
  readonly places: Places;
  /** The name of the wire, for messages: `ext_authz`. */
  readonly wire: string;
  /** Handles a name without a place; returns whether it did. */
  readonly otherwise?: (message: JsonObject, name: string, value: JsonValue) => boolean;
}

/** Puts the values into `message`, which contains the defaults. */
export function fill(
  message: JsonObject,
  values: readonly (readonly [string, JsonValue])[],
  { places, wire, otherwise }: ShortForm,
): void {
  for (const [name, value] of values) {
    const place = Object.hasOwn(places, name) ? places[name] : undefined;
    if (place !== undefined) put(message, place.path, place.write === undefined ? value : place.write(value, name));
    else if (otherwise?.(message, name, value) !== true) throw unknownName(name, places, wire);
  }
}

function unknownName(name: string, places: Places, wire: string): CliError {
  if (VOCABULARY_NAMES.has(name)) return wrong(`${name} is not carried by ${wire}, or is derived from what it carries`);
  if (name.startsWith('my.'))
    return wrong(
      `${name} is declared by the policy; write its carrier instead: ` +
        '`contextExtension: { tier: gold }`, `metadata`, `customTag` or a header',
    );
  return wrong(`${name} is not an attribute${meant(name, Object.keys(places))}`);
}

export const wrong = (message: string): CliError => new CliError('CLI_REQUEST_FILE', message);
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Sets `value` at a path; merges maps. */
export function put(message: JsonObject, path: readonly string[], value: JsonValue): void {
  let here = message;
  for (const part of path.slice(0, -1)) {
    const next = here[part];
    here = isObject(next) ? next : (here[part] = {});
  }
  const last = path.at(-1) ?? '';
  const old = here[last];
  here[last] = isObject(old) && isObject(value) ? { ...old, ...value } : value;
}

export const asText = (value: JsonValue, name: string): string => {
  if (typeof value === 'object' || value === null) throw wrong(`${name} is ${JSON.stringify(value)}; expected text`);
  return String(value);
};

export const asTextMap = (value: JsonValue, name: string): Record<string, string> => {
  if (!isObject(value)) throw wrong(`${name} is ${JSON.stringify(value)}; expected a map of names to texts`);
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, asText(entry, `${name}.${key}`)]));
};

export const asHeaders = (value: JsonValue, name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(asTextMap(value, name)).map(([key, entry]) => [key.toLowerCase(), entry]));

/** Protobuf's JSON form of durations has seconds only. */
export const asDuration: Write = (value, name) => {
  const duration = typeof value === 'string' ? parseDuration(value) : undefined;
  if (duration === undefined) throw wrong(`${name} is ${JSON.stringify(value)}; expected a duration such as 150ms`);
  const sign = duration.seconds < 0 || duration.nanos < 0 ? '-' : '';
  return `${sign}${Math.abs(duration.seconds)}.${String(Math.abs(duration.nanos)).padStart(9, '0')}s`;
};

export const asTimestamp: Write = (value, name) => {
  if (typeof value !== 'string' || parseTimestamp(value) === undefined)
    throw wrong(`${name} is ${JSON.stringify(value)}; expected a time such as 2026-01-31T12:00:00Z`);
  return value;
};
