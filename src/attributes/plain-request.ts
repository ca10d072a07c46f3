/**
 * A request by attribute names, written by hand for `sluice explain`, `sluice call` and the admin port.
 * **In**: values by name, flat or nested, and carried values (apart, or among them). **Out**: a wire.
 * **Fails**: with an {@link AttributeError} that names the attribute.
 */
import { z } from 'zod';
import { isObject } from '../text/json-object.ts';
import { AttributeError } from './errors.ts';
import type { Attributes } from './attributes.ts';
import type { Wire } from './bag.ts';
import type { CallKind } from './carrier.ts';
import { plainWire } from './plain-wire.ts';
import { VOCABULARY } from './vocabulary.ts';

const texts = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String));
const values = z.record(z.string(), z.unknown());

/** Values that a proxy sends under names that the operator chose. */
export const carriedSchema = z.strictObject({
  contextExtension: texts.optional(),
  customTag: texts.optional(),
  filterState: values.optional(),
  metadata: values.optional(),
});

/** Keys of a request that are not attributes; `metadata` is both. */
const CARRIED = new Set(['contextExtension', 'customTag', 'filterState', 'call']);

export function plainRequest(
  attributes: Attributes,
  given: Readonly<Record<string, unknown>>,
  call: CallKind | undefined,
  carriedApart: Readonly<Record<string, unknown>> = {},
): Wire {
  const all = flatRequest(given, new Set([...attributes.names(), ...CARRIED]));
  const carriedAmong = Object.fromEntries(all.filter(([name]) => CARRIED.has(name) && name !== 'call'));
  const carried = carriedSchema.safeParse({ ...carriedAmong, ...carriedApart });
  if (!carried.success) {
    const problems = carried.error.issues.map(({ message, path }) => `${path.join('.') || 'carried'}: ${message}`);
    throw new AttributeError('ATTRIBUTE_VALUE', 'carried', problems.join('; '));
  }
  return plainWire(attributes, Object.fromEntries(all.filter(([name]) => !CARRIED.has(name))), carried.data, call);
}

const VOCABULARY_NAMES = VOCABULARY.map(({ name }) => name);

/** Flattens nested maps (`request: { method: GET }`) to known names. */
export function flatRequest(
  request: Readonly<Record<string, unknown>>,
  known: ReadonlySet<string>,
  prefix = '',
): (readonly [name: string, value: unknown])[] {
  return Object.entries(request).flatMap(([key, value]): (readonly [string, unknown])[] => {
    const name = prefix + key;
    const isPrefix =
      isObject(value) &&
      !known.has(name) &&
      [...known, ...VOCABULARY_NAMES].some((other) => other.startsWith(`${name}.`));
    return isPrefix ? flatRequest(value, known, `${name}.`) : [[name, value]];
  });
}
