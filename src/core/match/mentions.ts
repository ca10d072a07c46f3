/**
 * How selective the guards of items are: the number of items that mention each value of a place.
 * **In**: the guards of all items. **Out**: of the guards of one item, that which the fewest requests pass. **Fails**: never.
 */
import type { Value } from '../../attributes/values.ts';
import type { Atom, Guard, Place } from '../../expression/index.ts';

/** Assumed costs: most requests have a place, few lack it. */
const PRESENT_COST = 64;
const ABSENT_COST = 1;

export const placeText = ({ slot, key }: Place): string => (key === undefined ? String(slot) : `${slot}[${key}`);

/** What items mention of a place; `undefined` for its presence and absence, whose costs are assumed. */
function mentioned(atom: Atom): Value | undefined {
  switch (atom.kind) {
    case 'eq':
      return atom.value;
    case 'prefix':
      return atom.prefix;
    case 'cidr':
      return atom.range.toString();
    case 'present':
    case 'absent':
      return undefined;
  }
}

const kindAndPlace = ({ kind, place }: Atom): string => `${kind} ${placeText(place)}`;

function atomText(atom: Atom): string {
  const value = mentioned(atom);
  return `${kindAndPlace(atom)} ${typeof value} ${String(value as string | number | bigint | boolean)}`;
}

export class Mentions {
  readonly #counts = new Map<string, Map<Value, number>>();

  /** Of one item, which may mention an atom twice. */
  add(guards: readonly Guard[]): void {
    for (const atom of new Map(guards.flat().map((one) => [atomText(one), one])).values()) {
      const value = mentioned(atom);
      if (value === undefined) continue;
      const key = kindAndPlace(atom);
      let counts = this.#counts.get(key);
      if (counts === undefined) this.#counts.set(key, (counts = new Map()));
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
  }

  /** The guard whose values the fewest items mention. */
  cheapest(guards: readonly Guard[]): Guard | undefined {
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
    if (atom.kind === 'present') return PRESENT_COST;
    if (atom.kind === 'absent') return ABSENT_COST;
    return this.#counts.get(kindAndPlace(atom))?.get(mentioned(atom) ?? null) ?? 0;
  }
}
