/**
 * **In**: a document of Istio or Kubernetes. **Out**: what it is, and its spec as its schema reads it. **Fails**: with findings at the
 * field, and `undefined`.
 */
import type { z } from 'zod';
import { Fields } from '../../yaml/fields.ts';
import { parsedBy } from '../../yaml/schema-findings.ts';
import { textMap } from '../../yaml/texts.ts';
import type { Findings } from '../../yaml/findings.ts';
import { type MapNode, type Node, nodeText, plain } from '../../yaml/nodes.ts';
import type { MeshErrorCode } from '../errors.ts';
import type { Origin } from '../model/model.ts';

/** The head of an object: what it is, and where it was written. */
export interface ObjectHead extends Origin {
  readonly apiVersion: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  readonly root: MapNode;
}

const DEFAULT_NAMESPACE = 'default';

/** `undefined` if it is no object of Kubernetes' form. */
export function objectHead(root: Node, findings: Findings): ObjectHead | undefined {
  const report = (code: MeshErrorCode, node: Node, message: string): undefined => {
    findings.add('error', code, node.place, message);
    return undefined;
  };
  if (root.kind !== 'map' || !root.entries.has('kind') || !root.entries.has('apiVersion'))
    return report('MESH_KIND', root, `expected an object with apiVersion and kind; found ${nodeText(root)}`);
  const fields = new Fields(root, 'an object', findings);
  const [kind, apiVersion] = [fields.text('kind'), fields.text('apiVersion')];
  const metadata = fields.map('metadata', 'metadata');
  if (kind === undefined || apiVersion === undefined) return undefined;
  const name = metadata?.text('name');
  if (metadata === undefined || name === undefined)
    return report(
      'MESH_FIELD',
      metadata === undefined ? root : (fields.node('metadata') ?? root),
      `${kind} needs metadata.name`,
    );
  const created = Date.parse(
    String(metadata.has('creationTimestamp') ? plain(metadata.node('creationTimestamp') as Node) : ''),
  );
  return {
    kind,
    apiVersion,
    name,
    namespace: metadata.text('namespace') ?? DEFAULT_NAMESPACE,
    createdMs: Number.isNaN(created) ? 0 : created,
    place: metadata.node('name')?.place ?? root.place,
    labels: textMap(metadata.node('labels'), 'metadata.labels', findings),
    annotations: textMap(metadata.node('annotations'), 'metadata.annotations', findings),
    root,
  };
}

/** `part`: the key of the object that the schema reads; absent: the object itself. */
export function readPart<S extends z.ZodType>(
  head: ObjectHead,
  schema: S,
  findings: Findings,
  part?: string,
): z.output<S> | undefined {
  const what = `${head.kind} ${head.namespace}/${head.name}`;
  const node = part === undefined ? head.root : (head.root.entries.get(part)?.value ?? EMPTY(head));
  const value = plain(node);
  return parsedBy(schema, value ?? {}, node, 'MESH_FIELD', what, findings)?.value as z.output<S> | undefined;
}

const EMPTY = ({ place }: ObjectHead): Node => ({ kind: 'map', place, entries: new Map() });
