/**
 * Which calls carry the attributes that a rule reads (docs/rules.md, section 4).
 * **In**: reads of compiled expressions. **Out**: for a call, the first attribute that it cannot carry and no guard covers.
 */
import type { Attributes } from '../../attributes/attributes.ts';
import { CARRIED_BY, type RuleCall } from '../../attributes/carrier.ts';
import type { Read } from '../../expression/index.ts';

type Reads = readonly Read[];

export class Carriage {
  readonly #attributes: () => Attributes;
  /** By named expression. */
  readonly #madeOf = new Map<string, Reads>();
  /** By call and named expression. Without it, expressions that name two others each would be walked 2^n times. */
  readonly #carried = new Map<string, boolean>();
  /** By named expression: the attributes of the vocabulary that it reads, directly or through other expressions. */
  readonly #through = new Map<string, ReadonlySet<string>>();

  constructor(attributes: () => Attributes) {
    this.#attributes = attributes;
  }

  /** Declares a named expression. Expressions that it reads must have been declared before. */
  isMadeOf(name: string, reads: Reads): void {
    this.#madeOf.set(name, reads);
  }

  /** The reads of a named expression; empty for other attributes. */
  readsOf(name: string): Reads {
    return this.#madeOf.get(name) ?? [];
  }

  /** The first attribute that this call does not carry. */
  missing(reads: Reads, call: RuleCall): string | undefined {
    return reads.find(({ name, guarded }) => !guarded && !this.#isCarried(name, call))?.name;
  }

  #isCarried(name: string, call: RuleCall): boolean {
    const attributes = this.#attributes();
    const slot = attributes.slotOf(name);
    if (slot === undefined) return true; // out.*
    const { source, carriedBy } = attributes.at(slot);
    switch (source.kind) {
      case 'built-in':
        return carriedBy[call] !== undefined;
      case 'from':
        return source.carriers.some(({ kind }) => CARRIED_BY[kind].includes(call));
      case 'is': {
        const key = `${call} ${name}`;
        let isCarried = this.#carried.get(key);
        if (isCarried === undefined)
          this.#carried.set(key, (isCarried = this.missing(this.readsOf(name), call) === undefined));
        return isCarried;
      }
      case 'filled':
        return true;
    }
  }

  /** The attributes that are read, with those that named expressions read in place of these. */
  through(reads: Reads): ReadonlySet<string> {
    const found = new Set<string>();
    for (const { name } of reads) {
      if (this.#madeOf.has(name)) for (const one of this.#throughOf(name)) found.add(one);
      else found.add(name);
    }
    return found;
  }

  #throughOf(name: string): ReadonlySet<string> {
    let found = this.#through.get(name);
    if (found === undefined) this.#through.set(name, (found = this.through(this.readsOf(name))));
    return found;
  }
}
