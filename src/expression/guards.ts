/** Names and guards: which attribute a node names, and what a condition shows to be there (RULES section 4). */
import type { Node } from './parse/ast.ts';
import { keyFor } from './keys.ts';

/** `absolute`: written with a leading dot, so it is never a macro's variable. */
export interface Chain {
  readonly names: readonly string[];
  readonly optional: readonly boolean[];
  readonly absolute: boolean;
}

/** The names of `a.b.?c`; nothing where it does not begin with a name. */
export function chainOf(node: Node): Chain | undefined {
  if (node.kind === 'name') return { names: [node.name], optional: [false], absolute: node.absolute === true };
  if (node.kind !== 'select') return undefined;
  const below = chainOf(node.of);
  return below === undefined
    ? undefined
    : { ...below, names: [...below.names, node.field], optional: [...below.optional, node.optional] };
}

export const attributeOf = (node: Node): string | undefined => chainOf(node)?.names.join('.');

/** What is known to be there where a condition is true (`when`) or false. */
export function guardsOf(node: Node, when: boolean): Set<string> {
  const found = new Set<string>();
  const addKey = (below: string | undefined, key: string): void => {
    if (below !== undefined) found.add(`${below}[${keyFor(below, key)}]`);
  };
  const look = (part: Node, isTrue: boolean): void => {
    if (part.kind === 'call' && part.name === '!' && part.args[0] !== undefined) return look(part.args[0], !isTrue);
    if (part.kind === (isTrue ? 'and' : 'or')) {
      const { left, right } = part as Node & { kind: 'and' | 'or' };
      look(left, isTrue);
      return look(right, isTrue);
    }
    if (!isTrue) return undefined;
    if (part.kind === 'has') {
      const names = chainOf(part.of)?.names;
      if (names !== undefined) {
        found.add(names.join('.'));
        addKey(names.slice(0, -1).join('.'), names.at(-1) ?? '');
      } else if (part.of.kind === 'index' && part.of.key.kind === 'literal')
        addKey(attributeOf(part.of.of), keyText(part.of.key));
    }
    if (part.kind === 'call' && part.name === 'in' && part.args[0]?.kind === 'literal' && part.args[1] !== undefined)
      addKey(attributeOf(part.args[1]), keyText(part.args[0]));
    return undefined;
  };
  look(node, when);
  return found;
}

export const keyText = ({ value }: Node & { kind: 'literal' }): string => (typeof value === 'string' ? value : '');
