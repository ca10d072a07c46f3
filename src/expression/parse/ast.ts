/** The tree of an expression as written, macros expanded. Every node knows where it stands (UTF-16 offsets of the text). */
import type { Value } from '../../attributes/values.ts';

export type LiteralKind = 'bool' | 'int' | 'uint' | 'double' | 'string' | 'bytes' | 'null';
/** Of one variable, or of two (index and element, or key and value); the last two are of two only. */
export type MacroKind = 'all' | 'exists' | 'exists_one' | 'map' | 'filter' | 'transformMap' | 'transformMapEntry';

interface Place {
  readonly start: number;
  readonly end: number;
}

export type Node = Place &
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
        readonly fieldStart: number;
      }
    | { readonly kind: 'index'; readonly of: Node; readonly key: Node; readonly optional: boolean }
    | { readonly kind: 'has'; readonly of: Node }
    /** A function, or a method where there is a target. Operators are functions by their sign. */
    | {
        readonly kind: 'call';
        readonly name: string;
        readonly target: Node | undefined;
        readonly args: readonly Node[];
        readonly nameStart: number;
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
