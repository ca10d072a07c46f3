/**
 * The attributes that one snapshot knows: the built-in vocabulary and the policy's own, each with a slot in the bag.
 * **In**: declarations. **Out**: slots, types, and a value from a request. **Fails**: never at run time.
 */
import type { RequestBag } from './bag.ts';
import type { CallKind, Carrier } from './carrier.ts';
import type { Type } from './types.ts';
import type { Value } from './values.ts';

/** How the value of an attribute is come by. */
export type Source =
  /** Read off the wire; where the wire has none, worked out from others (`derive`), else from a context extension of that name. */
  | {
      readonly kind: 'built-in';
      readonly derive?: (bag: RequestBag, attributes: Attributes) => Value | undefined;
      readonly extension?: boolean;
    }
  /** Sent by the proxy under a name of the operator's choosing; the first carrier that holds something wins. */
  | {
      readonly kind: 'from';
      readonly carriers: readonly Carrier[];
      readonly convert: (raw: Value) => Value | undefined;
    }
  /** A named expression. */
  | { readonly kind: 'is'; readonly evaluate: (bag: RequestBag) => Value | undefined }
  /** Put there by the engine: outputs of enrich rules, `out.*`. */
  | { readonly kind: 'filled' };

export interface Attribute {
  readonly name: string;
  /** Of a built-in one: its place in the vocabulary, by which wires find how to read it. */
  readonly number?: number;
  readonly type: Type;
  /** One sentence for people. */
  readonly meaning: string;
  readonly source: Source;
  /** The calls whose wire can bring it, with the field that does; a call that is not named cannot. */
  readonly carriedBy: Partial<Readonly<Record<CallKind, string>>>;
  /**
   * There on every ordinary request of a call that carries it, so that a bare read of it earns no warning (the maps of the
   * wire are there, if empty). A listener on a Unix socket has no addresses: no promise for the compiler to build on.
   */
  readonly always: boolean;
  /** Shown nowhere without asking. */
  readonly secret: boolean;
}

/** Of a policy: what changes how built-in attributes are read (docs/rules.md, section 3). */
export interface AttributeSettings {
  /** Proxies in front of Envoy whose X-Forwarded-For entry is believed; `undefined`: none is configured. */
  readonly trustedHops: number | undefined;
  readonly path: 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';
  /** What `;` begins in a segment of the path: a part of it, or (as Tomcat and Spring read it) a parameter, which is taken out. */
  readonly pathParameters: 'keep' | 'strip';
}

export const DEFAULT_ATTRIBUTE_SETTINGS: AttributeSettings = {
  trustedHops: undefined,
  path: 'DECODE_AND_MERGE_SLASHES',
  pathParameters: 'keep',
};

export class Attributes {
  readonly settings: AttributeSettings;
  readonly #rows: Attribute[];
  readonly #slots = new Map<string, number>();
  /** Of the slots that are ever read, in the order in which they first were: a bag has room for these alone. */
  readonly #places: Int32Array;
  #placed = 0;
  readonly #secretCarriers = new Set<string>();

  constructor(rows: Iterable<Attribute>, settings: AttributeSettings = DEFAULT_ATTRIBUTE_SETTINGS) {
    this.settings = settings;
    this.#rows = [];
    for (const row of rows) this.#add(row);
    this.#places = new Int32Array(this.#rows.length).fill(-1);
  }

  /** Where a bag keeps the value of a slot. Policies read a handful of the hundred and more that there are. */
  placeOf(slot: number): number {
    const place = this.#places[slot] as number;
    return place < 0 ? (this.#places[slot] = this.#placed++) : place;
  }

  /** How many slots have a place by now. */
  get placed(): number {
    return this.#placed;
  }

  get size(): number {
    return this.#rows.length;
  }

  /** The slot of a name; `undefined` where it is not declared. */
  slotOf(name: string): number | undefined {
    return this.#slots.get(name);
  }

  /** Headers, in lower case, that carry a secret attribute: they are as secret as it is. */
  get secretCarriers(): ReadonlySet<string> {
    return this.#secretCarriers;
  }

  at(slot: number): Attribute {
    const row = this.#rows[slot];
    if (row === undefined) throw new RangeError(`no attribute has slot ${slot}`);
    return row;
  }

  names(): Iterable<string> {
    return this.#slots.keys();
  }

  /** A larger set: slots of this one stay as they are, the new rows follow. A name that is declared already is an error of the caller's. */
  extend(rows: Iterable<Attribute>): Attributes {
    return new Attributes([...this.#rows, ...rows], this.settings);
  }

  resolve(slot: number, bag: RequestBag): Value | undefined {
    const { name, number, source } = this.at(slot);
    switch (source.kind) {
      case 'built-in': {
        const value = bag.wire.read(name, number) ?? source.derive?.(bag, this);
        if (value !== undefined || source.extension !== true) return value;
        return bag.wire.carried({ kind: 'contextExtension', name });
      }
      case 'from':
        for (const carrier of source.carriers) {
          const raw = bag.wire.carried(carrier);
          if (raw !== undefined) return source.convert(raw);
        }
        return undefined;
      case 'is':
        return source.evaluate(bag);
      case 'filled':
        return undefined;
    }
  }

  #add(row: Attribute): void {
    if (this.#slots.has(row.name)) throw new RangeError(`attribute ${row.name} is declared twice`);
    this.#slots.set(row.name, this.#rows.length);
    this.#rows.push(row);
    if (row.secret && row.source.kind === 'from')
      for (const carrier of row.source.carriers)
        if (carrier.kind === 'header') this.#secretCarriers.add(carrier.name.toLowerCase());
  }
}
