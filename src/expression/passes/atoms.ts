/**
 * Guards of single tests: comparisons of one attribute, or of one key of a map attribute, with constants.
 * **In**: a typed node other than `&&`, `||`, `!` and `?:`. **Out**: its guards (index-guards.ts). **Fails**: never.
 */
import type { Attributes } from '../../attributes/attributes.ts';
import { Cidr, parseCidr } from '../../attributes/network.ts';
import type { Type } from '../../attributes/types.ts';
import type { Value } from '../../attributes/values.ts';
import { constantOf, type Typed, type TypedOf } from '../check/typed.ts';
import { EQUAL_NUMBERS, IN_MAP } from '../functions/operators.ts';

/** An attribute, or one key of a map: one object for each in a vocabulary, so that it is the key of a Map. */
export interface Place {
  readonly slot: number;
  readonly key: string | undefined;
}

export type Atom =
  | { readonly kind: 'eq'; readonly place: Place; readonly value: Value }
  | { readonly kind: 'prefix'; readonly place: Place; readonly prefix: string }
  | { readonly kind: 'cidr'; readonly place: Place; readonly range: Cidr }
  | { readonly kind: 'present' | 'absent'; readonly place: Place };

/** At least one of them holds. An empty guard: the condition is always false. */
export type Guard = readonly Atom[];

export type Reading = 'true' | 'false' | 'not false' | 'not true';

export const NEGATED: Readonly<Record<Reading, Reading>> = {
  true: 'false',
  false: 'true',
  'not false': 'not true',
  'not true': 'not false',
};

/** A guard with more atoms costs more than it saves. */
export const MAX_ATOMS = 64;

/** A place with the atoms of its presence. */
interface KnownPlace {
  readonly place: Place;
  readonly present: Atom;
  readonly absent: Atom;
}

/** Held once for each vocabulary, since the rules of a policy look at few places. */
const known = new WeakMap<Attributes, Map<string, KnownPlace>>();

export class Places {
  readonly #attributes: Attributes;
  readonly #known: Map<string, KnownPlace>;

  constructor(attributes: Attributes) {
    this.#attributes = attributes;
    let found = known.get(attributes);
    if (found === undefined) known.set(attributes, (found = new Map()));
    this.#known = found;
  }

  typeOf(slot: number): Type {
    return this.#attributes.at(slot).type;
  }

  at(slot: number, key?: string): KnownPlace {
    const name = key === undefined ? String(slot) : `${slot}[${key}`;
    const found = this.#known.get(name);
    if (found !== undefined) return found;
    const place: Place = { slot, key };
    const made: KnownPlace = { place, present: { kind: 'present', place }, absent: { kind: 'absent', place } };
    this.#known.set(name, made);
    return made;
  }
}

interface Operand {
  readonly at: KnownPlace;
  /** The place of the map, if it is one of its entries. */
  readonly map: KnownPlace | undefined;
  readonly type: Type;
  /** The constant of `.orValue(...)`, which replaces an absent value. */
  readonly instead: Value | undefined;
  readonly isOptional: boolean;
}

function operandOf(typed: Typed, places: Places): Operand | undefined {
  if (typed.kind === 'orElse' && !typed.isOptional) {
    const below = placeOf(typed.of, places);
    const instead = constantOf(typed.instead) as Value | undefined;
    return below?.isOptional === true && instead !== undefined && typed.instead.type.kind === below.type.kind
      ? { ...below, instead }
      : undefined;
  }
  const operand = placeOf(typed, places);
  return operand?.isOptional === true ? undefined : operand;
}

function placeOf(typed: Typed, places: Places): Operand | undefined {
  if (typed.kind === 'attribute')
    return {
      at: places.at(typed.slot),
      map: undefined,
      type: places.typeOf(typed.slot),
      instead: undefined,
      isOptional: typed.isOptional,
    };
  if (typed.kind !== 'lookup' || typed.of.kind !== 'attribute' || typed.of.isOptional) return undefined;
  const { slot, type } = typed.of;
  const key = constantOf(typed.key);
  if (typeof key !== 'string' || type.kind !== 'map' || type.key.kind !== 'string') return undefined;
  const { isOptional } = typed;
  return { at: places.at(slot, key), map: places.at(slot), type: type.of, instead: undefined, isOptional };
}

export function guardsOfTest(typed: Typed, reading: Reading, places: Places): readonly Guard[] {
  const isPositive = reading === 'true' || reading === 'not false';
  const operand = operandOf(typed, places);
  if (operand?.type.kind === 'bool')
    return test(operand, reading, [eq(operand, isPositive)], operand.instead === isPositive);
  switch (typed.kind) {
    case 'hasAttribute': {
      const { present, absent } = places.at(typed.slot);
      return [[isPositive ? present : absent]];
    }
    case 'hasField': {
      const { of, field } = typed;
      if (of.kind !== 'attribute' || of.isOptional || typed.slot === undefined) return [];
      const { present, absent } = places.at(of.slot, field);
      return [[isPositive ? present : absent]];
    }
    case 'identical':
      return equality(typed.left, typed.right, typed.isNegated ? NEGATED[reading] : reading, places);
    case 'inSet': {
      const item = operandOf(typed.item, places);
      const values = [...typed.values] as Value[];
      if (item === undefined || values.length > MAX_ATOMS) return [];
      return positive(
        item,
        reading,
        values.map((value) => eq(item, value)),
        item.instead !== undefined && typed.values.has(item.instead),
      );
    }
    case 'macro':
      return inRanges(typed, reading, places);
    case 'call':
      return call(typed, reading, places);
    default:
      return [];
  }
}

