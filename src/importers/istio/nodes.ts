/** Nodes of rules that a document of another language comes to; findings about them point into that document. */
import type { MapEntry, MapNode, Node, Place, ScalarNode } from '../../yaml/nodes.ts';

export type Plain = string | number | boolean | readonly Plain[] | { readonly [key: string]: Plain | Node };

const isNode = (value: Plain | Node): value is Node =>
  typeof value === 'object' && 'kind' in value && 'place' in value && typeof value.place === 'object';

/** A value as the node that YAML would make of it, all of it at one place. */
function nodeOf(value: Plain | Node, place: Place): Node {
  if (typeof value !== 'object') return scalarOf(value, place);
  if (Array.isArray(value)) return { kind: 'list', place, items: value.map((item: Plain) => nodeOf(item, place)) };
  return isNode(value) ? value : mapNode(value as Readonly<Record<string, Plain | Node>>, place);
}

/** `undefined` values are omitted. */
export function mapNode(values: Readonly<Record<string, Plain | Node | undefined>>, place: Place): MapNode {
  const entries = new Map<string, MapEntry>();
  for (const [key, value] of Object.entries(values))
    if (value !== undefined) entries.set(key, { key, keyPlace: place, value: nodeOf(value, place) });
  return { kind: 'map', place, entries };
}

/** `double`, so that no text is taken for YAML's own syntax. */
const scalarOf = (value: string | number | boolean, place: Place): ScalarNode => ({
  kind: 'scalar',
  place,
  value,
  written: String(value),
  style: typeof value === 'string' ? 'double' : 'plain',
});
