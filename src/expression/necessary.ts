/**
 * What must hold of a request so that a condition is not false, for an index over many conditions.
 * **In**: a tree. **Out**: guards; of each at least one atom holds wherever the condition is true or fails (so that a failure
 * is seen as well). **Fails**: never; of what is not understood there is no guard.
 *
 * Four readings are needed on the way: T is true, F is false, and not-false and not-true, which include failing. An `&&`
 * that is not false has neither side false, so the guards of either side will do; an `||` that is not false has one side
 * that is not, so a guard of each side together.
 */
import type { Attributes } from '../attributes/attributes.ts';
import { type Cidr, parseCidr } from '../attributes/network.ts';
import type { Type } from '../attributes/types.ts';
import type { Value } from '../attributes/values.ts';
import type { Node } from './parse/ast.ts';
import { type Chain, chainOf } from './guards.ts';
import { keyFor } from './keys.ts';

/** An attribute, or one key of a map. */
export interface Place {
  readonly slot: number;
  readonly key: string | undefined;
}

export type Atom =
  | { readonly kind: 'eq'; readonly place: Place; readonly value: Value }
  | { readonly kind: 'prefix'; readonly place: Place; readonly prefix: string }
  | { readonly kind: 'cidr'; readonly place: Place; readonly range: Cidr }
  | { readonly kind: 'present' | 'absent'; readonly place: Place };

/** At least one of them holds. None at all: it never can. */
export type Guard = readonly Atom[];

type Reading = 'true' | 'false' | 'not false' | 'not true';
const SWAPPED: Readonly<Record<Reading, Reading>> = {
  true: 'false',
  false: 'true',
  'not false': 'not true',
  'not true': 'not false',
};

/** A guard of more atoms costs more than it saves; so do more guards to choose from. */
const MOST_ATOMS = 64;
const MOST_GUARDS = 6;
/** Of nested conditions: deeper ones have no guard. */
const MOST_DEPTH = 100;

/** Each of them is sound by itself: whoever indexes takes the most selective one. None: it may always be not false. */
export function necessaryFor(tree: Node, attributes: Attributes): readonly Guard[] {
  return new Finder(attributes).guards(tree, 'not false', 0);
}

/** A place with the atoms that name it alone: held once, since the rules of a policy look at few places. */
interface KnownPlace {
  readonly place: Place;
  readonly present: Atom;
  readonly absent: Atom;
}

const known = new WeakMap<Attributes, Map<string, KnownPlace>>();

function placesOf(attributes: Attributes): Map<string, KnownPlace> {
  let places = known.get(attributes);
  if (places === undefined) known.set(attributes, (places = new Map()));
  return places;
}

interface Operand {
  readonly at: KnownPlace;
  /** Of its map, where it is an entry of one. */ readonly map: KnownPlace | undefined;
  readonly type: Type;
  /** The text or number that stands for an absent one: `.orValue("x")`. */ readonly instead: Value | undefined;
  readonly isOptional: boolean;
}

/** Any guard of both; where one says that a place is there, the others need not look for it absent. */
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

class Finder {
  readonly #attributes: Attributes;
  readonly #places: Map<string, KnownPlace>;

  constructor(attributes: Attributes) {
    this.#attributes = attributes;
    this.#places = placesOf(attributes);
  }

  guards(node: Node, reading: Reading, depth: number): readonly Guard[] {
    if (depth > MOST_DEPTH) return [];
    const of = (part: Node, as: Reading): readonly Guard[] => this.guards(part, as, depth + 1);
    switch (node.kind) {
      case 'literal':
        if (node.type !== 'bool') return [];
        return node.value === (reading === 'true' || reading === 'not false') ? [] : [[]];
      case 'and':
      case 'or': {
        const needsBoth = (node.kind === 'and') === (reading === 'true' || reading === 'not false');
        return (needsBoth ? either : together)(of(node.left, reading), of(node.right, reading));
      }
      case 'if': {
        const { test, yes, no } = node;
        if (reading === 'true' || reading === 'false')
          return together(either(of(test, 'true'), of(yes, reading)), either(of(test, 'false'), of(no, reading)));
        // A test that fails is covered where one half keeps to what the test alone says.
        return either(
          together(of(test, 'not false'), either(of(test, 'not true'), of(no, reading))),
          together(either(of(test, 'not false'), of(yes, reading)), of(test, 'not true')),
        );
      }
      case 'call':
        return node.name === '!' && node.args[0] !== undefined && node.target === undefined
          ? of(node.args[0], SWAPPED[reading])
          : this.#leaf(node, reading);
      default:
        return this.#leaf(node, reading);
    }
  }

