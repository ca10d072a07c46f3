/**
 * **In**: the mesh, and a proxy. **Out**: all its resources, in Envoy's JSON. **Fails**: never.
 */
import type { Mesh } from '../model/mesh.ts';
import type { Member } from '../resolve/proxy.ts';
import { scopeOf } from '../resolve/scope.ts';
import { fixedClusters, serviceClusters } from './clusters.ts';
import { gatewayListeners } from './gateway-listeners.ts';
import { inboundClusters } from './inbound-clusters.ts';
import type { Made } from './made.ts';
import { sidecarListeners } from './sidecar-listeners.ts';

export function resourcesOf(mesh: Mesh, member: Member): readonly Made[] {
  const scope = scopeOf(mesh, member);
  const outbound = [...scope.services.values()].map((service) => serviceClusters(service, scope));
  const clusters = [...fixedClusters(), ...outbound.flatMap((one) => one.clusters), ...inboundClusters(scope)];
  const endpoints = outbound.flatMap((one) => one.endpoints);
  const {
    listeners,
    tables,
    secrets = [],
  } = member.type === 'router' ? gatewayListeners(scope) : sidecarListeners(scope);
  return [...secrets, ...clusters, ...endpoints, ...listeners, ...tables];
}
