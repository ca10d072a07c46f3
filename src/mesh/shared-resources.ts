/**
 * The resources that members of the mesh share: made once for all that are alike, and again only where the mesh has changed.
 * **In**: the mesh in force, and a member. **Out**: maps of resources; the same object for all that are alike, for as long as nothing in it
 * changes. **Fails**: with an EnvoyJsonError, which is a fault of this program.
 */
import { InTurn } from '../time/in-turn.ts';
import { TimeSlice } from '../time/time-slice.ts';
import { CLUSTER, ENDPOINTS, LISTENER, type Resource, type Resources, ROUTES, versionOf } from '../xds/index.ts';
import { fixedClusters, serviceClusters } from './envoy/clusters.ts';
import type { Encoder, Made } from './envoy/made.ts';
import { callListening } from './envoy/resources.ts';
import { Generations } from './generations.ts';
import type { Mesh } from './model/mesh.ts';
import type { Service } from './model/model.ts';
import { likenessOf } from './resolve/likeness.ts';
import type { Member } from './resolve/proxy.ts';
import { type Scope, scopeOf, sidecarOf } from './resolve/scope.ts';
import { idOf, Revisions } from './revisions.ts';

export interface Shared {
  /** Of a member that stands for all that are alike. */
  readonly scope: Scope;
  readonly byType: ReadonlyMap<string, Resources>;
}

/** What was made of one state of the mesh. */
interface OfMesh<T> {
  readonly mesh: Mesh;
  readonly made: Promise<T>;
}

interface ServiceResources {
  readonly clusters: readonly Resource[];
  readonly endpoints: readonly Resource[];
}

interface Calls {
  readonly mesh: Mesh;
  readonly called: Scope['called'];
  readonly calling: number;
  readonly clusters: Resources;
  readonly endpoints: Resources;
}

interface Listens {
  readonly scope: Scope;
  /** Knows which rule holds for a host that was asked for. */
  readonly rules: Pick<Scope, 'destinationRule'>;
  readonly calling: number;
  readonly routing: number;
  readonly listeners: Resources;
  readonly tables: Resources;
}

/** Whose resources are kept while the services and rules of a mesh stay. */
const MAX_CALLERS = 32;

export class SharedResources {
  readonly #encoder: Encoder;
  readonly #revisions = new Revisions();
  readonly #services = new Generations<ServiceResources>();
  /** Those of `#calls`, by version, or by what they were made of. */
  readonly #maps = new Generations<Resources>();
  readonly #calls = new Generations<OfMesh<Calls>>();
  readonly #listens = new Generations<OfMesh<Listens>>();
  /** Those that differ are made one after the other, in slices, so that calls are answered in between. */
  readonly #inTurn = new InTurn();
  readonly #slice = new TimeSlice();

  constructor(encoder: Encoder) {
    this.#encoder = encoder;
  }

  /** The mesh has changed. */
  next(before: Mesh, now: Mesh): void {
    this.#revisions.next(before, now);
    for (const cache of [this.#maps, this.#calls, this.#listens]) cache.next();
    // Where at most endpoints have changed, those of other services are not asked for again. Nodes choose how many callers differ.
    const isFull = this.#services.size > MAX_CALLERS * now.services.size;
    if (isFull || this.#revisions.of(before).calling !== this.#revisions.of(now).calling) this.#services.next();
  }

  async of(mesh: Mesh, member: Member): Promise<Shared> {
    const alike = likenessOf(mesh, member);
    const sidecar = sidecarOf(mesh, member);
    const key = keyOf(alike);
    const { scope, listeners, tables } = await this.#ofMesh(this.#listens, `${key} ${idOf(sidecar)}`, mesh, (before) =>
      this.#makeListens(before, mesh, () => scopeOf(mesh, alike, sidecar)),
    );
    const egress = sidecar?.spec.egress.map(({ hosts, port }) => [hosts, port]) ?? [];
    const { clusters, endpoints } = await this.#ofMesh(
      this.#calls,
      `${key} ${JSON.stringify(egress)}`,
      mesh,
      (before) => this.#makeCalls(before, { ...scope, mesh }),
    );
    return {
      scope: { ...scope, mesh },
      byType: new Map([
        [CLUSTER, clusters],
        [ENDPOINTS, endpoints],
        [LISTENER, listeners],
        [ROUTES, tables],
      ]),
    };
  }

  /** Made once for a state of the mesh, however many ask for it at a time. */
  #ofMesh<T>(
    cache: Generations<OfMesh<T>>,
    key: string,
    mesh: Mesh,
    make: (before: T | undefined) => Promise<T>,
  ): Promise<T> {
    const known = cache.get(key);
    if (known?.mesh === mesh) return known.made;
    const made = this.#inTurn.run(async () => make(await known?.made.catch(() => undefined)));
    cache.set(key, { mesh, made });
    return made;
  }

