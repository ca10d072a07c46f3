/**
 * The mistakes behind the issues of a schema: a misspelt key is one, though a key is unknown and another one is missing.
 * **In**: issues, schema, the node. **Out**: faults, in groups that are one mistake each. **Fails**: never.
 */
import type { z } from 'zod';
import { nearest } from '../text/nearest.ts';
import { schemaParts, type SchemaParts } from '../text/schema-parts.ts';
import { isEmpty, type MapEntry, type Node, nodeAt } from './nodes.ts';

export interface SchemaFault {
  readonly kind: 'unknown' | 'missing' | 'other';
  readonly path: readonly PropertyKey[];
  readonly issue: z.core.$ZodIssue;
  /** The keys of the map in which the path ends, if the schema consists of objects and lists only. */
  readonly known: readonly string[];
  /** Of an unknown key: the key without a value before it, to which it may belong. */
  readonly empty: MapEntry | undefined;
}

type Group = readonly [SchemaFault, ...SchemaFault[]];

/** `misplaced`: keys that stand where they are unknown. */
export function grouped(
  issues: readonly z.core.$ZodIssue[],
  schema: unknown,
  node: Node,
  misplaced: ReadonlySet<string>,
): Iterable<Group> {
  const faults = issues.flatMap((issue) => faultsOf(issue, schema, node));
  const unknown = faults.filter(({ kind }) => kind === 'unknown');
  const emptied = new Set(unknown.map(({ empty }) => empty?.value));
  const groups = new Map<unknown, [SchemaFault, ...SchemaFault[]]>();
  for (const fault of faults) {
    if (fault.kind === 'missing' && faults.some((one) => mayBe(one, fault))) continue;
    if (fault.kind === 'missing' && misplaced.has(String(fault.path.at(-1)))) continue;
    if (fault.issue.code === 'custom' && unknown.some((one) => isIn(fault.path, one.path.slice(0, -1)))) continue;
    if (fault.kind === 'other' && emptied.has(nodeAt(node, fault.path).node)) continue;
    const key = groupOf(fault, node);
    const group = groups.get(key);
    // Of the checks of one value the last one is the narrowest.
    if (group === undefined || fault.kind === 'other') groups.set(key, [fault]);
    else group.push(fault);
  }
  return groups.values();
}

function faultsOf(issue: z.core.$ZodIssue, schema: unknown, node: Node): SchemaFault[] {
  if (issue.code === 'unrecognized_keys' && issue.keys.length > 0) {
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return { kind: 'unknown', path, issue, known, empty: emptyBefore(nodeAt(node, issue.path).node, key, known) };
    });
  }
  const kind = nodeAt(node, issue.path).whole ? 'other' : 'missing';
  return [{ kind, path: issue.path, issue, known: keysAt(schema, issue.path.slice(0, -1)), empty: undefined }];
}

/** What is missing in one map is one mistake, as are the keys of another adapter, or those indented too little. */
function groupOf(fault: SchemaFault, node: Node): unknown {
  const { kind, path, known, empty } = fault;
  const parent = nodeAt(node, path.slice(0, -1)).node;
  // By place, since an alias repeats the mistakes of its anchor.
  if (kind === 'missing' && path.length > 0) return `missing in ${parent.place.start}`;
  if (kind === 'other') return nodeAt(node, path).node.place.start;
  if (kind !== 'unknown' || parent.kind !== 'map') return fault;
  if (empty !== undefined) return empty;
  return [...parent.entries.keys()].some((key) => known.includes(key) || nearest(key, known) !== undefined)
    ? fault
    : parent.entries;
}

const isIn = (path: readonly PropertyKey[], of: readonly PropertyKey[]): boolean =>
  of.every((step, at) => step === path[at]);

/** Whether a fault of the same map may be the reason: a misspelt key, or any other for a check of the schema's own. */
function mayBe(fault: SchemaFault, missing: SchemaFault): boolean {
  if (fault === missing || fault.path.length !== missing.path.length) return false;
  if (!isIn(missing.path, fault.path.slice(0, -1))) return false;
  if (missing.issue.code === 'custom') return fault.issue.code !== 'custom';
  if (fault.kind !== 'unknown') return false;
  const meant = nearest(String(fault.path.at(-1)), fault.known);
  return meant === undefined || meant === missing.path.at(-1);
}

/** The key without a value that stands before an unknown one, or before the unknown ones before it. */
function emptyBefore(map: Node, key: string, known: readonly string[]): MapEntry | undefined {
  let empty: MapEntry | undefined;
  for (const entry of map.kind === 'map' ? map.entries.values() : []) {
    if (entry.key === key) return empty;
    if (known.includes(entry.key)) empty = isEmpty(entry.value) ? entry : undefined;
  }
  return undefined;
}

/** The keys that a schema has at a path, if it consists of objects and lists only. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
  let at = unwrapped(schema);
  for (const step of path) {
    const { shape, element } = at;
    at = unwrapped(shape?.[String(step)] ?? element);
  }
  return Object.keys(at.shape ?? {});
}

/** Without what makes it optional or gives it a default. */
function unwrapped(schema: unknown): SchemaParts {
  const parts = schema === undefined ? {} : schemaParts(schema);
  return parts.shape === undefined && parts.element === undefined && parts.innerType !== undefined
    ? unwrapped(parts.innerType)
    : parts;
}
