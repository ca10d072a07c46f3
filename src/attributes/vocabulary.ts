/**
 * The attributes that every policy may read: {@link VOCABULARY} has one row for each, with its type, its meaning, and its field on
 * each wire; docs/attributes.md is generated from it.
 */
import type { Attribute } from './attributes.ts';
import { AUTHZEN } from './vocabulary/authzen.ts';
import { CONNECTION } from './vocabulary/connection.ts';
import { CONTEXT } from './vocabulary/context.ts';
import { DESTINATION } from './vocabulary/destination.ts';
import { LOG } from './vocabulary/log.ts';
import { METRIC } from './vocabulary/metric.ts';
import { METADATA, VERDICT } from './vocabulary/metadata.ts';
import { RATELIMIT } from './vocabulary/ratelimit.ts';
import { REQUEST } from './vocabulary/request.ts';
import { RESPONSE } from './vocabulary/response.ts';
import { TRACE } from './vocabulary/trace.ts';
import { ORIGIN, SOURCE } from './vocabulary/source.ts';

export const VOCABULARY: readonly Attribute[] = Object.freeze(
  [
    ...REQUEST,
    ...SOURCE,
    ...ORIGIN,
    ...DESTINATION,
    ...CONNECTION,
    ...RESPONSE,
    ...CONTEXT,
    ...AUTHZEN,
    ...RATELIMIT,
    ...TRACE,
    ...METADATA,
    ...VERDICT,
    ...LOG,
    ...METRIC,
  ].map((row, number) => Object.freeze({ ...row, number })),
);

const NUMBERS: ReadonlyMap<string, number> = new Map(VOCABULARY.map(({ name }, number) => [name, number]));

/** `undefined` for a name that is not a built-in attribute. */
export const numberOf = (name: string): number | undefined => NUMBERS.get(name);

/** Turns a record by attribute name into an array by attribute number. Throws for an unknown name. */
export function byNumber<T>(byName: Readonly<Record<string, T>>): readonly (T | undefined)[] {
  const unknown = Object.keys(byName).find((name) => !NUMBERS.has(name));
  if (unknown !== undefined) throw new RangeError(`no attribute is named ${unknown}`);
  return VOCABULARY.map(({ name }) => byName[name]);
}
