/**
 * The attributes that an expression reads.
 * **In**: a folded tree, and the names that are known to be present. **Out**: the reads, and a warning for each unguarded read
 * of an attribute that may be absent. **Fails**: never.
 */
import type { Attributes } from '../../attributes/attributes.ts';
import type { Problem } from '../parse/problem.ts';
import type { Node } from '../parse/ast.ts';
import { childrenOf, constantOf, type Typed, type TypedOf } from '../check/typed.ts';
import { keyName, presenceProvenBy } from './presence.ts';

/** One attribute that an expression reads. */
export interface Read {
  readonly slot: number;
  readonly name: string;
  /** Every read of it is inside `has()`, optional (`?.`, `[?]`), or after `has(x) &&` or `has(x) ?`. */
  readonly guarded: boolean;
  /** The constant keys of a map attribute that are read (`request.headers["x"]`). */
  readonly keys: readonly KeyRead[];
  /** Some read of the value is outside of `reveal()` and `has()`; for a map, reads of constant keys do not count. */
  readonly exposed: boolean;
  /** The offset of the first unguarded read, else of the first read; in UTF-16 units of the text. */
  readonly offset: number;
}

interface KeyRead {
  readonly key: string;
  readonly guarded: boolean;
  /** Some read of it is outside of `reveal()`. */
  readonly exposed: boolean;
}

/** `exposed`: the number of reads outside of reveal() and has(), less the reads of constant keys. */
interface MutableRead {
  readonly name: string;
  readonly slot: number;
  guarded: boolean;
  offset: number;
  exposed: number;
  readonly keys: Map<string, KeyRead>;
}

export interface ReadsAndWarnings {
  readonly reads: readonly Read[];
  readonly warnings: readonly Problem[];
}

/** `given`: the names that are known to be present, in the form of {@link presenceProvenBy}. */
export function readsOf(tree: Typed, attributes: Attributes, given: ReadonlySet<string> | undefined): ReadsAndWarnings {
  const finder = new Finder(attributes, given);
  finder.visit(tree);
  return { reads: finder.reads(), warnings: finder.warnings };
}

class Finder {
  readonly warnings: Problem[] = [];
  readonly #attributes: Attributes;
  readonly #found = new Map<number, MutableRead>();
  /** The names that the conditions around the node prove to be present. */
  readonly #guards: ReadonlySet<string>[] = [];
  /** The number of reveal() and has() around the node: values there are sent on purpose, or not at all. */
  #hidden = 0;

  constructor(attributes: Attributes, given: ReadonlySet<string> | undefined) {
    this.#attributes = attributes;
    if (given !== undefined && given.size > 0) this.#guards.push(given);
  }