  #leaf(node: Node, reading: Reading): readonly Guard[] {
    const operand = this.#operand(node);
    if (operand?.type.kind === 'bool')
      return test(
        operand,
        reading,
        [eq(operand, reading === 'true' || reading === 'not false')],
        operand.instead === (reading === 'true' || reading === 'not false'),
      );
    if (node.kind === 'has') return this.#has(node.of, reading);
    if (node.kind === 'macro') return this.#inRanges(node, reading);
    if (node.kind !== 'call') return [];
    const [first, second] = node.args;
    switch (node.name) {
      case '==':
      case '!=': {
        if (first === undefined || second === undefined) return [];
        const as = node.name === '==' ? reading : SWAPPED[reading];
        return this.#equals(first, second, as) ?? this.#equals(second, first, as) ?? [];
      }
      case 'in':
        return first === undefined || second === undefined ? [] : this.#in(first, second, reading);
      case 'startsWith':
      case 'matches': {
        const target = node.target === undefined ? undefined : this.#operand(node.target);
        if (target?.type.kind !== 'string' || first?.kind !== 'literal' || typeof first.value !== 'string') return [];
        const prefix = node.name === 'startsWith' ? first.value : literalPrefix(first.value);
        if (prefix === undefined || prefix === '') return [];
        return positive(
          target,
          reading,
          [{ kind: 'prefix', place: target.at.place, prefix }],
          typeof target.instead === 'string' && target.instead.startsWith(prefix),
        );
      }
      case 'containsIP': {
        const range = node.target === undefined ? undefined : constantRange(node.target);
        const target = first === undefined ? undefined : this.#operand(first);
        return range === undefined || target?.type.kind !== 'ip' || target.isOptional
          ? []
          : positive(target, reading, [{ kind: 'cidr', place: target.at.place, range }], false);
      }
      default:
        return [];
    }
  }

  /** Nothing where it is not of this form. */
  #equals(left: Node, right: Node, reading: Reading): readonly Guard[] | undefined {
    const operand = this.#operand(left);
    if (
      operand === undefined ||
      right.kind !== 'literal' ||
      right.type !== operand.type.kind ||
      right.type === 'double' ||
      right.type === 'bytes'
    )
      return undefined;
    return positive(operand, reading, [eq(operand, right.value)], operand.instead === right.value);
  }

  #in(left: Node, right: Node, reading: Reading): readonly Guard[] {
    const operand = this.#operand(left);
    if (operand !== undefined && right.kind === 'list') {
      const values = right.items.map(({ node, optional }) =>
        node.kind === 'literal' &&
        !optional &&
        node.type === operand.type.kind &&
        node.type !== 'double' &&
        node.type !== 'bytes'
          ? node.value
          : undefined,
      );
      if (values.length > MOST_ATOMS || values.includes(undefined)) return [];
      return positive(
        operand,
        reading,
        values.map((value) => eq(operand, value as Value)),
        values.includes(operand.instead),
      );
    }
    const map = this.#operand(right);
    if (
      left.kind !== 'literal' ||
      typeof left.value !== 'string' ||
      map === undefined ||
      map.map !== undefined ||
      map.isOptional ||
      map.type.kind !== 'map' ||
      map.type.key.kind !== 'string'
    )
      return [];
    const { slot } = map.at.place;
    const { present, absent } = this.#at(slot, keyFor(this.#attributes.at(slot).name, left.value));
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

  #has(of: Node, reading: Reading): readonly Guard[] {
    const operand = of.kind === 'select' ? this.#operand(of) : undefined;
    if (operand === undefined || operand.isOptional) return [];
    return [[reading === 'true' || reading === 'not false' ? operand.at.present : operand.at.absent]];
  }

  /** `["10.0.0.0/8", ...].exists(n, cidr(n).containsIP(x))`. */
  #inRanges(node: Node & { kind: 'macro' }, reading: Reading): readonly Guard[] {
    const { over, body } = node;
    if (
      node.macro !== 'exists' ||
      node.second !== undefined ||
      over.kind !== 'list' ||
      body.kind !== 'call' ||
      body.name !== 'containsIP'
    )
      return [];
    const made = body.target;
    const [of] = made?.kind === 'call' && made.name === 'cidr' && made.target === undefined ? made.args : [];
    const ranges = over.items.map(({ node: item, optional }) =>
      item.kind === 'literal' && typeof item.value === 'string' && !optional ? parseCidr(item.value) : undefined,
    );
    const operand =
      body.args[0] === undefined || namesVariable(body.args[0], node.variable)
        ? undefined
        : this.#operand(body.args[0]);
    if (
      of?.kind !== 'name' ||
      of.name !== node.variable ||
      operand?.type.kind !== 'ip' ||
      operand.isOptional ||
      ranges.includes(undefined) ||
      ranges.length > MOST_ATOMS
    )
      return [];
    return positive(
      operand,
      reading,
      ranges.map((range) => ({ kind: 'cidr', place: operand.at.place, range: range as Cidr })),
      false,
    );
  }

  // ------------------------------------------------------------ what is read

  #operand(node: Node): Operand | undefined {
    if (node.kind === 'call' && node.name === 'orValue' && node.target !== undefined) {
      const [instead] = node.args;
      const below = this.#place(node.target);
      if (below?.isOptional !== true || instead?.kind !== 'literal' || instead.type !== below.type.kind)
        return undefined;
      return { ...below, instead: instead.value };
    }
    const place = this.#place(node);
    return place?.isOptional === true ? undefined : place;
  }

  #place(node: Node): Operand | undefined {
    const chain = chainOf(node);
    if (chain !== undefined) return this.#named(chain);
    if (node.kind !== 'index' || node.key.kind !== 'literal' || typeof node.key.value !== 'string') return undefined;
    const below = this.#place(node.of);
    if (
      below === undefined ||
      below.map !== undefined ||
      below.isOptional ||
      below.type.kind !== 'map' ||
      below.type.key.kind !== 'string'
    )
      return undefined;
    const { slot } = below.at.place;
    return {
      at: this.#at(slot, keyFor(this.#attributes.at(slot).name, node.key.value)),
      map: below.at,
      type: below.type.of,
      instead: undefined,
      isOptional: node.optional,
    };
  }

  /** An attribute, or an attribute that is a map and one field of it. */
  #named({ names, optional }: Chain): Operand | undefined {
    const slot = this.#attributes.slotOf(names.join('.'));
    if (slot !== undefined)
      return {
        at: this.#at(slot, undefined),
        map: undefined,
        type: this.#attributes.at(slot).type,
        instead: undefined,
        isOptional: optional.includes(true),
      };
    const mapName = names.slice(0, -1).join('.');
    const mapSlot = this.#attributes.slotOf(mapName);
    const map = mapSlot === undefined ? undefined : this.#attributes.at(mapSlot).type;
    if (
      mapSlot === undefined ||
      map?.kind !== 'map' ||
      map.key.kind !== 'string' ||
      optional.slice(0, -1).includes(true)
    )
      return undefined;
    return {
      at: this.#at(mapSlot, keyFor(mapName, names.at(-1) ?? '')),
      map: this.#at(mapSlot, undefined),
      type: map.of,
      instead: undefined,
      isOptional: optional.at(-1) === true,
    };
  }

  #at(slot: number, key: string | undefined): KnownPlace {
    const name = key === undefined ? String(slot) : `${slot}[${key}`;
    const found = this.#places.get(name);
    if (found !== undefined) return found;
    const place: Place = { slot, key };
    const made: KnownPlace = { place, present: { kind: 'present', place }, absent: { kind: 'absent', place } };
    this.#places.set(name, made);
    return made;
  }
}

