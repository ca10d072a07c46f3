/**
 * The mistakes behind the issues of a schema: a misspelt key is one, though a key is unknown and another one is missing.
 * **In**: issues, schema, the node. **Out**: faults, in groups that are one mistake each. **Fails**: never.
 */
import type { z } from 'zod';
import { nearest } from '../text/nearest.ts';
import { schemaParts, type SchemaParts } from '../text/schema-parts.ts';
import { isEmpty, type MapEntry, type MapNode, type Node, nodeAt } from './nodes.ts';

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
  const inMaps = Map.groupBy(faults, parentKey);
  const withUnknown = new Set(unknown.map(parentKey));
  const belong = new Map<MapNode, boolean>();
  const groups = new Map<unknown, [SchemaFault, ...SchemaFault[]]>();
  for (const fault of faults) {
    if (fault.kind === 'missing' && inMaps.get(parentKey(fault))?.some((one) => mayBe(one, fault)) === true) continue;
    if (fault.kind === 'missing' && misplaced.has(String(fault.path.at(-1)))) continue;
    if (fault.issue.code === 'custom' && beginnings(fault.path).some((path) => withUnknown.has(path))) continue;
    if (fault.kind === 'other' && emptied.has(nodeAt(node, fault.path).node)) continue;
    const key = groupOf(fault, node, belong);
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
    const empty = emptyBefore(nodeAt(node, issue.path).node, known);
    return issue.keys.map((key) => ({
      kind: 'unknown',
      path: [...issue.path, key],
      issue,
      known,
      empty: empty.get(key),
    }));
  }
  const kind = nodeAt(node, issue.path).whole ? 'other' : 'missing';
  return [{ kind, path: issue.path, issue, known: keysAt(schema, issue.path.slice(0, -1)), empty: undefined }];
}

/**
 * What is missing in one map is one mistake, as are the keys of another adapter, or those indented too little. `belong`: whether some key
 * of a map is a known one, or near to one.
 */
function groupOf(fault: SchemaFault, node: Node, belong: Map<MapNode, boolean>): unknown {
  const { kind, path, known, empty } = fault;
  const parent = nodeAt(node, path.slice(0, -1)).node;
  // By place, since an alias repeats the mistakes of its anchor.
  if (kind === 'missing' && path.length > 0) return `missing in ${parent.place.start}`;
  if (kind === 'other') return nodeAt(node, path).node.place.start;
  if (kind !== 'unknown' || parent.kind !== 'map') return fault;
  if (empty !== undefined) return empty;
  let someBelong = belong.get(parent);
  if (someBelong === undefined) {
    const some = [...parent.entries.keys()].slice(0, MAX_COMPARED);
    someBelong = some.some((key) => known.includes(key) || nearest(key, known) !== undefined);
    belong.set(parent, someBelong);
  }
  return someBelong ? fault : parent.entries;
}

/** Keys of one map. */
const MAX_COMPARED = 200;

const parentKey = ({ path }: SchemaFault): string => path.slice(0, -1).map(String).join('\0');

/** Of all beginnings of a path, as {@link parentKey} has them. */
const beginnings = (path: readonly PropertyKey[]): readonly string[] =>
  [...path, ''].map((_, length) => path.slice(0, length).map(String).join('\0'));

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

/** By key: the known key without a value that stands before it, or before the unknown ones before it. */
function emptyBefore(map: Node, known: readonly string[]): ReadonlyMap<string, MapEntry | undefined> {
  const found = new Map<string, MapEntry | undefined>();
  let empty: MapEntry | undefined;
  for (const entry of map.kind === 'map' ? map.entries.values() : []) {
    found.set(entry.key, empty);
    if (known.includes(entry.key)) empty = isEmpty(entry.value) ? entry : undefined;
  }
  return found;
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
