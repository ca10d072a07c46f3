/**
 * One mesh of the objects of files and of an API server, made again at each change.
 * **In**: the objects of both. **Out**: the mesh, and findings that several objects cause. **Fails**: never; of two objects with one name
 * that of the files holds.
 */
import { type Finding, Findings } from '../../yaml/findings.ts';
import { checkReferences } from '../check-references.ts';
import { type Mesh, type MeshSettings, meshOf } from '../model/mesh.ts';
import { type Kind, KINDS } from '../rules/kinds.ts';
import { byAge, type MeshObject, type MeshObjects, noObjects, objectKey, reportDuplicate } from './objects.ts';

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

/** Where services run says nothing about references, and changes all the time. */
const OF_ENDPOINTS: ReadonlySet<Kind> = new Set<Kind>(['Pod', 'EndpointSlice', 'Endpoints', 'WorkloadEntry', 'Node']);

export class Composition {
  readonly #settings: MeshSettings;
  /** Kept while neither side changes. */
  readonly #united = new Map<Kind, United>();
  #last: Mesh | undefined;
  #references: { readonly of: readonly Objects[]; readonly findings: readonly Finding[] } | undefined;

  constructor(settings: MeshSettings) {
    this.#settings = settings;
  }

  make(files: MeshObjects, cluster: MeshObjects): Composed {
    const all: Record<string, Objects> = { ...noObjects() };
    const duplicates: Finding[] = [];
    for (const kind of Object.keys(KINDS) as Kind[]) {
      const united = this.#unite(kind, files[kind], cluster[kind]);
      all[kind] = united.objects;
      duplicates.push(...united.duplicates);
    }
    const mesh = meshOf(all as unknown as MeshObjects, this.#settings, this.#last);
    this.#last = mesh;
    return { mesh, findings: [...duplicates, ...this.#referencesOf(mesh, all)] };
  }

  #unite(kind: Kind, files: Objects, cluster: Objects): United {
    const known = this.#united.get(kind);
    if (known?.files === files && known.cluster === cluster) return known;
    const united = unite(files, cluster);
    this.#united.set(kind, united);
    return united;
  }

  #referencesOf(mesh: Mesh, all: Readonly<Record<string, Objects>>): readonly Finding[] {
    const of = Object.entries(all).flatMap(([kind, objects]) => (OF_ENDPOINTS.has(kind as Kind) ? [] : [objects]));
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
