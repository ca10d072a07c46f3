/**
 * **In**: what a proxy sees of the mesh. **Out**: its resources, in Envoy's JSON. **Fails**: never.
 */
import { clientTlsOf } from '../model/credential-access.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Service } from '../model/model.ts';
import { gatewaysOf } from '../resolve/gateways.ts';
import type { Member } from '../resolve/proxy.ts';
import { type Scope, scopeOf } from '../resolve/scope.ts';
import { clientCredentials } from './client-tls.ts';
import { fixedClusters, serviceClusters } from './clusters.ts';
import { credentialSecrets, type Used } from './credentials.ts';
import { gatewayListeners } from './gateway-listeners.ts';
import { serverCredentials } from './gateway-tls.ts';
import { inboundClusters } from './inbound-clusters.ts';
import { inboundListeners } from './inbound-listeners.ts';
import type { Listening } from './listener.ts';
import type { Made } from './made.ts';
import { outboundListeners } from './outbound-listeners.ts';
import { keyClusters } from './token-filter.ts';

/** All, made for this proxy alone; {@link SharedResources} gives the same. */
export function resourcesOf(mesh: Mesh, member: Member): readonly Made[] {
  const scope = scopeOf(mesh, member);
  const outbound = [...scope.called.values()].map((service) => serviceClusters(service, scope));
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
  const isGateway = scope.member.type === 'router';
  const { listeners, tables } = isGateway
    ? gatewayListeners(scope)
    : { listeners: inboundListeners(scope), tables: [] };
  const servers = isGateway ? gatewaysOf(scope).flatMap(({ spec }) => spec.servers) : [];
  const byCredentials = servicesByCredentials(scope);
  const clients = byCredentials.map(({ service }) => serviceClusters(service, scope));
  return [
    ...credentialSecrets(united(serverCredentials(servers), ...byCredentials.map(({ used }) => used)), scope),
    ...clients.flatMap(({ clusters, endpoints }) => [...clusters, ...endpoints]),
    ...keyClusters(scope),
    ...inboundClusters(scope),
    ...listeners,
    ...tables,
  ];
}

/** Which credentials a proxy may have depends on its identity, so the clusters that name them are its own. */
function servicesByCredentials(scope: Scope): readonly { readonly service: Service; readonly used: Used }[] {
  if (!hasClientCredentials(scope.mesh.rules.DestinationRule)) return [];
  return [...scope.called.values()].flatMap((service) => {
    const rule = scope.destinationRule(service.host);
    const used = clientCredentials(rule === undefined ? [] : clientTlsOf(rule.spec));
    return used.certificates.size + used.authorities.size === 0 ? [] : [{ service, used }];
  });
}

const united = (...all: readonly Used[]): Used => ({
  certificates: new Set(all.flatMap(({ certificates }) => [...certificates])),
  authorities: new Set(all.flatMap(({ authorities }) => [...authorities])),
});

type Rules = Mesh['rules']['DestinationRule'];
/** By list of rules, which a mesh that changed elsewhere has again. */
const known = new WeakMap<Rules, boolean>();

function hasClientCredentials(rules: Rules): boolean {
  let has = known.get(rules);
  if (has === undefined)
    known.set(
      rules,
      (has = rules.some(({ spec }) => clientTlsOf(spec).some(({ credentialName }) => credentialName !== undefined))),
    );
  return has;
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
