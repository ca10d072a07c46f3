/**
 * How selective the guards of items are: the number of items that mention each value of a place.
 * **In**: the guards of all items. **Out**: the most selective guard of an item. **Fails**: never.
 */
import type { Value } from '../../attributes/values.ts';
import type { Atom, Guard, Place } from '../../expression/index.ts';

/** Assumed costs: most requests have a place, few lack it. */
const PRESENT_COST = 64;
const ABSENT_COST = 1;

type Counts = Map<Value, number>;

export class Mentions {
  readonly #equal = new Map<Place, Counts>();
  readonly #prefixes = new Map<Place, Counts>();
  readonly #ranges = new Map<Place, Counts>();

  /** Adds the guards of one item. An atom in two of its guards counts twice; deduplicating would cost more than it gains. */
  add(guards: readonly Guard[]): void {
    for (const guard of guards)
      for (const atom of guard) {
        if (atom.kind === 'eq') count(this.#equal, atom.place, atom.value);
        else if (atom.kind === 'prefix') count(this.#prefixes, atom.place, atom.prefix);
        else if (atom.kind === 'cidr') count(this.#ranges, atom.place, atom.range.toString());
      }
  }

  /** The guard whose values the fewest items mention. */
  cheapest(guards: readonly Guard[]): Guard | undefined {
    if (guards.length < 2) return guards[0];
    let least = Infinity;
    let found: Guard | undefined;
    for (const guard of guards) {
      let cost = 0;
      for (const atom of guard) cost += this.#costOf(atom);
      if (cost < least) {
        least = cost;
        found = guard;
      }
    }
    return found;
  }

  #costOf(atom: Atom): number {
    switch (atom.kind) {
      case 'eq':
        return this.#equal.get(atom.place)?.get(atom.value) ?? 0;
      case 'prefix':
        return this.#prefixes.get(atom.place)?.get(atom.prefix) ?? 0;
      case 'cidr':
        return this.#ranges.get(atom.place)?.get(atom.range.toString()) ?? 0;
      case 'present':
        return PRESENT_COST;
      case 'absent':
        return ABSENT_COST;
    }
  }
}

function count(byPlace: Map<Place, Counts>, place: Place, value: Value): void {
  let counts = byPlace.get(place);
  if (counts === undefined) byPlace.set(place, (counts = new Map()));
  counts.set(value, (counts.get(value) ?? 0) + 1);
}
