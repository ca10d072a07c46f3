/** `out.*`: the answer of a rule's handler, as the rule's texts read it. */
import type { Shape, ShapeType } from '../../../adapters/contract.ts';
import type { Attribute, Attributes } from '../../../attributes/attributes.ts';
import { STRING, type Type } from '../../../attributes/types.ts';
import type { Value } from '../../../attributes/values.ts';
import { fromShape, TYPE_OF } from './convert.ts';
import type { EnrichOutput, Rule } from '../rule.ts';

/** The attributes with `out.*` added, and the slots of those. */
export interface Outputs {
  readonly attributes: Attributes;
  readonly out: Rule['out'];
}

/** One {@link Outputs} for all rules with equal outputs. */
export class OutputSets {
  readonly #attributes: Attributes;
  readonly #known = new Map<string, Outputs>();

  constructor(attributes: Attributes) {
    this.#attributes = attributes;
  }

  of(output: Shape): Outputs {
    const outputs = Object.entries(output).filter(([name]) => name !== 'reason');
    const key = JSON.stringify(outputs);
    let known = this.#known.get(key);
    if (known === undefined) this.#known.set(key, (known = outputsOf(outputs, this.#attributes)));
    return known;
  }
}

/** `out.reason`, then the handler's own outputs, in slots after those of all attributes. */
function outputsOf(
  outputs: readonly (readonly [name: string, shape: Shape[string]])[],
  attributes: Attributes,
): Outputs {
  const row = (name: string, type: Type): Attribute => ({
    name: `out.${name}`,
    type,
    meaning: 'From the answer of the handler.',
    source: { kind: 'filled' },
    carriedBy: {},
    always: name === 'reason',
    secret: false,
  });
  return {
    attributes: attributes.extend([
      row('reason', STRING),
      ...outputs.map(([name, shape]) => row(name, TYPE_OF[withoutMark(shape)])),
    ]),
    out: {
      firstSlot: attributes.size,
      names: ['reason', ...outputs.map(([name]) => name)],
      converts: [outputConvert('string'), ...outputs.map(([, shape]) => outputConvert(shape))],
    },
  };
}

export const outputConvert = (shape: Shape[string]): EnrichOutput['convert'] => {
  const type = withoutMark(shape);
  if (type === 'any') return convertAny;
  return (value) => (value === undefined || value === null ? undefined : fromShape(type, value));
};

/** A handler may answer many calls with the same document; one that is frozen is converted once. */
const converted = new WeakMap<object, Value>();

function convertAny(given: unknown): Value | undefined {
  if (given === undefined || given === null) return undefined;
  if (typeof given !== 'object' || !Object.isFrozen(given)) return fromShape('any', given);
  let value = converted.get(given);
  if (value === undefined) {
    value = fromShape('any', given);
    if (value !== undefined) converted.set(given, value);
  }
  return value;
}

/** `string?` is a string that may be absent. */
const withoutMark = (shape: Shape[string]): ShapeType => shape.replace(/\?$/, '') as ShapeType;
