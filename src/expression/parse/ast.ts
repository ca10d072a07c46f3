/** The syntax tree; macros have their own kinds of node. Positions are UTF-16 offsets into the text. */
import type { Value } from '../../attributes/values.ts';

export type LiteralKind = 'bool' | 'int' | 'uint' | 'double' | 'string' | 'bytes' | 'null';
/** With one variable, or with two (index and element, or key and value); the last two always have two. */
export type MacroKind = 'all' | 'exists' | 'exists_one' | 'map' | 'filter' | 'transformMap' | 'transformMapEntry';

interface Span {
  readonly start: number;
  readonly end: number;
}

export type Node = Span &
  (
    | { readonly kind: 'literal'; readonly type: LiteralKind; readonly value: Value }
    /** `absolute`: written with a leading dot. */
    | { readonly kind: 'name'; readonly name: string; readonly absolute?: boolean }
    /** `a.b`; `optional`: `a.?b`. */
    | {
        readonly kind: 'select';
        readonly of: Node;
        readonly field: string;
        readonly optional: boolean;
      }
    | { readonly kind: 'index'; readonly of: Node; readonly key: Node; readonly optional: boolean }
    | { readonly kind: 'has'; readonly of: Node }
    /** A function, or a method if there is a target. Operators are functions named by their sign. */
    | {
        readonly kind: 'call';
        readonly name: string;
        readonly target: Node | undefined;
        readonly args: readonly Node[];
      }
    | { readonly kind: 'and' | 'or'; readonly left: Node; readonly right: Node }
    | { readonly kind: 'if'; readonly test: Node; readonly yes: Node; readonly no: Node }
    | { readonly kind: 'list'; readonly items: readonly { readonly node: Node; readonly optional: boolean }[] }
    | {
        readonly kind: 'map';
        readonly entries: readonly { readonly key: Node; readonly value: Node; readonly optional: boolean }[];
      }
    | {
        readonly kind: 'macro';
        readonly macro: MacroKind;
        readonly over: Node;
        readonly variable: string;
        readonly second: string | undefined;
        readonly body: Node;
        readonly filter: Node | undefined;
      }
    /** `x.optMap(v, body)`, `x.optFlatMap(v, body)`. */
    | {
        readonly kind: 'optMap';
        readonly over: Node;
        readonly variable: string;
        readonly body: Node;
        readonly flat: boolean;
      }
    /** `cel.bind(v, value, body)`. */
    | { readonly kind: 'bind'; readonly variable: string; readonly value: Node; readonly body: Node }
  );

export type NodeOf<K extends Node['kind']> = Node & { readonly kind: K };

/** Children in the order in which they are written. */
export function partsOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'literal':
    case 'name':
      return [];
    case 'select':
    case 'has':
      return [node.of];
    case 'index':
      return [node.of, node.key];
    case 'call':
      return node.target === undefined ? node.args : [node.target, ...node.args];
    case 'and':
    case 'or':
      return [node.left, node.right];
    case 'if':
      return [node.test, node.yes, node.no];
    case 'list':
      return node.items.map((item) => item.node);
    case 'map':
      return node.entries.flatMap(({ key, value }) => [key, value]);
    case 'optMap':
      return [node.over, node.body];
    case 'bind':
      return [node.value, node.body];
    case 'macro':
      return node.filter === undefined ? [node.over, node.body] : [node.over, node.body, node.filter];
  }
}

/** The names of `a.b.?c`. `absolute`: written with a leading dot, so that it is never a macro's variable. */
export interface Chain {
  readonly names: readonly string[];
  readonly optional: readonly boolean[];
  readonly absolute: boolean;
}

/** `undefined` if it does not begin with a name. */
export function chainOf(node: Node): Chain | undefined {
  const names: string[] = [];
  const optional: boolean[] = [];
  let at = node;
  for (; at.kind === 'select'; at = at.of) {
    names.push(at.field);
    optional.push(at.optional);
  }
  if (at.kind !== 'name') return undefined;
  names.push(at.name);
  optional.push(false);
  return { names: names.reverse(), optional: optional.reverse(), absolute: at.absolute === true };
}

export const attributeNameOf = (node: Node): string | undefined => chainOf(node)?.names.join('.');
