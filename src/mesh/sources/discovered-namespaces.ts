/**
 * Which namespaces belong to the mesh: those that a discovery selector of its MeshConfig matches, as in istiod. The root namespace is no
 * exception.
 * **In**: selectors, Namespaces. **Out**: the objects of the mesh; warnings. **Fails**: never; with selectors, a namespace without a
 * Namespace object does not belong to it.
 */
import type { Findings } from '../../yaml/findings.ts';
import type { MeshSettings } from '../model/mesh.ts';
import type { Kind } from '../rules/kinds.ts';
import { isSelected } from '../rules/label-selector.ts';
import type { MeshObject, MeshObjects } from './objects.ts';

type Objects = readonly MeshObject<Kind>[];

const CLUSTER_WIDE: ReadonlySet<string> = new Set<Kind>(['Namespace', 'Node', 'MeshPolicy']);
/** Rules that hold for all namespaces from the root namespace. */
const OF_THE_ROOT: readonly Kind[] = [
  'PeerAuthentication',
  'RequestAuthentication',
  'Sidecar',
  'DestinationRule',
  'VirtualService',
  'Gateway',
];

export class DiscoveredNamespaces {
  readonly #settings: Pick<MeshSettings, 'discoverySelectors' | 'rootNamespace'>;
  #namespaces: MeshObjects['Namespace'] = [];
  /** `undefined`: all of them. */
  #names: ReadonlySet<string> | undefined;
  readonly #kept = new Map<
    Kind,
    { readonly all: Objects; readonly names: ReadonlySet<string>; readonly of: Objects }
  >();

  constructor(settings: Pick<MeshSettings, 'discoverySelectors' | 'rootNamespace'>) {
    this.#settings = settings;
    this.#names = (settings.discoverySelectors ?? []).length === 0 ? undefined : new Set();
  }

  /** `namespaces`: all that there are. */
  use(namespaces: MeshObjects['Namespace']): void {
    if (this.#names === undefined || namespaces === this.#namespaces) return;
    this.#namespaces = namespaces;
    const names = new Set(
      namespaces
        .filter(({ origin }) => isSelected(this.#settings.discoverySelectors, origin.labels))
        .map(({ origin }) => origin.name),
    );
    const before = this.#names;
    if (names.size !== before.size || [...names].some((name) => !before.has(name))) this.#names = names;
  }

  has(kind: string, namespace: string): boolean {
    return this.#names === undefined || CLUSTER_WIDE.has(kind) || this.#names.has(namespace);
  }

  /** The same value for the same objects, until other namespaces belong to the mesh. */
  objectsOf(kind: Kind, all: Objects): Objects {
    const names = this.#names;
    if (names === undefined || CLUSTER_WIDE.has(kind)) return all;
    const kept = this.#kept.get(kind);
    if (kept?.all === all && kept.names === names) return kept.of;
    const of = all.filter(({ origin }) => names.has(origin.namespace));
    this.#kept.set(kind, { all, names, of });
    return of;
  }

  /** `files`: those of files, where a Namespace is easily forgotten; `all`: those of the cluster, too. */
  report(files: Iterable<Objects>, all: (kind: Kind) => Objects, findings: Findings): void {
    if (this.#names === undefined) return;
    const warn = ({ origin }: MeshObject<Kind>, message: string): void =>
      findings.add('warning', 'MESH_UNUSED', origin.place, message);
    const known = new Set(this.#namespaces.map(({ origin }) => origin.name));
    for (const objects of files)
      for (const object of objects) {
        const { kind, namespace } = object.origin;
        if (CLUSTER_WIDE.has(kind as Kind) || known.has(namespace)) continue;
        known.add(namespace);
        warn(
          object,
          `the namespace ${namespace} has no Namespace object, so no discovery selector matches it and its objects are left out`,
        );
      }
    const { rootNamespace } = this.#settings;
    if (this.#names.has(rootNamespace)) return;
    for (const kind of OF_THE_ROOT) {
      const rule = all(kind).find(({ origin }) => origin.namespace === rootNamespace);
      if (rule === undefined) continue;
      warn(rule, `the root namespace ${rootNamespace} matches no discovery selector, so its rules do not hold`);
      return;
    }
  }
}
