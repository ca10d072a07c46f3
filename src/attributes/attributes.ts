/**
 * The attributes of one snapshot: the built-in vocabulary and the policy's own, each with a slot in the bag.
 * **In**: declarations. **Out**: slots, types, and a value from a request. **Fails**: never at run time.
 */
import type { RequestBag } from './bag.ts';
import type { Carrier, RuleCall } from './carrier.ts';
import type { Type } from './types.ts';
import type { Value } from './values.ts';

/** Where the value of an attribute comes from. */
export type Source =
  /** Read from the wire; else derived from other attributes; else read from a context extension of the same name. */
  | {
      readonly kind: 'built-in';
      readonly derive?: (bag: RequestBag, attributes: Attributes) => Value | undefined;
      readonly extension?: boolean;
    }
  /** Sent by the proxy under a name that the operator chose; the first carrier with a value wins. */
  | {
      readonly kind: 'from';
      readonly carriers: readonly Carrier[];
      readonly convert: (raw: Value) => Value | undefined;
    }
  /** A named expression. */
  | {
      readonly kind: 'is';
      readonly evaluate: (bag: RequestBag) => Value | undefined;
      readonly text: string;
      readonly reads: readonly AttributeRead[];
    }
  /** Filled in by the engine: outputs of enrich rules, `out.*`. */
  | { readonly kind: 'filled' };

/** An attribute that a named expression reads, in the form of the compiler's reads. */
export interface AttributeRead {
  readonly name: string;
  readonly guarded: boolean;
  readonly exposed: boolean;
  /** Constant keys of a map. */
  readonly keys: readonly { readonly key: string; readonly guarded: boolean }[];
}

export interface Attribute {
  readonly name: string;
  /** The index of a built-in attribute in the vocabulary; wires find their reader by it. */
  readonly number?: number;
  readonly type: Type;
  /** One sentence for docs/attributes.md. */
  readonly meaning: string;
  readonly source: Source;
  /** The calls whose wire can carry it, with the field that does. */
  readonly carriedBy: Partial<Readonly<Record<RuleCall, string>>>;
  /**
   * Present on every ordinary request of a call that carries it, so an unguarded read causes no warning (maps of the wire are present,
   * if only empty). Not a guarantee for the compiler: a listener on a Unix socket has no addresses.
   */
  readonly always: boolean;
  /** Redacted wherever it is shown. */
  readonly secret: boolean;
}

/** The settings of a policy that change how built-in attributes are read (docs/rules.md, section 3). */
export interface AttributeSettings {
  /** The number of trusted proxies in front of Envoy (X-Forwarded-For); `undefined`: not configured. */
  readonly trustedHops: number | undefined;
  /** Number of elements of x-forwarded-client-cert to the right of the client's; `undefined`: the header is not trusted, and not read. */
  readonly trustedCertificateHops: number | undefined;
  /** SPIFFE trust domains, and the one as which each of them reads. */
  readonly trustDomainAliases: ReadonlyMap<string, string>;
  readonly path: 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';
  /** Whether the text after `;` in a segment of the path is part of it, or a parameter that is removed (as in Tomcat and Spring). */
  readonly pathParameters: 'keep' | 'strip';
}

export const DEFAULT_ATTRIBUTE_SETTINGS: AttributeSettings = {
  trustedHops: undefined,
  trustedCertificateHops: undefined,
  trustDomainAliases: new Map(),
  path: 'DECODE_AND_MERGE_SLASHES',
  pathParameters: 'keep',
};

export class Attributes {
  readonly settings: AttributeSettings;
  readonly #rows: Attribute[];
  readonly #slots = new Map<string, number>();
  /** The index in a bag of each slot that was ever read, else -1; a bag has room for these alone. */
  readonly #bagIndexes: Int32Array;
  #bagSize = 0;
  readonly #secretCarriers = new Set<string>();
  #filled: readonly number[] | undefined;

  constructor(rows: Iterable<Attribute>, settings: AttributeSettings = DEFAULT_ATTRIBUTE_SETTINGS) {
    this.settings = settings;
    this.#rows = [];
    for (const row of rows) this.#add(row);
    this.#bagIndexes = new Int32Array(this.#rows.length).fill(-1);
  }

  /** The index of a slot in a bag, given at its first read. Policies read a handful of the hundred and more slots. */
  bagIndexOf(slot: number): number {
    const index = this.#bagIndexes[slot] as number;
    return index < 0 ? (this.#bagIndexes[slot] = this.#bagSize++) : index;
  }

  /** The number of slots that were read so far. */
  get bagSize(): number {
    return this.#bagSize;
  }

  get size(): number {
    return this.#rows.length;
  }

  /** `undefined` for a name that is not declared. */
  slotOf(name: string): number | undefined {
    return this.#slots.get(name);
  }

  /** The slots of attributes that the engine fills. */
  get filled(): readonly number[] {
    return (this.#filled ??= this.#rows.flatMap(({ source }, slot) => (source.kind === 'filled' ? [slot] : [])));
  }

  /** The lower-case names of headers that carry a secret attribute, and are therefore secret. */
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

  /** A larger set; existing slots keep their numbers. Throws for a name that is declared already. */
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
