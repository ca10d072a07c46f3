/**
 * **In**: what a proxy sees of the mesh. **Out**: its resources, in Envoy's JSON. **Fails**: never.
 */
import type { Mesh } from '../model/mesh.ts';
import type { Member } from '../resolve/proxy.ts';
import { type Scope, scopeOf } from '../resolve/scope.ts';
import { fixedClusters, serviceClusters } from './clusters.ts';
import { gatewayListeners } from './gateway-listeners.ts';
import { inboundClusters } from './inbound-clusters.ts';
import { inboundListeners } from './inbound-listeners.ts';
import type { Listening } from './listener.ts';
import type { Made } from './made.ts';
import { outboundListeners } from './outbound-listeners.ts';

/** All, made for this proxy alone; {@link SharedResources} gives the same. */
export function resourcesOf(mesh: Mesh, member: Member): readonly Made[] {
  const scope = scopeOf(mesh, member);
  const outbound = [...scope.services.values()].map((service) => serviceClusters(service, scope));
  const { listeners, tables } = callListening(scope);
  return distinct([
    ...fixedClusters(),
    ...outbound.flatMap(({ clusters, endpoints }) => [...clusters, ...endpoints]),
    ...ownResources(scope),
    ...listeners,
    ...tables,
  ]);
}

/** Where the calls of an application leave; a gateway has none. */
export const callListening = (scope: Scope): Listening =>
  scope.member.type === 'router' ? { listeners: [], tables: [] } : outboundListeners(scope);

/** Those that depend on who the proxy is: how calls reach its application, or what its gateway serves. */
export function ownResources(scope: Scope): readonly Made[] {
  const {
    listeners,
    tables,
    secrets = [],
  } = scope.member.type === 'router' ? gatewayListeners(scope) : { listeners: inboundListeners(scope), tables: [] };
  return [...secrets, ...inboundClusters(scope), ...listeners, ...tables];
}

/** The first of a name: two listeners at one address would be refused, both of them. */
function distinct(all: readonly Made[]): readonly Made[] {
  const byName = new Map<string, Made>();
  for (const one of all) {
    const key = `${one.typeUrl} ${one.name}`;
    if (!byName.has(key)) byName.set(key, one);
  }
  return [...byName.values()];
}
