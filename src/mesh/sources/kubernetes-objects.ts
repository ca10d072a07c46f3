/**
 * The objects of an API server, each in its last good version.
 * **In**: objects as they are listed, put and removed. **Out**: the objects of a mesh, by kind; findings about those with errors.
 * **Fails**: never: an object with an error is used as it was before, or left out if it was never good.
 */
import { hash } from 'node:crypto';
import type { KubeObject, ResourceSink } from '../../kubernetes/index.ts';
import { type Finding, Findings } from '../../yaml/findings.ts';
import { jsonNodes } from '../../yaml/json-nodes.ts';
import type { MapNode, Place } from '../../yaml/nodes.ts';
import { TextlessSource } from '../../yaml/source-text.ts';
import type { Kind } from '../rules/kinds.ts';
import { type MeshObject, type MeshObjects, noObjects, readObject } from './objects.ts';
import { projected } from './projection.ts';
import { SortedObjects } from './sorted-objects.ts';

interface Known {
  /** Of the fields that are read: an object is parsed again only if one of them changes. */
  readonly digest: string;
  readonly good: MeshObject<Kind> | undefined;
  readonly findings: readonly Finding[];
}

/** An object with errors. */
export interface RefusedObject {
  readonly kind: Kind;
  readonly namespace: string;
  readonly findings: readonly Finding[];
  /** An earlier version of it stays in use. */
  readonly hasGood: boolean;
}

export interface KubernetesObjectsOptions {
  readonly onChange: (kind: Kind, namespace: string) => void;
  readonly onRefused: (refused: RefusedObject) => void;
}

/** Their nodes are not read again: references are looked for in rules alone. */
const WITHOUT_NODES: ReadonlySet<Kind> = new Set<Kind>(['Service', 'EndpointSlice', 'Pod', 'Node', 'Namespace']);

export class KubernetesObjects {
  readonly #options: KubernetesObjectsOptions;
  readonly #known = new Map<Kind, Map<string, Known>>();
  readonly #refused = new Map<string, RefusedObject>();
  /** Made when they are first read, which is after the first list. */
  readonly #sorted = new Map<Kind, SortedObjects>();

  constructor(options: KubernetesObjectsOptions) {
    this.#options = options;
  }

  get objects(): MeshObjects {
    const all: Record<string, readonly MeshObject<Kind>[]> = { ...noObjects() };
    for (const [kind, known] of this.#known) {
      const sorted = this.#sorted.get(kind) ?? new SortedObjects([...known.values()].flatMap(({ good }) => good ?? []));
      this.#sorted.set(kind, sorted);
      all[kind] = sorted.list;
    }
    return all as unknown as MeshObjects;
  }

  /** Objects with errors. */
  get refused(): Iterable<RefusedObject> {
    return this.#refused.values();
  }

  /** `isOfList`: whether a list would have an object of this `namespace/name`. `onListed` is called when a list is complete. */
  sink(kind: Kind, apiVersion: string, isOfList: (key: string) => boolean, onListed: () => void): ResourceSink {
    const known = this.#of(kind);
    let listed: Set<string> | undefined;
    const remove = (key: string): void => this.#remove(kind, key);
    const put = (object: KubeObject): void => {
      const key = keyOf(object);
      listed?.add(key);
      this.#put(kind, apiVersion, key, object);
    };
    return {
      listing: () => {
        listed = new Set();
      },
      put,
      remove: (object) => remove(keyOf(object)),
      *listed() {
        for (const key of known.keys()) {
          if (listed?.has(key) === false && isOfList(key)) remove(key);
          yield;
        }
        listed = undefined;
        onListed();
      },
    };
  }

  /** The server no longer has the kind, or these objects of it are no longer needed. */
  forget(kind: Kind, isGone: (key: string) => boolean): void {
    for (const key of this.#of(kind).keys()) if (isGone(key)) this.#remove(kind, key);
  }

  #of(kind: Kind): Map<string, Known> {
    const known = this.#known.get(kind) ?? new Map<string, Known>();
    this.#known.set(kind, known);
    return known;
  }

  #put(kind: Kind, apiVersion: string, key: string, object: KubeObject): void {
    const known = this.#of(kind);
    const fields = projected(kind, apiVersion, object);
    const digest = hash('sha256', JSON.stringify(fields), 'base64');
    const before = known.get(key);
    if (before?.digest === digest) return;
    const { good, findings } = read(kind, key, fields);
    known.set(key, { digest, good: good ?? before?.good, findings });
    const refused = `${kind}/${key}`;
    if (findings.length === 0) this.#refused.delete(refused);
    else {
      const object = { kind, namespace: namespaceOf(key), findings, hasGood: before?.good !== undefined };
      this.#refused.set(refused, object);
      this.#options.onRefused(object);
    }
    if (good !== undefined) this.#sorted.get(kind)?.replace(before?.good, good);
    this.#options.onChange(kind, namespaceOf(key));
  }

  #remove(kind: Kind, key: string): void {
    const known = this.#of(kind);
    const before = known.get(key);
    if (before === undefined) return;
    known.delete(key);
    this.#refused.delete(`${kind}/${key}`);
    if (before.good !== undefined) this.#sorted.get(kind)?.replace(before.good, undefined);
    this.#options.onChange(kind, namespaceOf(key));
  }
}

const keyOf = ({ metadata }: KubeObject): string => `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;
const namespaceOf = (key: string): string => key.slice(0, key.indexOf('/'));

function read(
  kind: Kind,
  key: string,
  fields: Readonly<Record<string, unknown>>,
): { readonly good: MeshObject<Kind> | undefined; readonly findings: readonly Finding[] } {
  const place: Place = { source: new TextlessSource(`${kind} ${key} (kubernetes)`), start: 0, end: 0 };
  const findings = new Findings();
  const object = readObject(jsonNodes(fields, place), findings);
  const spec = object?.spec();
  if (object === undefined || spec === undefined || findings.hasErrors)
    return { good: undefined, findings: findings.sorted([]) };
  const origin = WITHOUT_NODES.has(kind) ? { ...object.head, root: emptyRoot(place) } : object.head;
  return { good: { origin, spec }, findings: [] };
}

const emptyRoot = (place: Place): MapNode => ({ kind: 'map', place, entries: NO_ENTRIES });
const NO_ENTRIES: MapNode['entries'] = new Map();
