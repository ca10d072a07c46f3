/** Values of a JSON document, by name and type. */
import { z } from 'zod';
import { Rejected, type Shape } from 'sluice/plugin';
import { cut } from '../http/answer.ts';
import { pointerOf, pointerSchema } from '../http/pointer.ts';
import { COLUMN_TYPES, type ColumnType, valueOf } from '../values/cell.ts';

const TYPES = [...COLUMN_TYPES, 'list<string>', 'map<string>', 'any'] as const;
type ValueType = (typeof TYPES)[number];

export const valuesSchema = z
  .record(
    z.string().regex(/^[a-z_][a-z0-9_]*$/i, 'a value becomes an attribute: letters, digits and _'),
    z.strictObject({
      at: pointerSchema.describe('JSON pointer to the value.').meta({ examples: ['/plan'] }),
      type: z
        .enum(TYPES)
        .default('string')
        .describe(`Its type: ${TYPES.join(', ')}.`),
    }),
  )
  .refine((values) => Object.keys(values).length > 0, 'expected at least one value')
  .describe('The values that become attributes. One that the answer lacks, or that is null or empty text, is absent.')
  .meta({ examples: [{ plan: { at: '/plan' }, limit: { at: '/limits/perMinute', type: 'int' } }] });
type ValuesConfig = z.output<typeof valuesSchema>;

export const shapeOfValues = (values: ValuesConfig): Shape =>
  Object.fromEntries(Object.entries(values).map(([name, { type }]) => [name, type]));

/** Throws {@link Rejected} for a value of another type. */
export function valuesReader(values: ValuesConfig): (document: unknown) => Record<string, unknown> {
  const read = Object.entries(values).map(([name, { at, type }]) => ({ name, at, type, pointer: pointerOf(at) }));
  return (document) => {
    const found: Record<string, unknown> = {};
    for (const { name, at, type, pointer } of read) {
      try {
        const value = typedValue(pointer(document), type);
        if (value !== undefined) found[name] = value;
      } catch (error) {
        throw new Rejected(
          `${name}, at ${at} of its answer: ${cut(error instanceof Error ? error.message : String(error))}`,
        );
      }
    }
    return found;
  };
}

function typedValue(value: unknown, type: ValueType): unknown {
  if (value === undefined || value === null) return undefined;
  switch (type) {
    case 'any':
      return value;
    case 'list<string>':
      if (!Array.isArray(value)) throw new Error('expected a list');
      return value.map(scalarText);
    case 'map<string>':
      if (typeof value !== 'object' || Array.isArray(value)) throw new Error('expected a map');
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, scalarText(one)]));
    default:
      return valueOf(value, type satisfies ColumnType);
  }
}

function scalarText(value: unknown): string {
  if (typeof value === 'object' || value === undefined) throw new Error('expected texts, numbers or booleans in it');
  return String(value as string | number | boolean);
}
