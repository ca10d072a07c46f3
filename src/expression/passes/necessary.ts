/**
 * What must hold of a request so that a condition is not false, for an index over many conditions.
 * **In**: a typed tree. **Out**: guards; at least one atom of each holds wherever the condition is true or fails (so that a
 * failure is seen as well). **Fails**: never; a part that is not understood has no guard.
 *
 * Four readings are needed on the way: true, false, not false and not true; the last two include failing. An `&&` that is
 * not false has no side that is false, so the guards of either side will do; an `||` that is not false has one side that
 * is not, so a guard of each side together.
 */
import type { Attributes } from '../../attributes/attributes.ts';
import type { Typed } from '../check/typed.ts';
import { type Guard, guardsOfTest, MOST_ATOMS, NEGATED, type Place, Places, type Reading } from './atoms.ts';

/** More guards to choose from cost more than they save. */
const MOST_GUARDS = 6;
/** Of nested conditions: deeper ones have no guard. */
const MOST_DEPTH = 100;

/** Each guard is sound by itself: an index takes the most selective one. None: the condition may always be not false. */
export const necessaryFor = (tree: Typed, attributes: Attributes): readonly Guard[] =>
  guardsOf(tree, 'not false', new Places(attributes), 0);

function guardsOf(typed: Typed, reading: Reading, places: Places, depth: number): readonly Guard[] {
  if (depth > MOST_DEPTH) return [];
  const of = (part: Typed, as: Reading): readonly Guard[] => guardsOf(part, as, places, depth + 1);
  const isPositive = reading === 'true' || reading === 'not false';
  switch (typed.kind) {
    case 'constant':
      if (typeof typed.value !== 'boolean') return [];
      return typed.value === isPositive ? [] : [[]];
    case 'and':
    case 'or':
      return (typed.kind === 'and') === isPositive
        ? either(of(typed.left, reading), of(typed.right, reading))
        : together(of(typed.left, reading), of(typed.right, reading));
    case 'if': {
      const { test, yes, no } = typed;
      if (reading === 'true' || reading === 'false')
        return together(either(of(test, 'true'), of(yes, reading)), either(of(test, 'false'), of(no, reading)));
      // A test that fails is covered where one half keeps to the guards of the test alone.
      return either(
        together(of(test, 'not false'), either(of(test, 'not true'), of(no, reading))),
        together(either(of(test, 'not false'), of(yes, reading)), of(test, 'not true')),
      );
    }
    case 'not':
      return of(typed.of, NEGATED[reading]);
    default:
      return guardsOfTest(typed, reading, places);
  }
}

/** Any guard of both; where one says that a place is present, the others need not look for it absent. */
function either(a: readonly Guard[], b: readonly Guard[]): readonly Guard[] {
  const all = [...a, ...b];
  const present = all.flatMap((guard) => (guard.length === 1 && guard[0]?.kind === 'present' ? [guard[0].place] : []));
  const isPresent = (place: Place): boolean =>
    present.some(({ slot, key }) => slot === place.slot && (key === place.key || place.key === undefined));
  const sharpened =
    present.length === 0
      ? all
      : all.map((guard) => guard.filter(({ kind, place }) => kind !== 'absent' || !isPresent(place)));
  return sharpened.toSorted((one, other) => one.length - other.length).slice(0, MOST_GUARDS);
}

function together(a: readonly Guard[], b: readonly Guard[]): readonly Guard[] {
  const joined = a.flatMap((one) => b.map((other) => one.concat(other)));
  return joined
    .filter((guard) => guard.length <= MOST_ATOMS)
    .toSorted((one, other) => one.length - other.length)
    .slice(0, MOST_GUARDS);
}
