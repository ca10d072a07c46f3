import type { Attributes } from '../../attributes/attributes.ts';
import type { Wire } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { plainWire, type PlainCarried } from '../../attributes/plain-wire.ts';
import type { Case } from './schema.ts';

export const carriedByCase = ({ carried }: Case): PlainCarried => carried ?? {};

/** The request of a case, as any wire has it. */
export function caseWire(
  attributes: Attributes,
  given: Readonly<Record<string, unknown>>,
  carried: PlainCarried,
  call: CallKind,
): Wire {
  return plainWire(attributes, given, carried, call);
}
