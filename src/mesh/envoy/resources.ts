/**
 * **In**: the mesh, and a proxy. **Out**: all its resources, in Envoy's JSON. **Fails**: never.
 */
import type { Mesh } from '../model/mesh.ts';
import type { Member } from '../resolve/proxy.ts';
import { scopeOf } from '../resolve/scope.ts';
import { clustersOf } from './clusters.ts';
import { gatewayListeners } from './gateway-listeners.ts';
import type { Made } from './made.ts';
import { sidecarListeners } from './sidecar-listeners.ts';

export function resourcesOf(mesh: Mesh, member: Member): readonly Made[] {
  const scope = scopeOf(mesh, member);
  const { clusters, endpoints } = clustersOf(scope);
  const { listeners, tables } = member.type === 'router' ? gatewayListeners(scope) : sidecarListeners(scope);
  return [...clusters, ...endpoints, ...listeners, ...tables];
}
