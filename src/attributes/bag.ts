/**
 * The attributes of one request.
 * **In**: the declared attributes and one wire. **Out**: the value of an attribute, read at the first access and cached.
 * **Fails**: never; a value that cannot be read is absent (`undefined`).
 */
import type { Attributes } from './attributes.ts';
import type { Carrier } from './carrier.ts';
import type { Value } from './values.ts';

/** The attributes that an expression reads, by the slots of the {@link Attributes} that it was compiled with. */
export interface Bag {
  /** `undefined` for an absent attribute, and for a named expression that failed. */
  get(slot: number): Value | undefined;
}

/** One request as a frontend received it. Implemented once per wire; each attribute is read at most once per request. */
export interface Wire {
  /** A built-in attribute in its declared type; `undefined` if the wire or the request lacks it. `number`: {@link Attribute.number}. */
  read(attribute: string, number?: number): Value | undefined;
  /** A value under a name that the operator chose: text, or a JSON-like value (maps as Map, numbers as double). */
  carried(carrier: Carrier): Value | undefined;
  /** All context extensions, of a wire that can carry them; for records of calls. */
  contextExtensions?(): ReadonlyMap<string, string>;
  /** The approximate number of bytes that it retains. */
  readonly weight: number;
  /** Called before it outlives its call: it copies the memory that it shares. */
  keep(): void;
}

/** Caches that an attribute is absent; a slot that was not read yet is a hole. */
const ABSENT: unique symbol = Symbol('absent');

/** The bag of one request. Only the outputs of enrich rules change it, before matching. */
export class RequestBag implements Bag {
  readonly attributes: Attributes;
  readonly wire: Wire;
  /** By {@link Attributes.bagIndexOf}. */
  readonly #values: (Value | undefined | typeof ABSENT)[];

  constructor(attributes: Attributes, wire: Wire) {
    this.attributes = attributes;
    this.wire = wire;
    // oxlint-disable-next-line unicorn/no-new-array -- an array of holes takes no time to fill
    this.#values = new Array<Value | undefined>(attributes.bagSize);
  }

  get(slot: number): Value | undefined {
    const index = this.attributes.bagIndexOf(slot);
    const known = this.#values[index];
    if (known !== undefined) return known === ABSENT ? undefined : known;
    this.#values[index] = ABSENT; // a named expression that reads itself finds itself absent
    const value = this.attributes.resolve(slot, this);
    if (value !== undefined) this.#values[index] = value;
    return value;
  }

  /** Called by the engine for the outputs of enrich rules, before any rule is matched. */
  fill(slot: number, value: Value | undefined): void {
    this.#values[this.attributes.bagIndexOf(slot)] = value ?? ABSENT;
  }
}

/** The values that enrich rules made. */
export function filledOf(bag: RequestBag): (readonly [slot: number, value: Value | undefined])[] {
  return bag.attributes.filled.map((slot) => [slot, bag.get(slot)]);
}

/** A bag with the values of a rule's `out.*` in the slots after those of the request. */
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

/** Records what is read, for explanations. They evaluate again on a retained bag, so that live calls pay nothing. */
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