  async #makeListens(before: Listens | undefined, mesh: Mesh, scopeNow: () => Scope): Promise<Listens> {
    const { routing, calling } = this.#revisions.of(mesh);
    if (before?.routing === routing) return before;
    const fresh = scopeNow();
    // The same rules for the same hosts: which rule holds for a host was found before.
    const rules = before?.calling === calling ? before.rules : fresh;
    const scope: Scope = { ...fresh, destinationRule: (host) => rules.destinationRule(host) };
    const { listeners, tables } = callListening(scope);
    return {
      scope,
      rules,
      routing,
      calling,
      listeners: kept(before?.listeners, await this.#encoded(listeners)),
      tables: kept(before?.tables, await this.#encoded(tables)),
    };
  }

  async #makeCalls(before: Calls | undefined, scope: Scope): Promise<Calls> {
    const { mesh } = scope;
    const { calling } = this.#revisions.of(mesh);
    const caller = keyOf({ ...scope.member, namespace: '' });
    if (before?.calling === calling && hasSameHosts(before.called, scope.called)) {
      const moved = this.#withMoved(before, scope, caller);
      if (moved !== undefined) return moved;
    }
    const clusters = new Map(await this.#encoded(fixedClusters()));
    const endpoints = new Map<string, Resource>();
    for (const service of scope.called.values()) {
      const own = this.#ofService(service, scope, caller);
      for (const one of own.clusters) clusters.set(one.name, one);
      for (const one of own.endpoints) endpoints.set(one.name, one);
      if (this.#slice.isOver) await this.#slice.next();
    }
    return {
      mesh,
      called: scope.called,
      calling,
      clusters: this.#sharedMap(kept(before?.clusters, clusters)),
      endpoints: this.#sharedMap(kept(before?.endpoints, endpoints)),
    };
  }

  /** Where at most endpoints have changed. `undefined`: with them, a cluster has got endpoints, or has none any more. */
  #withMoved(before: Calls, scope: Scope, caller: string): Calls | undefined {
    const { mesh } = scope;
    const changed: ServiceResources[] = [];
    for (const host of this.#revisions.movedEndpoints(before.mesh, mesh)) {
      const service = scope.called.get(host);
      if (service === undefined) continue;
      this.#services.delete(this.#keyOf(service, { ...scope, mesh: before.mesh }, caller));
      const own = this.#ofService(service, scope, caller);
      const named = new Set(own.endpoints.map(({ name }) => name));
      if (own.clusters.some(({ name }) => before.endpoints.has(name) !== named.has(name))) return undefined;
      changed.push(own);
    }
    return {
      ...before,
      mesh,
      clusters: this.#replaced(
        before.clusters,
        changed.flatMap(({ clusters }) => clusters),
      ),
      endpoints: this.#replaced(
        before.endpoints,
        changed.flatMap(({ endpoints }) => endpoints),
      ),
    };
  }

  /** Callers of several namespaces have the same map before and after. */
  #replaced(before: Resources, all: readonly Resource[]): Resources {
    const changed = all.filter((one) => before.get(one.name) !== one);
    if (changed.length === 0) return before;
    const key = [before, ...changed].map(idOf).join(' ');
    const known = this.#maps.get(key);
    if (known !== undefined) return known;
    const now = new Map(before);
    for (const one of changed) now.set(one.name, one);
    return this.#maps.set(key, now);
  }

  /** Callers of several namespaces may see the same. */
  #sharedMap(map: Resources): Resources {
    const version = versionOf(map);
    return this.#maps.set(version, kept(this.#maps.get(version), map));
  }

  /** Callers of any namespace share them, unless their rules differ. */
  #ofService(service: Service, scope: Scope, caller: string): ServiceResources {
    const key = this.#keyOf(service, scope, caller);
    const known = this.#services.get(key);
    if (known !== undefined) return known;
    const { clusters, endpoints } = serviceClusters(service, scope);
    return this.#services.set(key, {
      clusters: clusters.map((one) => this.#encoder.encode(one)),
      endpoints: endpoints.map((one) => this.#encoder.encode(one)),
    });
  }

  #keyOf(service: Service, scope: Scope, caller: string): string {
    const { mesh } = scope;
    const parts = [service, scope.destinationRule(service.host), mesh.endpoints.get(service.host)];
    return `${parts.map(idOf).join(' ')} ${this.#revisions.of(mesh).authentication} ${caller}`;
  }

  /** The first of a name: two listeners at one address would be refused, both of them. */
  async #encoded(all: readonly Made[]): Promise<Resources> {
    const encoded = new Map<string, Resource>();
    for (const one of all) {
      if (!encoded.has(one.name)) encoded.set(one.name, await this.#encoder.encodeSliced(one, this.#slice));
      if (this.#slice.isOver) await this.#slice.next();
    }
    return encoded;
  }
}

/** Rules of routing may lead to other services than before. */
const hasSameHosts = (before: Scope['called'], now: Scope['called']): boolean =>
  before === now || (before.size === now.size && [...now.keys()].every((host) => before.has(host)));

const keyOf = (alike: Member): string => JSON.stringify({ ...alike, labels: [...alike.labels] });

/** The map from before where all in it is the same, since maps are compared by identity. */
function kept(before: Resources | undefined, now: Resources): Resources {
  if (before?.size !== now.size) return now;
  for (const [name, resource] of now) if (before.get(name) !== resource) return now;
  return before;
}
