/**
 * Values that may be secrets although no schema marks them: under a misspelt key, say `pasword: hunter2`.
 * **In**: a node, and the schema that is to take it. **Out**: ranges of the file that no excerpt shows. **Fails**: never.
 */
import { nearest } from '../text/nearest.ts';
import { schemaParts } from '../text/schema-parts.ts';
import type { MapNode, Node } from './nodes.ts';

/** Schemas may refer to themselves. */
const DEEPEST = 8;

/** Does nothing where the schema marks no secret: then {@link SourceText} knows keys by their words. */
export function hideLikelySecrets(schema: unknown, node: Node): void {
  const names = new Set<string>();
  collect(schema, names, 0);
  if (names.size > 0) walk([schema], node, names);
}

/** The schema, and what stands behind what wraps it. */
function alternatives(schema: unknown, depth = 0): readonly ReturnType<typeof schemaParts>[] {
  if (schema === undefined || depth > DEEPEST) return [];
  const parts = schemaParts(schema);
  return [
    parts,
    ...[parts.innerType, parts.in, ...(parts.options ?? [])].flatMap((one) => alternatives(one, depth + 1)),
  ];
}

function collect(schema: unknown, names: Set<string>, depth: number): void {
  if (depth > DEEPEST) return;
  for (const { shape, element, valueType } of alternatives(schema)) {
    for (const [name, member] of Object.entries(shape ?? {})) {
      if (alternatives(member).some(({ meta }) => meta?.['secret'] === true)) names.add(name);
      collect(member, names, depth + 1);
    }
    for (const one of [element, valueType]) if (one !== undefined) collect(one, names, depth + 1);
  }
}

function walk(schemas: readonly unknown[], node: Node, names: ReadonlySet<string>): void {
  const parts = schemas.flatMap((schema) => alternatives(schema));
  if (node.kind === 'list') {
    const elements = parts.flatMap(({ element }) => (element === undefined ? [] : [element]));
    for (const item of node.items) walk(elements, item, names);
  } else if (node.kind === 'map' && !isReference(node)) {
    for (const { key, value } of node.entries.values()) {
      const members = parts.flatMap(({ shape, valueType }) => {
        const member = shape !== undefined && Object.hasOwn(shape, key) ? shape[key] : valueType;
        return member === undefined ? [] : [member];
      });
      if (members.length === 0 || (!names.has(key) && nearest(key, names) !== undefined)) hide(value);
      else walk(members, value, names);
    }
  }
}

function hide(node: Node): void {
  if (node.kind === 'scalar') node.place.source.hide(node.place.start, node.place.end);
  else if (node.kind === 'list') node.items.forEach(hide);
  else if (!isReference(node)) for (const { value } of node.entries.values()) hide(value);
}

/** `{ $env: NAME }` or `{ $file: PATH }` is no secret. */
const isReference = ({ entries }: MapNode): boolean =>
  entries.size === 1 && (entries.has('$env') || entries.has('$file'));
