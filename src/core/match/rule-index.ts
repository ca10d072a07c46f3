/**
 * An index of rules by necessary conditions.
 * **In**: items in order, and the guards of their conditions. **Out**: for a bag, the items that may apply, in order.
 * **Fails**: never; an item without a guard is always a candidate.
 *
 * Each item is indexed by its most selective guard: the one whose values the fewest items mention. Each place that an atom names
 * has a map of values, one map per length of prefix and of CIDR range, and lists of the items that need it present or absent.
 * Where many items share a value, such as a namespace, their other guards divide them again.
 *
 * A policy of 100 000 rules has hundreds of thousands of values, so nothing here keeps an array or a text for each of them.
 */
import type { Bag } from '../../attributes/bag.ts';
import { Cidr, Ip } from '../../attributes/network.ts';
import type { Value } from '../../attributes/values.ts';
import type { Atom, Guard, Place } from '../../expression/index.ts';
import type { TimeSlice } from '../../time/time-slice.ts';
import { Mentions } from './mentions.ts';

/** Any one of the guards is necessary; none: always a candidate. */
type GuardsOfItem<T> = (item: T) => readonly Guard[];

/** Below this number of items a scan is as fast. */
const FEW = 8;
/** From this number of items that share a value on, looking at a second place costs less than evaluating them. */
const MANY = 12;

export class RuleIndex<T> {
  readonly #items: readonly T[];
  readonly #isFew: boolean;
  #root = EMPTY;

  private constructor(items: readonly T[]) {
    this.#items = items;
    this.#isFew = items.length < FEW;
  }

