/**
 * The Gateways of a proxy.
 * **In**: the mesh, and a gateway's proxy. **Out**: the Gateways that select it, and those of their credentials that it may not have, with
 * the reason. **Fails**: never.
 */
import { credentialNameOf, type CredentialRefusal } from '../model/credential-access.ts';
import { hasLabels } from '../model/mesh.ts';
import type { MeshObject } from '../sources/objects.ts';
import type { Scope } from './scope.ts';

type Of = Pick<Scope, 'mesh' | 'member'>;

/** By the labels that the proxy says it has. */
export const gatewaysOf = ({ mesh, member }: Of): readonly MeshObject<'Gateway'>[] =>
  mesh.rules.Gateway.filter(({ spec }) => hasLabels(member.labels, spec.selector));

export interface RefusedCredential extends CredentialRefusal {
  /** Of the Secret, `namespace/name`. */
  readonly credential: string;
}

/** Of a proxy that has proven its identity; others get no credential, whatever it is. */
export function refusedCredentials(of: Of): readonly RefusedCredential[] {
  const { mesh, member } = of;
  const { proven } = member;
  if (member.type !== 'router' || proven === undefined) return [];
  const servers = gatewaysOf(of).flatMap(({ spec }) => spec.servers);
  const names = new Set(servers.flatMap(({ tls }) => (tls && credentialNameOf(tls)) ?? []));
  return [...names].flatMap((name) => {
    const refusal = mesh.credentialAccess.refusal(name, proven);
    return refusal === undefined ? [] : [{ credential: `${proven.namespace}/${name}`, ...refusal }];
  });
}