/** Types that an index finds by equality. */
const INDEXED: ReadonlySet<Type['kind']> = new Set(['bool', 'int', 'uint', 'string', 'null']);

function equality(left: Typed, right: Typed, reading: Reading, places: Places): readonly Guard[] {
  const [of, constant] = right.kind === 'constant' ? [left, right] : [right, left];
  const value = constantOf(constant) as Value | undefined;
  const operand = operandOf(of, places);
  if (value === undefined || operand?.type.kind !== constant.type.kind || !INDEXED.has(operand.type.kind)) return [];
  return positive(operand, reading, [eq(operand, value)], operand.instead === value);
}

function call({ overload, args }: TypedOf<'call'>, reading: Reading, places: Places): readonly Guard[] {
  const [first, second] = args;
  if (first === undefined || second === undefined) return [];
  if (overload === EQUAL_NUMBERS['==']) return equality(first, second, reading, places);
  if (overload === EQUAL_NUMBERS['!=']) return equality(first, second, NEGATED[reading], places);
  if (overload === IN_MAP) return inMap(first, second, reading, places);
  switch (overload.name) {
    case 'startsWith':
    case 'matches': {
      const operand = operandOf(first, places);
      const text = constantOf(second);
      if (operand?.type.kind !== 'string' || typeof text !== 'string') return [];
      const prefix = overload.name === 'startsWith' ? text : literalPrefix(text);
      if (prefix === undefined || prefix === '') return [];
      const insteadHolds = typeof operand.instead === 'string' && operand.instead.startsWith(prefix);
      return positive(operand, reading, [{ kind: 'prefix', place: operand.at.place, prefix }], insteadHolds);
    }
    case 'containsIP': {
      const range = constantOf(first);
      const operand = operandOf(second, places);
      return range instanceof Cidr && operand?.type.kind === 'ip' && !operand.isOptional
        ? positive(operand, reading, [{ kind: 'cidr', place: operand.at.place, range }], false)
        : [];
    }
    default:
      return [];
  }
}

function inMap(item: Typed, container: Typed, reading: Reading, places: Places): readonly Guard[] {
  const key = constantOf(item);
  const map = operandOf(container, places);
  if (typeof key !== 'string' || map === undefined || map.map !== undefined || map.isOptional) return [];
  const { present, absent } = places.at(map.at.place.slot, key);
  switch (reading) {
    case 'true':
      return [[present]];
    case 'not false':
      return [[present, map.at.absent]];
    case 'false':
    case 'not true':
      return [[absent]];
  }
}

/** `["10.0.0.0/8", ...].exists(n, cidr(n).containsIP(x))`. */
function inRanges(
  { macro, over, variables, body }: TypedOf<'macro'>,
  reading: Reading,
  places: Places,
): readonly Guard[] {
  const texts = constantOf(over);
  if (macro !== 'exists' || variables.length !== 1 || !Array.isArray(texts) || texts.length > MAX_ATOMS) return [];
  if (body.kind !== 'call' || body.overload.name !== 'containsIP') return [];
  const [made, address] = body.args;
  if (made?.kind !== 'call' || made.overload.name !== 'cidr' || address === undefined) return [];
  const [of] = made.args;
  const operand = operandOf(address, places);
  const ranges = texts.map((text) => (typeof text === 'string' ? parseCidr(text) : undefined));
  if (
    of?.kind !== 'variable' ||
    of.index !== variables[0] ||
    operand?.type.kind !== 'ip' ||
    operand.isOptional ||
    ranges.includes(undefined)
  )
    return [];
  return positive(
    operand,
    reading,
    ranges.map((range) => ({ kind: 'cidr', place: operand.at.place, range: range as Cidr })),
    false,
  );
}

const eq = (operand: Operand, value: Value): Atom => ({ kind: 'eq', place: operand.at.place, value });

/** The guards of a test that is true if an atom holds. `insteadHolds`: whether the constant of `orValue` passes the test. */
function positive(operand: Operand, reading: Reading, atoms: readonly Atom[], insteadHolds: boolean): readonly Guard[] {
  if (reading === 'true' || reading === 'not false') return test(operand, reading, atoms, insteadHolds);
  return operand.isOptional ? [] : reading === 'false' ? [[operand.at.present]] : [];
}

/** Uses concat(), which makes arrays of the exact size; a spread reserves room for 16 more in each of many thousand guards. */
function test(operand: Operand, reading: Reading, atoms: readonly Atom[], insteadHolds: boolean): readonly Guard[] {
  const {
    at: { absent },
    map,
  } = operand;
  const isStrict = reading === 'true' || reading === 'false';
  if (!operand.isOptional) return [isStrict ? atoms : atoms.concat(absent)];
  if (insteadHolds) return [atoms.concat(absent)];
  // Only an absent map fails; an absent key or attribute is replaced.
  return [isStrict || map === undefined ? atoms : atoms.concat(map.absent)];
}

/** The plain characters after `^` at the beginning of a pattern. */
function literalPrefix(pattern: string): string | undefined {
  const match = /^\^([A-Za-z0-9_/-]+)(.?)/.exec(pattern);
  if (match === null || pattern.includes('|')) return undefined;
  const [, text = '', next = ''] = match;
  return '*?{+'.includes(next) && next !== '' ? text.slice(0, -1) : text;
}
