/**
 * The Gateways of a proxy, and what it may not have.
 * **In**: the mesh, and a proxy. **Out**: the Gateways that select it, the ports that it opens for them, and those credentials of theirs
 * and of its DestinationRules that it may not have, with the reason. **Fails**: never.
 */
import {
  clientCredentialOf,
  clientTlsOf,
  credentialNameOf,
  type CredentialRefusal,
} from '../model/credential-access.ts';
import { hasLabels } from '../model/mesh.ts';
import type { MeshObject } from '../sources/objects.ts';
import { isVisible } from './destination-rules.ts';
import { targetsAt } from './inbound-ports.ts';
import type { Scope } from './scope.ts';

type Of = Pick<Scope, 'mesh' | 'member'>;

/** By the labels that the proxy says it has. */
export const gatewaysOf = ({ mesh, member }: Of): readonly MeshObject<'Gateway'>[] =>
  mesh.rules.Gateway.filter(({ spec }) => hasLabels(member.labels, spec.selector));

/**
 * A Gateway names the port of the gateway's service, at which clients call it; the gateway opens the port to which the service sends them.
 * Without a service that has the port, it is that of the gateway itself.
 */
export const openedPort = (number: number, { mesh, member }: Of): number =>
  targetsAt(mesh, member.address).find(({ port, service }) => port.number === number && !service.keepsGatewayPorts)
    ?.number ?? number;

export interface RefusedCredential extends CredentialRefusal {
  /** Of the Secret, `namespace/name`. */
  readonly credential: string;
}

/** Of a proxy that has proven its identity; others get no credential, whatever it is. */
export function refusedCredentials(of: Of): readonly RefusedCredential[] {
  const { mesh, member } = of;
  const { proven } = member;
  if (proven === undefined) return [];
  const isGateway = member.type === 'router';
  const servers = isGateway ? gatewaysOf(of).flatMap(({ spec }) => spec.servers) : [];
  // A rule without a selector has none for sidecars, which is a warning at the rule.
  const rules = mesh.rules.DestinationRule.filter(
    (rule) => (isGateway || rule.spec.workloadSelector !== undefined) && isVisible(rule, member, mesh.settings),
  );
  const names = new Set([
    ...servers.flatMap(({ tls }) => (tls && credentialNameOf(tls)) ?? []),
    ...rules.flatMap(({ spec }) => clientTlsOf(spec).flatMap((tls) => clientCredentialOf(tls) ?? [])),
  ]);
  return [...names].flatMap((name) => {
    const refusal = mesh.credentialAccess.refusal(name, proven);
    return refusal === undefined ? [] : [{ credential: `${proven.namespace}/${name}`, ...refusal }];
  });
}
