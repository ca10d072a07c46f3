/** The tree of an expression in Mixer's language: constants, variables, functions (`mixer/pkg/lang/ast/expr.go`). */
import type { Value } from '../../../attributes/values.ts';

/** The value types of `policy/v1beta1/value_type.proto` that expressions use. */
export const ISTIO_TYPES = [
  'STRING',
  'INT64',
  'DOUBLE',
  'BOOL',
  'TIMESTAMP',
  'DURATION',
  'IP_ADDRESS',
  'STRING_MAP',
  'DNS_NAME',
  'EMAIL_ADDRESS',
  'URI',
] as const;
export type IstioType = (typeof ISTIO_TYPES)[number];

interface Span {
  readonly start: number;
  readonly end: number;
}

export type Tree = Span &
  (
    | { readonly kind: 'constant'; readonly type: IstioType; readonly value: Value; readonly text: string }
    | { readonly kind: 'variable'; readonly name: string }
    /** Operators are functions with Mixer's names: EQ, LAND, INDEX ... */
    | {
        readonly kind: 'function';
        readonly name: string;
        readonly target: Tree | undefined;
        readonly args: readonly Tree[];
      }
  );

/** As Mixer shows it in its messages. */
export function treeText(tree: Tree): string {
  if (tree.kind === 'constant') return tree.text;
  if (tree.kind === 'variable') return `$${tree.name}`;
  const args = tree.args.map(treeText).join(', ');
  return tree.target === undefined ? `${tree.name}(${args})` : `${treeText(tree.target)}:${tree.name}(${args})`;
}
