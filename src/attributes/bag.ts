/**
 * **In**: the declared attributes and what one wire carries. **Out**: the value of an attribute, read when first asked
 * and kept. **Fails**: never; what cannot be had is absent (`undefined`).
 */
import type { Attributes } from './attributes.ts';
import type { Carrier } from './carrier.ts';
import type { Value } from './values.ts';

/** What expressions read from. Slots are those of the {@link Attributes} that the expression was compiled with. */
export interface Bag {
  /** The value, or `undefined` where the attribute is absent (also: its named expression failed). */
  get(slot: number): Value | undefined;
}

/** One request as a frontend received it. Implemented once per wire; read at most once per attribute and request. */
export interface Wire {
  /** The value of a built-in attribute in its declared type, or `undefined` where this wire or request has none. `number`: the attribute's. */
  read(attribute: string, number?: number): Value | undefined;
  /** What a proxy sent under a name of the operator's choosing: text, or a JSON-like value (maps as Map, numbers as double). */
  carried(carrier: Carrier): Value | undefined;
  /** About how many bytes are held by whoever keeps it. */
  readonly weight: number;
  /** It outlives its call: memory that it shares with others is copied. */
  keep(): void;
}

/** Stands where an attribute was looked for in vain; what was not looked for is a hole. */
const ABSENT: unique symbol = Symbol('absent');

/** The bag of one request: lazy, and unchanged from outside but for what enrich rules add before matching. */
export class RequestBag implements Bag {
  readonly attributes: Attributes;
  readonly wire: Wire;
  /** By place. */
  readonly #values: (Value | undefined | typeof ABSENT)[];

  constructor(attributes: Attributes, wire: Wire) {
    this.attributes = attributes;
    this.wire = wire;
    // oxlint-disable-next-line unicorn/no-new-array -- of holes: what is not there costs nothing
    this.#values = new Array<Value | undefined>(attributes.placed);
  }

  get(slot: number): Value | undefined {
    const place = this.attributes.placeOf(slot);
    const known = this.#values[place];
    if (known !== undefined) return known === ABSENT ? undefined : known;
    this.#values[place] = ABSENT; // a definition that reads itself finds itself absent
    const value = this.attributes.resolve(slot, this);
    if (value !== undefined) this.#values[place] = value;
    return value;
  }

  /** Called by the engine alone, for the outputs of enrich rules, before any rule is matched. */
  fill(slot: number, value: Value | undefined): void {
    this.#values[this.attributes.placeOf(slot)] = value ?? ABSENT;
  }
}

/** A bag with the values of a rule's `out.*` after those of the request. */
export class OverlayBag implements Bag {
  readonly #below: Bag;
  readonly #firstSlot: number;
  readonly #values: readonly (Value | undefined)[];

  constructor(below: Bag, firstSlot: number, values: readonly (Value | undefined)[]) {
    this.#below = below;
    this.#firstSlot = firstSlot;
    this.#values = values;
  }

  get(slot: number): Value | undefined {
    return slot < this.#firstSlot ? this.#below.get(slot) : this.#values[slot - this.#firstSlot];
  }
}

/** Notes what is looked at, for explanations: worked out again from a kept bag, so that live calls pay nothing. */
export class RecordingBag implements Bag {
  readonly looked: Map<number, Value | undefined> = new Map();
  readonly #below: Bag;

  constructor(below: Bag) {
    this.#below = below;
  }

  get(slot: number): Value | undefined {
    const value = this.#below.get(slot);
    this.looked.set(slot, value);
    return value;
  }
}