  static async of<T>(items: readonly T[], guardsOf: GuardsOfItem<T>, slice: TimeSlice): Promise<RuleIndex<T>> {
    const index = new RuleIndex(items);
    if (index.#isFew) return index;
    const positions = Array.from(items.keys());
    index.#root = await groupOf(positions, (position) => guardsOf(items[position] as T), slice);
    return index;
  }

  /** The array of all items itself, if all may apply. */
  candidates(bag: Bag): readonly T[] {
    const { always, places } = this.#root;
    if (this.#isFew || places.length === 0) return this.#items;
    const found: number[] = [];
    for (const place of places) place.find(bag, found);
    if (found.length === 0) return always.length === 0 ? NONE : this.#taken(always);
    if (always.length > 0) for (const position of always) found.push(position);
    return this.#taken(found.length === 1 ? found : inOrder(found));
  }

  #taken(positions: readonly number[]): T[] {
    const items: T[] = [];
    for (const position of positions) items.push(this.#items[position] as T);
    return items;
  }
}

const NONE: readonly never[] = [];
type GuardsOf = (position: number) => readonly Guard[];
type GuardOf = (position: number) => Guard | undefined;

/** Sorted, without duplicates. */
function inOrder(positions: number[]): number[] {
  positions.sort((a, b) => a - b);
  let last = -1;
  return positions.filter((position) => {
    const isNew = position !== last;
    last = position;
    return isNew;
  });
}

// ---------------------------------------------------------------- groups of items

async function mentionsOf(positions: readonly number[], guardsOf: GuardsOf, slice: TimeSlice): Promise<Mentions> {
  const mentions = new Mentions();
  for (const position of positions) {
    mentions.add(guardsOf(position));
    if (slice.isOver) await slice.next();
  }
  return mentions;
}

interface Group {
  /** Positions of items without a further guard. */
  readonly always: readonly number[];
  readonly places: readonly PlaceIndex[];
}

async function groupOf(positions: readonly number[], guardsOf: GuardsOf, slice: TimeSlice): Promise<Group> {
  const mentions = await mentionsOf(positions, guardsOf, slice);
  const always: number[] = [];
  const byPlace = new Map<Place, PlaceIndex>();
  const used: GuardOf = (position) => mentions.cheapest(guardsOf(position));
  for (const position of positions) {
    const guard = used(position);
    if (guard === undefined) always.push(position);
    else for (const atom of guard) placeIn(byPlace, atom.place).add(atom, position);
    if (slice.isOver) await slice.next();
  }
  const places = [...byPlace.values()];
  const others: GuardsOf = (position) => {
    const one = used(position);
    return guardsOf(position).filter((guard) => guard !== one);
  };
  for (const place of places) await place.divide(others, slice);
  return { always, places };
}

const EMPTY: Group = { always: [], places: [] };

function findIn({ always, places }: Group, bag: Bag, found: number[]): void {
  take(always, found);
  for (const place of places) place.find(bag, found);
}

function placeIn(byPlace: Map<Place, PlaceIndex>, place: Place): PlaceIndex {
  let index = byPlace.get(place);
  if (index === undefined) byPlace.set(place, (index = new PlaceIndex(place)));
  return index;
}

// ---------------------------------------------------------------- one place

/** One, or several in order: most values are those of one item, and an array takes six times as much as the value's entry. */
type Positions = number | number[];

class PlaceIndex {
  readonly #slot: number;
  readonly #key: string | undefined;
  readonly #equal = new Map<Value, Positions>();
  readonly #groups = new Map<Value, Group>(); // for values that many items share, instead of the positions
  /** By length, the shortest first. */
  readonly #prefixes: { readonly length: number; readonly byText: Map<string, Positions> }[] = [];
  readonly #ranges: RangesOfLength[] = [];
  readonly #present: number[] = [];
  readonly #absent: number[] = [];

  constructor({ slot, key }: Place) {
    this.#slot = slot;
    this.#key = key;
  }

  add(atom: Atom, position: number): void {
    switch (atom.kind) {
      case 'present':
        return put(this.#present, position);
      case 'absent':
        return put(this.#absent, position);
      case 'eq':
        return putAt(this.#equal, atom.value, position);
      case 'prefix':
        return putAt(this.#prefixesOf(atom.prefix.length), atom.prefix, position);
      case 'cidr':
        return this.#rangesOf(atom.range).add(atom.range, position);
    }
  }

  /** After all items are added. */
  async divide(guardsOf: GuardsOf, slice: TimeSlice): Promise<void> {
    for (const [value, positions] of this.#equal) {
      if (typeof positions === 'number' || positions.length < MANY) continue;
      const group = await groupOf(positions, guardsOf, slice);
      if (group.always.length > positions.length / 2) continue;
      this.#groups.set(value, group);
      this.#equal.delete(value);
    }
  }

  find(bag: Bag, found: number[]): void {
    let value = bag.get(this.#slot);
    if (this.#key !== undefined && value !== undefined) value = (value as ReadonlyMap<Value, Value>).get(this.#key);
    if (value === undefined) return take(this.#absent, found);
    take(this.#present, found);
    const equal = this.#equal.size === 0 ? undefined : this.#equal.get(value);
    if (equal !== undefined) take(equal, found);
    else if (this.#groups.size > 0) findIn(this.#groups.get(value) ?? EMPTY, bag, found);
    if (this.#prefixes.length > 0 && typeof value === 'string') this.#findPrefixes(value, found);
    if (this.#ranges.length > 0 && value instanceof Ip) for (const ranges of this.#ranges) ranges.find(value, found);
  }

  #findPrefixes(value: string, found: number[]): void {
    for (const { length, byText } of this.#prefixes) {
      if (length > value.length) return;
      const positions = byText.get(value.slice(0, length));
      if (positions !== undefined) take(positions, found);
    }
  }

  #prefixesOf(length: number): Map<string, Positions> {
    const known = this.#prefixes.find((one) => one.length === length);
    if (known !== undefined) return known.byText;
    const byText = new Map<string, Positions>();
    this.#prefixes.push({ length, byText });
    this.#prefixes.sort((a, b) => a.length - b.length);
    return byText;
  }

  #rangesOf({ address: { family }, prefixLength }: Cidr): RangesOfLength {
    let ranges = this.#ranges.find((one) => one.family === family && one.length === prefixLength);
    if (ranges === undefined) this.#ranges.push((ranges = new RangesOfLength(family, prefixLength)));
    return ranges;
  }
}

/** CIDR ranges of one family and length, by masked address. */
class RangesOfLength {
  readonly family: 4 | 6;
  readonly length: number;
  readonly #byAddress = new Map<number | bigint, Positions>();

  constructor(family: 4 | 6, length: number) {
    this.family = family;
    this.length = length;
  }

  add({ address }: Cidr, position: number): void {
    putAt(this.#byAddress, this.#key(address), position);
  }

  find(address: Ip, found: number[]): void {
    if (address.family !== this.family) return;
    const positions = this.#byAddress.get(this.#key(address));
    if (positions !== undefined) take(positions, found);
  }

  /** The leading bits as a number. */
  #key({ bytes }: Ip): number | bigint {
    if (this.family === 4)
      return this.length === 0
        ? 0
        : (((bytes[0] ?? 0) << 24) | ((bytes[1] ?? 0) << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)) >>>
            (32 - this.length);
    let bits = 0n;
    for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
    return bits >> BigInt(128 - this.length);
  }
}

function putAt<K>(map: Map<K, Positions>, key: K, position: number): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, position);
  else if (typeof known !== 'number') put(known, position);
  else if (known !== position) map.set(key, [known, position]);
}

/** Positions come in order; an item may mention an atom twice. */
function put(list: number[], position: number): void {
  if (list.at(-1) !== position) list.push(position);
}

function take(positions: number | readonly number[], found: number[]): void {
  if (typeof positions === 'number') found.push(positions);
  else for (const position of positions) found.push(position);
}
