/** Names in the answer of a lookup that are not declared. They are left out and logged; a misspelt name shows nowhere else. */
import { kindOf } from '../../text/kind-of.ts';
import { shortened } from '../../text/shortened.ts';
import type { EnrichOutput } from '../rules/rule.ts';

/** By the outputs of a rule. */
const known = new WeakMap<readonly EnrichOutput[], ReadonlySet<string>>();

/** The first name that is not declared; `undefined` if all are, or have no value. */
export function undeclaredName(
  values: Readonly<Record<string, unknown>>,
  outputs: readonly EnrichOutput[],
): string | undefined {
  let names = known.get(outputs);
  if (names === undefined) known.set(outputs, (names = new Set(outputs.map(({ name }) => name))));
  for (const name in values) if (!names.has(name) && values[name] !== undefined && values[name] !== null) return name;
  return undefined;
}

export const undeclared = (name: string, outputs: readonly EnrichOutput[]): string =>
  `no output ${JSON.stringify(shortened(name, MAX_NAME))} is declared; declared: ${outputs.map((one) => one.name).join(', ')}`;

export const ofOtherType = (name: string, value: unknown): string =>
  `the output ${name} is ${kindOf(value)}, and not of the type that is declared`;

const MAX_NAME = 100;
