/**
 * One mesh of the objects of files and of an API server, made again at each change.
 * **In**: the objects of both. **Out**: the mesh, and findings that several objects cause. **Fails**: never; of two objects with one name
 * that of the files holds.
 */
import { type Finding, Findings } from '../../yaml/findings.ts';
import { checkReferences } from '../check-references.ts';
import { type Mesh, type MeshSettings, meshOf } from '../model/mesh.ts';
import { type Kind, KINDS } from '../rules/kinds.ts';
import { DiscoveredNamespaces } from './discovered-namespaces.ts';
import { byAge, type MeshObject, type MeshObjects, objectKey, reportDuplicate } from './objects.ts';

export interface Composed {
  readonly mesh: Mesh;
  readonly findings: readonly Finding[];
}

type Objects = readonly MeshObject<Kind>[];

interface United {
  readonly files: Objects;
  readonly cluster: Objects;
  readonly objects: Objects;
  readonly duplicates: readonly Finding[];
}

const KIND_NAMES = Object.keys(KINDS) as readonly Kind[];
/** They change all the time, and no reference leads to them. */
const OF_ENDPOINTS: ReadonlySet<Kind> = new Set<Kind>([
  'Pod',
  'EndpointSlice',
  'Endpoints',
  'WorkloadEntry',
  'Node',
  'Namespace',
]);

export class Composition {
  readonly #settings: MeshSettings;
  /** Kept while neither side changes. */
  readonly #united = new Map<Kind, United>();
  readonly #discovered: DiscoveredNamespaces;
  #last: Mesh | undefined;
  #references: { readonly of: readonly Objects[]; readonly findings: readonly Finding[] } | undefined;

  constructor(settings: MeshSettings) {
    this.#settings = settings;
    this.#discovered = new DiscoveredNamespaces(settings);
  }

  make(files: MeshObjects, cluster: MeshObjects): Composed {
    const objects = this.objectsOf(files, cluster);
    const mesh = meshOf(objects, this.#settings, this.#last);
    this.#last = mesh;
    const duplicates = [...this.#united.values()].flatMap((united) => united.duplicates);
    const leftOut = new Findings();
    this.#discovered.report(Object.values(files), (kind) => this.#united.get(kind)?.objects ?? [], leftOut);
    return { mesh, findings: [...duplicates, ...leftOut.sorted([]), ...this.#referencesOf(mesh, objects)] };
  }

  /** Of the namespaces that belong to the mesh. */
  objectsOf(files: MeshObjects, cluster: MeshObjects): MeshObjects {
    this.#discovered.use(this.#unite('Namespace', files.Namespace, cluster.Namespace).objects);
    return Object.fromEntries(
      KIND_NAMES.map((kind) => [
        kind,
        this.#discovered.objectsOf(kind, this.#unite(kind, files[kind], cluster[kind]).objects),
      ]),
    ) as unknown as MeshObjects;
  }

  /** Whether an object can be of effect, by the namespaces that were known when objects were last asked for. */
  discovers(kind: string, namespace: string): boolean {
    return this.#discovered.has(kind, namespace);
  }

  #unite<K extends Kind>(kind: K, files: MeshObjects[K], cluster: MeshObjects[K]): United {
    const known = this.#united.get(kind);
    if (known?.files === files && known.cluster === cluster) return known;
    const united = unite(files, cluster);
    this.#united.set(kind, united);
    return united;
  }

  #referencesOf(mesh: Mesh, all: MeshObjects): readonly Finding[] {
    const of: Objects[] = KIND_NAMES.flatMap((kind) => (OF_ENDPOINTS.has(kind) ? [] : [all[kind]]));
    if (this.#references?.of.every((one, at) => one === of[at]) === true) return this.#references.findings;
    const findings = new Findings();
    checkReferences(mesh, findings);
    this.#references = { of, findings: findings.sorted(filesOf(of.flat())) };
    return this.#references.findings;
  }
}

function unite(files: Objects, cluster: Objects): United {
  if (files.length === 0) return { files, cluster, objects: cluster, duplicates: [] };
  if (cluster.length === 0) return { files, cluster, objects: files, duplicates: [] };
  const byKey = new Map(files.map((object) => [objectKey(object.origin), object]));
  const findings = new Findings();
  const others = cluster.filter(({ origin }) => {
    const own = byKey.get(objectKey(origin));
    if (own !== undefined) reportDuplicate(origin, own.origin, findings);
    return own === undefined;
  });
  return { files, cluster, objects: [...files, ...others].toSorted(byAge), duplicates: findings.sorted([]) };
}

const filesOf = (objects: Objects): string[] =>
  [...new Set(objects.map(({ origin }) => origin.place.source.file))].toSorted();
