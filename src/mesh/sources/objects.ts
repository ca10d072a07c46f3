/**
 * **In**: the texts of files. **Out**: the objects of a mesh, by kind, each with its place. **Fails**: with findings; the objects are then
 * not to be used, since half a mesh is another mesh.
 */
import { Findings } from '../../yaml/findings.ts';
import { itemsOfList } from '../../yaml/kubernetes-list.ts';
import { parseDocuments } from '../../yaml/document.ts';
import { type Node, nodeAt, type Place } from '../../yaml/nodes.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import { positionText, SourceText } from '../../yaml/source-text.ts';
import type { MeshRule, Origin } from '../model/model.ts';
import { type Kind, KINDS, kindOf, type SpecOf } from '../rules/kinds.ts';
import { type ObjectHead, objectHead, readPart } from '../rules/read-object.ts';

export interface MeshObject<K extends Kind> extends MeshRule<SpecOf<K>> {
  readonly origin: ObjectHead;
}

/** Of each kind, oldest first; of those of one age by namespace and name. */
export type MeshObjects = { readonly [K in Kind]: readonly MeshObject<K>[] };

export const noObjects = (): MeshObjects =>
  Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, []])) as unknown as MeshObjects;

export interface TextFile {
  readonly file: string;
  readonly text: string;
}

/** An object as its file has it. */
export interface FoundObject {
  readonly kind: Kind;
  readonly head: ObjectHead;
  /** `undefined`: its spec has errors. */
  readonly object: MeshObject<Kind> | undefined;
}

export async function readObjects(
  files: readonly TextFile[],
  findings: Findings,
  slice: TimeSlice = new TimeSlice(),
): Promise<MeshObjects> {
  const found: (readonly FoundObject[])[] = [];
  for (const file of files) found.push(await objectsOfFile(file, findings, slice));
  return byKind(found.flat(), findings);
}

export async function objectsOfFile(
  { file, text }: TextFile,
  findings: Findings,
  slice: TimeSlice,
): Promise<readonly FoundObject[]> {
  const { documents } = await parseDocuments(new SourceText(file, text), findings, slice);
  const found: FoundObject[] = [];
  for (const { root } of documents) {
    for (const node of itemsOfList(root) ?? [root]) {
      const read = readObject(node, findings);
      if (read === undefined) continue;
      const { kind, head } = read;
      const spec = read.spec();
      found.push({ kind, head, object: spec && { origin: head, spec } });
    }
    if (slice.isOver) await slice.next();
  }
  return found;
}

/** Of two with one name the first holds, and the other is an error. */
export function byKind(all: readonly FoundObject[], findings: Findings): MeshObjects {
  const found = noObjects() as unknown as Record<Kind, MeshObject<Kind>[]>;
  const heads = new Map<string, ObjectHead>();
  for (const { kind, head, object } of all) {
    const key = objectKey(head);
    const earlier = heads.get(key);
    if (earlier !== undefined) {
      reportDuplicate(head, earlier, findings);
      continue;
    }
    heads.set(key, head);
    if (object !== undefined) found[kind].push(object);
  }
  for (const list of Object.values(found)) list.sort(byAge);
  return found as unknown as MeshObjects;
}

export const objectKey = ({ kind, namespace, name }: Origin): string => `${kind}/${namespace}/${name}`;

export function reportDuplicate(later: Origin, earlier: Origin, findings: Findings): void {
  const at = positionText(earlier.place.source.positionAt(earlier.place.start));
  const { kind, namespace, name, place } = later;
  findings.add('error', 'MESH_DUPLICATE', place, `${kind} ${namespace}/${name} stands at ${at}, too`);
}

interface ReadObject {
  readonly head: ObjectHead;
  readonly kind: Kind;
  /** `undefined`, with findings, if it has errors. */
  spec(): SpecOf<Kind> | undefined;
}

/** `undefined`: it says nothing about a mesh, or has errors, which are among the findings. */
export function readObject(node: Node, findings: Findings): ReadObject | undefined {
  const head = objectHead(node, findings);
  if (head === undefined) return undefined;
  const known = kindOf(head);
  if (known.kind === 'other') return undefined;
  if (known.kind === 'unknown') {
    const place = node.kind === 'map' ? (node.entries.get('kind')?.value.place ?? node.place) : node.place;
    findings.add('error', 'MESH_KIND', place, known.why);
    return undefined;
  }
  const { kind } = known;
  const { schema, part } = KINDS[kind];
  return { head, kind, spec: () => readPart(head, schema, findings, part) };
}

/** The oldest first; of one age by namespace and name. */
export const byAge = ({ origin: a }: MeshObject<Kind>, { origin: b }: MeshObject<Kind>): number =>
  a.createdMs - b.createdMs || compare(a.namespace, b.namespace) || compare(a.name, b.name);
const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** Of a value in it, by its path from the root of the object. */
export const placeAt = ({ origin }: MeshObject<Kind>, path: readonly (string | number)[]): Place =>
  nodeAt(origin.root, path).node.place;
