/** Which parts of the mesh have changed, by the identity of its objects. */
import type { Mesh } from './model/mesh.ts';

type RuleKind = keyof Mesh['rules'];

/** Kinds that decide how calls are encrypted, and nothing else. */
const AUTHENTICATION: readonly RuleKind[] = ['PeerAuthentication', 'Policy', 'MeshPolicy'];
/** Kinds that decide which clusters there are, and how they are reached. */
const CALLING: readonly RuleKind[] = ['DestinationRule', 'Sidecar', 'Gateway', 'Secret'];
const ROUTING: readonly RuleKind[] = ['VirtualService', 'DestinationRule', 'Gateway', 'Sidecar', 'Secret'];

export interface Revision {
  /** Changes with all but endpoints; with those that callers choose by their addresses, since each has a listener. */
  readonly routing: number;
  /** Changes with how workloads take calls. */
  readonly authentication: number;
  /** Changes with all that clusters and endpoints are made of, but for the endpoints themselves. */
  readonly calling: number;
}

const FIRST: Revision = { routing: 0, authentication: 0, calling: 0 };

const ids = new WeakMap<object, number>();
let lastId = 0;

/** A number for each object, for keys of caches; 0 for none. */
export function idOf(object: object | undefined): number {
  if (object === undefined) return 0;
  let id = ids.get(object);
  if (id === undefined) ids.set(object, (id = ++lastId));
  return id;
}

export class Revisions {
  readonly #ofMeshes = new WeakMap<Mesh, Revision>();
  /** The last answer of `movedEndpoints`: most callers go from the same state to the same. */
  #moved: { readonly before: Mesh; readonly now: Mesh; readonly hosts: readonly string[] } | undefined;

  /** Of the state that is asked for: resources of the last one may still be made when the next is in force. */
  of(mesh: Mesh): Revision {
    return this.#ofMeshes.get(mesh) ?? FIRST;
  }

  /** Hosts of services that stay, whose endpoints differ. */
  movedEndpoints(before: Mesh, now: Mesh): readonly string[] {
    if (this.#moved?.before === before && this.#moved.now === now) return this.#moved.hosts;
    const hosts = [...now.endpoints].flatMap(([host, own]) => (before.endpoints.get(host) === own ? [] : [host]));
    this.#moved = { before, now, hosts };
    return hosts;
  }

  next(before: Mesh, now: Mesh): void {
    const isSame = (kinds: readonly RuleKind[]): boolean =>
      kinds.every((kind) => hasSame<unknown>(before.rules[kind], now.rules[kind]));
    const hasSameServices = hasSame(before.services.values(), now.services.values());
    const hasSameSettings = before.settings === now.settings;
    const hasSameAuthentication =
      hasSameSettings &&
      isSame(AUTHENTICATION) &&
      // Targets of the policies of 1.0.2 are the endpoints of services.
      (now.rules.Policy.length === 0 ||
        (hasSameServices && hasSame(before.endpoints.values(), now.endpoints.values())));
    const hasSameCalling = hasSameAuthentication && hasSameServices && isSame(CALLING);
    const hasSameRouting = hasSameAuthentication && hasSameServices && isSame(ROUTING) && hasSameChosen(before, now);
    const { routing, authentication, calling } = this.of(before);
    this.#ofMeshes.set(now, {
      routing: routing + (hasSameRouting ? 0 : 1),
      authentication: authentication + (hasSameAuthentication ? 0 : 1),
      calling: calling + (hasSameCalling ? 0 : 1),
    });
  }
}

const hasSameChosen = (before: Mesh, now: Mesh): boolean =>
  [...now.services.values()].every(
    ({ host, isHeadless, resolution }) =>
      (!isHeadless && resolution !== 'original') || before.endpoints.get(host) === now.endpoints.get(host),
  );

function hasSame<T>(before: Iterable<T>, now: Iterable<T>): boolean {
  const others = before[Symbol.iterator]();
  for (const one of now) {
    const other = others.next();
    if (other.done === true || other.value !== one) return false;
  }
  return others.next().done === true;
}