const eq = (operand: Operand, value: Value): Atom => ({ kind: 'eq', place: operand.at.place, value });
const namesVariable = (node: Node, variable: string): boolean => chainOf(node)?.names[0] === variable;

/** Of a test on one operand whose truth has these atoms; `insteadHolds`: whether what stands for an absent one passes it. */
function positive(operand: Operand, reading: Reading, atoms: readonly Atom[], insteadHolds: boolean): readonly Guard[] {
  if (reading === 'true' || reading === 'not false') return test(operand, reading, atoms, insteadHolds);
  return operand.isOptional ? [] : reading === 'false' ? [[operand.at.present]] : [];
}

/** By concat(), which makes arrays as long as they are; a spread leaves room for 16 more, in each of many thousand guards. */
function test(operand: Operand, reading: Reading, atoms: readonly Atom[], insteadHolds: boolean): readonly Guard[] {
  const {
    at: { absent },
    map,
  } = operand;
  const isStrict = reading === 'true' || reading === 'false';
  if (!operand.isOptional) return [isStrict ? atoms : atoms.concat(absent)];
  if (insteadHolds) return [atoms.concat(absent)];
  // Only an absent map fails; an absent key, or attribute, is replaced.
  return [isStrict || map === undefined ? atoms : atoms.concat(map.absent)];
}

function constantRange(node: Node): Cidr | undefined {
  if (node.kind !== 'call' || node.name !== 'cidr' || node.target !== undefined || node.args[0]?.kind !== 'literal')
    return undefined;
  const { value } = node.args[0];
  return typeof value === 'string' ? parseCidr(value) : undefined;
}

/** Of a pattern that begins with `^` and plain characters. */
function literalPrefix(pattern: string): string | undefined {
  const match = /^\^([A-Za-z0-9_/-]+)(.?)/.exec(pattern);
  if (match === null || pattern.includes('|')) return undefined;
  const [, text = '', next = ''] = match;
  return '*?{+'.includes(next) && next !== '' ? text.slice(0, -1) : text;
}
