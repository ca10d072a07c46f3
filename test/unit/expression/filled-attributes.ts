import type { Attribute } from '../../../src/attributes/attributes.ts';
import type { Type } from '../../../src/attributes/types.ts';

/** Attributes of these types that a test fills in. */
export const filledAttributes = (types: Readonly<Record<string, Type>>): readonly Attribute[] =>
  Object.entries(types).map(([name, type]) => ({
    name,
    type,
    meaning: 'Of a test.',
    source: { kind: 'filled' },
    carriedBy: {},
    always: false,
    secret: false,
  }));
