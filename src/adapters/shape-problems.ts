/** Checks the shape of an input or output. A plugin gives it, in its description or as the result of a function. */
import type { ShapeType } from './contract.ts';
import { kindOf } from '../text/kind-of.ts';

/** Also the order of the numbers of `Type` in sluice.plugin.v1, from 1; append only. */
export const SHAPE_TYPES: readonly ShapeType[] = [
  'string',
  'int',
  'double',
  'bool',
  'bytes',
  'timestamp',
  'duration',
  'ip',
  'list<string>',
  'map<string>',
  'any',
];
/** Problems of a shape. A function is checked when a rule uses it. */
export function shapeProblems(what: string, shape: unknown): string[] {
  if (shape === 'any' || typeof shape === 'function') return [];
  if (typeof shape !== 'object' || shape === null)
    return [`${what} is not a shape: expected names and types, 'any', or a function`];
  return Object.entries(shape)
    .filter(
      ([, type]: readonly [string, unknown]) =>
        typeof type !== 'string' || !SHAPE_TYPES.includes(type.replace(/\?$/, '') as ShapeType),
    )
    .map(
      ([field, type]: readonly [string, unknown]) =>
        `${what} has ${field} of type ${typeof type === 'string' ? `"${type}"` : kindOf(type)}; ` +
        `expected ${SHAPE_TYPES.join(', ')}, with ? where it may be absent`,
    );
}
