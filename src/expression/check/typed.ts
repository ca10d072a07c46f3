/**
 * The checked tree of an expression: every node has its type, names are slots or variables, calls are resolved to
 * overloads, and conversions are separate nodes. Passes rewrite and read it; the back ends evaluate it.
 * The value of a part is `undefined` if its evaluation failed (an absent attribute, an overflow ...); nothing is thrown.
 */
import type { Type } from '../../attributes/types.ts';
import type { Overload } from '../functions/overload.ts';
import type { MacroKind, Node } from '../parse/ast.ts';
import type { Val } from '../values/dynamic.ts';

interface Base {
  /** The node of the syntax tree that it was made from. A conversion has the node of its operand. */
  readonly node: Node;
  readonly type: Type;
}

export type Typed = Base &
  (
    | { readonly kind: 'constant'; readonly value: Val }
    /** `isOptional`: an optional value, which has none if the attribute is absent (`a.?b`). */
    | { readonly kind: 'attribute'; readonly slot: number; readonly isOptional: boolean }
    /** A variable of a macro or of `cel.bind`; `index` is unique within the expression. */
    | { readonly kind: 'variable'; readonly index: number }
    /** `of[key]`, `of.key`; `isOptional`: `of[?key]`, or through an optional value. */
    | { readonly kind: 'lookup'; readonly of: Typed; readonly key: Typed; readonly isOptional: boolean }
    /** `has(a.b)` of an attribute. */
    | { readonly kind: 'hasAttribute'; readonly slot: number }
    /** `has(of.field)`; `slot`: the attribute that `of` is read from; false if it is absent. */
    | { readonly kind: 'hasField'; readonly of: Typed; readonly field: string; readonly slot: number | undefined }
    /** `has(m[key])`; `of` is the optional lookup. */
    | { readonly kind: 'hasValue'; readonly of: Typed }
    | { readonly kind: 'not'; readonly of: Typed }
    /** The side that decides absorbs a failure of the other. */
    | { readonly kind: 'and' | 'or'; readonly left: Typed; readonly right: Typed }
    | { readonly kind: 'if'; readonly test: Typed; readonly yes: Typed; readonly no: Typed }
    /** `==` and `!=` of types whose equality is `===`. */
    | { readonly kind: 'identical'; readonly left: Typed; readonly right: Typed; readonly isNegated: boolean }
    /** `in` a constant list of such a type. */
    | { readonly kind: 'inSet'; readonly item: Typed; readonly values: ReadonlySet<Val> }
    | { readonly kind: 'call'; readonly overload: Overload; readonly args: readonly Typed[] }
    /** The overload is chosen by the values of each evaluation; the arguments are `dyn`. */
    | { readonly kind: 'dispatch'; readonly overloads: readonly Overload[]; readonly args: readonly Typed[] }
    /** Between a static type and `dyn`, or to a lower-case header name. Inserted by the checker. */
    | { readonly kind: 'convert'; readonly of: Typed; readonly convert: (value: Val) => Val | undefined }
    /** `reveal(x)` and `dyn(x)`: the value of the operand. */
    | { readonly kind: 'passthrough'; readonly of: Typed; readonly isRevealed: boolean }
    /** `of.orValue(instead)`; `isOptional`: `of.or(instead)`. */
    | { readonly kind: 'orElse'; readonly of: Typed; readonly instead: Typed; readonly isOptional: boolean }
    | { readonly kind: 'list'; readonly items: readonly TypedItem[] }
    | { readonly kind: 'map'; readonly entries: readonly TypedEntry[] }
    | TypedMacro
    | {
        readonly kind: 'optMap';
        readonly over: Typed;
        readonly variable: number;
        readonly body: Typed;
        readonly isFlat: boolean;
      }
    | { readonly kind: 'bind'; readonly variable: number; readonly value: Typed; readonly body: Typed }
    /** A node with a reported problem; it always fails. */
    | { readonly kind: 'invalid' }
  );

/** `isOptional`: `?x`, an optional value, which is left out if it has none. */
export interface TypedItem {
  readonly value: Typed;
  readonly isOptional: boolean;
}
export interface TypedEntry extends TypedItem {
  readonly key: Typed;
}

export interface TypedMacro {
  readonly kind: 'macro';
  readonly macro: MacroKind;
  readonly over: Typed;
  /** One variable: an element, or a key of a map. Two: index and element, or key and value. */
  readonly variables: readonly [number] | readonly [number, number];
  readonly filter: Typed | undefined;
  readonly body: Typed;
}

export type TypedOf<K extends Typed['kind']> = Typed & { readonly kind: K };

export const isInvalid = ({ kind }: Typed): boolean => kind === 'invalid';

/** The value of a constant; `undefined` for any other node. */
export const constantOf = (typed: Typed): Val | undefined => (typed.kind === 'constant' ? typed.value : undefined);

/** Children in the order in which they are written. */
export function childrenOf(typed: Typed): readonly Typed[] {
  switch (typed.kind) {
    case 'constant':
    case 'attribute':
    case 'variable':
    case 'hasAttribute':
    case 'invalid':
      return [];
    case 'lookup':
      return [typed.of, typed.key];
    case 'hasField':
    case 'hasValue':
    case 'not':
    case 'convert':
    case 'passthrough':
      return [typed.of];
    case 'and':
    case 'or':
    case 'identical':
      return [typed.left, typed.right];
    case 'if':
      return [typed.test, typed.yes, typed.no];
    case 'inSet':
      return [typed.item];
    case 'call':
    case 'dispatch':
      return typed.args;
    case 'orElse':
      return [typed.of, typed.instead];
    case 'list':
      return typed.items.map(({ value }) => value);
    case 'map':
      return typed.entries.flatMap(({ key, value }) => [key, value]);
    case 'macro':
      return typed.filter === undefined ? [typed.over, typed.body] : [typed.over, typed.filter, typed.body];
    case 'optMap':
      return [typed.over, typed.body];
    case 'bind':
      return [typed.value, typed.body];
  }
}
