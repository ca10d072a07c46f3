/** The attributes and keys of maps that must be present if a condition is true, or if it is false. */
import type { Attributes } from '../../attributes/attributes.ts';
import { constantOf, type Typed } from '../check/typed.ts';
import { IN_MAP } from '../functions/operators.ts';

/** The name of a key of a map attribute. */
export const keyName = (attribute: string, key: string): string => `${attribute}[${key}]`;

/** Shared, since most conditions prove nothing. */
const NOTHING: ReadonlySet<string> = new Set();

export function presenceProvenBy(condition: Typed, isTrue: boolean, attributes: Attributes): ReadonlySet<string> {
  let found: Set<string> | undefined;
  const add = (name: string): void => {
    (found ??= new Set()).add(name);
  };
  const addKey = (of: Typed, key: unknown): void => {
    if (of.kind === 'attribute' && typeof key === 'string') add(keyName(attributes.at(of.slot).name, key));
  };
  const visit = (typed: Typed, holds: boolean): void => {
    if (typed.kind === 'not') visit(typed.of, !holds);
    else if (typed.kind === (holds ? 'and' : 'or')) {
      visit(typed.left, holds);
      visit(typed.right, holds);
    } else if (!holds) return;
    else if (typed.kind === 'hasAttribute') add(attributes.at(typed.slot).name);
    else if (typed.kind === 'hasField') addKey(typed.of, typed.field);
    else if (typed.kind === 'hasValue' && typed.of.kind === 'lookup') addKey(typed.of.of, constantOf(typed.of.key));
    else if (typed.kind === 'call' && typed.overload === IN_MAP) {
      const [key, map] = typed.args;
      if (key !== undefined && map !== undefined) addKey(map, constantOf(key));
    }
  };
  visit(condition, isTrue);
  return found ?? NOTHING;
}
