/**
 * Necessary conditions for an index over many expressions: tests that a request must pass if an expression is not false.
 * **In**: a typed tree. **Out**: guards; at least one atom of each holds if the expression is true or fails, so that failing
 * expressions are found too. **Fails**: never; a part that is not analysed has no guard.
 *
 * The analysis has four readings: true, false, not false and not true; the last two include failures. If `a && b` is not false,
 * neither side is false, so the guards of either side are valid. If `a || b` is not false, one side is not false, so a guard
 * needs the atoms of both sides.
 */
import type { Attributes } from '../../attributes/attributes.ts';
import type { Typed } from '../check/typed.ts';
import { type Guard, guardsOfTest, MAX_ATOMS, NEGATED, type Place, Places, type Reading } from './atoms.ts';

/** More guards per expression cost more than they save. */
const MAX_GUARDS = 6;
/** Deeper nested conditions have no guard. */
const MAX_DEPTH = 100;

/** Each guard is sound by itself; an index uses the most selective one. No guards: the expression may be true for any request. */
export const indexGuards = (tree: Typed, attributes: Attributes): readonly Guard[] =>
  guardsOf(tree, 'not false', new Places(attributes), 0);

function guardsOf(typed: Typed, reading: Reading, places: Places, depth: number): readonly Guard[] {
  if (depth > MAX_DEPTH) return [];
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

/** The guards of both. If one says that a place is present, `absent` atoms of that place are dropped from the others. */
function either(a: readonly Guard[], b: readonly Guard[]): readonly Guard[] {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const all = a.concat(b);
  const present = all.flatMap((guard) => (guard.length === 1 && guard[0]?.kind === 'present' ? [guard[0].place] : []));
  const isPresent = (place: Place): boolean =>
    present.some(({ slot, key }) => slot === place.slot && (key === place.key || place.key === undefined));
  const sharpened =
    present.length === 0
      ? all
      : all.map((guard) => guard.filter(({ kind, place }) => kind !== 'absent' || !isPresent(place)));
  return shortest(sharpened);
}

function together(a: readonly Guard[], b: readonly Guard[]): readonly Guard[] {
  if (a.length === 0 || b.length === 0) return [];
  const joined = a.flatMap((one) => b.map((other) => one.concat(other)));
  return shortest(joined.filter((guard) => guard.length <= MAX_ATOMS));
}

/** Sorts the array, which is the caller's own. */
function shortest(guards: Guard[]): readonly Guard[] {
  guards.sort((one, other) => one.length - other.length);
  return guards.length > MAX_GUARDS ? guards.slice(0, MAX_GUARDS) : guards;
}
