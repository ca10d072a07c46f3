/**
 * A request by the names of attributes, as people write it for `explain` and for the admin port.
 * **In**: values by name, flat or nested, and what a proxy would carry (beside them, or among them). **Out**: a wire.
 * **Fails**: with a CliError or an AttributeError that names what is wrong.
 */
import type { Attributes } from '../attributes/attributes.ts';
import type { Wire } from '../attributes/bag.ts';
import type { CallKind } from '../attributes/carrier.ts';
import { plainWire } from '../attributes/plain-wire.ts';
import { flat, wrong } from './call/short-form.ts';
import { carriedSchema } from './cases/schema.ts';

const CARRIED = new Set(['contextExtension', 'customTag', 'filterState', 'call']);

export function plainRequest(
  attributes: Attributes,
  values: Readonly<Record<string, unknown>>,
  call: CallKind,
  beside: Readonly<Record<string, unknown>> = {},
): Wire {
  const known = new Set([...attributes.names(), ...CARRIED]);
  const all = flat(values, known);
  const given = Object.fromEntries(all.filter(([name]) => !CARRIED.has(name)));
  const among = Object.fromEntries(all.filter(([name]) => CARRIED.has(name) && name !== 'call'));
  const carried = carriedSchema.safeParse({ ...among, ...beside });
  if (!carried.success)
    throw wrong(
      carried.error.issues.map(({ message, path }) => `${path.join('.') || 'carried'}: ${message}`).join('; '),
    );
  return plainWire(attributes, given, carried.data, call);
}