  reads(): readonly Read[] {
    return Array.from(this.#found.values(), ({ name, slot, guarded, offset, exposed, keys }) => ({
      name,
      slot,
      guarded,
      offset,
      exposed: exposed > 0,
      keys: [...keys.values()],
    }));
  }

  visit(typed: Typed): void {
    switch (typed.kind) {
      case 'constant':
        return;
      case 'attribute':
        this.#attribute(typed);
        return;
      case 'lookup':
        this.visit(typed.of);
        this.visit(typed.key);
        if (typed.of.kind === 'attribute') this.#key(typed.of, typed);
        return;
      case 'hasAttribute':
        this.#read(typed.slot, (typed.node as Node & { kind: 'has' }).of.start, true);
        return;
      case 'hasField':
      case 'hasValue':
        this.#hidden += 1;
        if (typed.kind === 'hasField' && typed.slot !== undefined)
          this.#where(this.#presenceOf(typed, typed.slot), typed.of);
        else this.visit(typed.of);
        this.#hidden -= 1;
        return;
      case 'passthrough':
        this.#hidden += Number(typed.isRevealed);
        this.visit(typed.of);
        this.#hidden -= Number(typed.isRevealed);
        return;
      case 'and':
      case 'or':
        this.visit(typed.left);
        this.#where(presenceProvenBy(typed.left, typed.kind === 'and', this.#attributes), typed.right);
        return;
      case 'if':
        this.visit(typed.test);
        this.#where(presenceProvenBy(typed.test, true, this.#attributes), typed.yes);
        this.#where(presenceProvenBy(typed.test, false, this.#attributes), typed.no);
        return;
      case 'identical':
        this.visit(typed.left);
        this.visit(typed.right);
        return;
      default:
        for (const child of childrenOf(typed)) this.visit(child);
    }
  }

  #where(guards: ReadonlySet<string>, typed: Typed): void {
    if (guards.size === 0) {
      this.visit(typed);
      return;
    }
    this.#guards.push(guards);
    this.visit(typed);
    this.#guards.pop();
  }

  #isGuarded(name: string): boolean {
    return this.#guards.some((guards) => guards.has(name));
  }

  #read(slot: number, offset: number, guarded: boolean): MutableRead {
    const known = this.#found.get(slot);
    if (known === undefined) {
      const { name } = this.#attributes.at(slot);
      const found: MutableRead = { name, slot, guarded, offset, exposed: 0, keys: new Map<string, KeyRead>() };
      this.#found.set(slot, found);
      return found;
    }
    if (known.guarded && !guarded) {
      known.guarded = false;
      known.offset = offset;
    }
    return known;
  }

  #attribute({ slot, node, isOptional }: TypedOf<'attribute'>): void {
    const { name, always, source } = this.#attributes.at(slot);
    const isGuarded = isOptional || this.#isGuarded(name);
    const read = this.#read(slot, node.start, isGuarded);
    if (this.#hidden === 0) read.exposed += 1;
    if (!isGuarded && !always && source.kind !== 'is')
      this.#mayBeAbsent(name, `has(${name}) && ..., or ${optionalForm(name)}.orValue(...)`, node);
  }

  /** The lookup of one key in a map attribute, after {@link #attribute} for the map. */
  #key({ slot }: TypedOf<'attribute'>, { key: of, isOptional, node }: TypedOf<'lookup'>): void {
    const key = constantOf(of);
    if (typeof key !== 'string') return;
    const { name } = this.#attributes.at(slot);
    const guarded = isOptional || this.#isGuarded(keyName(name, key));
    const read = this.#read(slot, node.start, true);
    const known = read.keys.get(key);
    const isExposed = this.#hidden === 0;
    if (isExposed) read.exposed -= 1;
    read.keys.set(key, {
      key,
      guarded: (known?.guarded ?? true) && guarded,
      exposed: (known?.exposed ?? false) || isExposed,
    });
    if (!guarded)
      this.#mayBeAbsent(`${name}[${JSON.stringify(key)}]`, `${name}[?${JSON.stringify(key)}].orValue(...)`, node);
  }

  /** `has(a.b.c)` tests first whether the attribute a and its key b are present. */
  #presenceOf({ of, field }: TypedOf<'hasField'>, slot: number): ReadonlySet<string> {
    const { name } = this.#attributes.at(slot);
    let first: Typed = of;
    while (first.kind === 'lookup' && first.of.kind === 'lookup') first = first.of;
    const key = first.kind === 'lookup' ? (constantOf(first.key) as string) : field;
    return new Set([name, keyName(name, key)]);
  }

  #mayBeAbsent(what: string, guard: string, { start, end }: Node): void {
    const message = `${what} may be absent, which fails the expression; write ${guard} to avoid that`;
    if (this.warnings.some((warning) => warning.message === message)) return; // one warning for each
    this.warnings.push({ code: 'EXPRESSION_MAY_BE_ABSENT', start, end, message });
  }
}

/** `a.b.?c`. */
const optionalForm = (name: string): string => name.replace(/\.([^.]*)$/, '.?$1');

/** Rules of one form have equal reads at equal offsets; thousands of them share one array. */
const shared = new WeakMap<Attributes, Map<string, readonly Read[]>>();
/** For each vocabulary, since rules that are all different share nothing. */
const MAX_SHARED = 10_000;

export function sharedReads(reads: readonly Read[], attributes: Attributes): readonly Read[] {
  let known = shared.get(attributes);
  if (known === undefined) shared.set(attributes, (known = new Map()));
  const key = reads.map(keyOf).join();
  const found = known.get(key);
  if (found !== undefined) return found;
  if (known.size < MAX_SHARED) known.set(key, reads);
  return reads;
}

const keyOf = ({ slot, guarded, exposed, offset, keys }: Read): string =>
  `${slot}${guarded ? 'g' : ''}${exposed ? 'e' : ''}${offset}${keys.length === 0 ? '' : JSON.stringify(keys)}`;
