/**
 * Which calls carry what a rule reads (docs/rules.md, section 4).
 * **In**: reads of compiled expressions. **Out**: for a call, the first attribute that it cannot carry and no guard covers.
 */
import type { Attributes } from '../../attributes/attributes.ts';
import { CARRIED_BY, type RuleCall } from '../../attributes/carrier.ts';
import type { Read } from '../../expression/index.ts';

type Reads = readonly Read[];

export class Carriage {
  readonly #attributes: () => Attributes;
  /** By attribute of the policy: the reads of its `is`, or of the enrich rule that fills it. */
  readonly #madeOf = new Map<string, Reads>();

  constructor(attributes: () => Attributes) {
    this.#attributes = attributes;
  }

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
      case 'is':
      case 'filled':
        return this.missing(this.#madeOf.get(name) ?? [], call) === undefined;
    }
  }

  /** All attributes that are read, through named expressions and enrich inputs too. */
  through(reads: Reads, seen = new Set<string>()): ReadonlySet<string> {
    for (const { name } of reads) {
      if (seen.has(name)) continue;
      seen.add(name);
      this.through(this.#madeOf.get(name) ?? [], seen);
    }
    return seen;
  }
}
