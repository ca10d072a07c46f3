/** Parts of JSON Schema (draft 2020-12) that describe values as the readers of `src/core/rules` take them. */
import { KEYS, type KeyTable, RANGES } from '../../core/rules/keys.ts';
import type { Range } from '../../yaml/fields.ts';
import type { DurationUnit } from '../../time/duration.ts';

export type Schema = Readonly<Record<string, unknown>>;

export const ref = (name: string): Schema => ({ $ref: `#/$defs/${name}` });

/** Each key of the table has a schema; a key that is added to the table does not compile without one. */
export type SchemaOf<T extends keyof KeyTable> = Readonly<Record<KeyTable[T][number], Schema>>;

/** A map with the keys of a table. */
export function mapOf<T extends keyof KeyTable>(table: T, properties: SchemaOf<T>, more: Schema = {}): Schema {
  const ordered = KEYS[table].map((key) => [key, properties[key as KeyTable[T][number]]]);
  return { type: 'object', properties: Object.fromEntries(ordered), additionalProperties: false, ...more };
}

/** `schema` with the text that an editor shows. */
export const described = (description: string, schema: Schema): Schema => ({ description, ...schema });

export const TEXT: Schema = { type: 'string', minLength: 1 };
export const FLAG: Schema = { type: 'boolean' };
/** YAML's numbers and booleans are expressions, too. */
export const EXPRESSION: Schema = { type: ['string', 'number', 'boolean'], minLength: 1 };
/** Units: an expression, or a number. */
export const AMOUNT: Schema = { ...EXPRESSION, minimum: RANGES.amount[0], maximum: RANGES.amount[1] };
/** Text with `${...}`. */
export const TEMPLATE: Schema = { type: ['string', 'number', 'boolean'] };
/** Lower-case words with hyphens. */
export const NAME: Schema = { type: 'string', pattern: '^[a-z0-9]+(-[a-z0-9]+)*$' };
/** An attribute of the policy. */
export const MY_NAME = '^my(\\.[A-Za-z_][A-Za-z0-9_]*)+$';

export const wholeNumber = ([minimum, maximum]: Range): Schema => ({ type: 'integer', minimum, maximum });
export const oneOfWords = (words: readonly string[]): Schema => ({ enum: words });
export const listOf = (items: Schema): Schema => ({ type: 'array', items });
/** A map of any names. */
export const namesTo = (additionalProperties: Schema): Schema => ({ type: 'object', additionalProperties });

export const duration = (units: readonly DurationUnit[]): Schema => ({
  type: 'string',
  pattern: `^\\d+(\\.\\d+)?(${units.join('|')})$`,
});

/** A number of bytes, or text such as `64MiB`; the text has no lower bound here. */
export const bytes = ([minimum, maximum]: Range): Schema => ({
  anyOf: [
    { type: 'integer', minimum, maximum },
    { type: 'string', pattern: '^\\d+(KiB|MiB|GiB|TiB)?$' },
  ],
});

export const when = (condition: Schema, fits: Schema, otherwise?: Schema): Schema => ({
  if: condition,
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
  then: fits,
  ...(otherwise === undefined ? {} : { else: otherwise }),
});
/** If the map has `key`, then it fits. */
export const ifHas = (key: string, fits: Schema): Schema => when({ required: [key] }, fits);
/** If `key` has the value, then the map fits. */
export const ifIs = (key: string, value: unknown, fits: Schema): Schema =>
  when({ required: [key], properties: { [key]: { const: value } } }, fits);
/** A map without these keys. */
export const without = (keys: readonly string[]): Schema => ({
  properties: Object.fromEntries(keys.map((key) => [key, false])),
});
