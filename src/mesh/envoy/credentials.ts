/**
 * Credentials of Secrets, as Envoy gets them by name: those that the servers of a gateway, and the clusters of any proxy, may have.
 * **In**: names, and the proxy. **Out**: secrets, and the names by which sockets ask for them. **Fails**: with a sentence that says why the
 * proxy has no such credential.
 */
import { SECRET } from '../../xds/index.ts';
import { caOf } from '../model/credential-access.ts';
import type { Authorities, Credential } from '../model/credentials.ts';
import { originText } from '../model/model.ts';
import type { Scope } from '../resolve/scope.ts';
import { made, type Made } from './made.ts';

type Of = Pick<Scope, 'mesh' | 'member'>;

/** Istio's names of secrets: of the certificate, and of the authorities of its peers. */
export const certificateName = (credential: string): string => `kubernetes://${credential}`;
export const caName = (credential: string): string => `kubernetes://${credential}-cacert`;

export const credentialOf = (name: string, { mesh, member: { proven } }: Of): Credential | string => {
  if (proven === undefined) return NOT_PROVEN;
  const refusal = mesh.credentialAccess.refusal(name, proven);
  return refusal?.why ?? mesh.credential(name, proven.namespace) ?? noneOf(name, proven);
};

/** Whoever may have the certificate may have its authorities. */
export const credentialCaOf = (name: string, { mesh, member: { proven } }: Of): Authorities | string => {
  if (proven === undefined) return NOT_PROVEN;
  const refusal = mesh.credentialAccess.refusal(caOf(name), proven);
  if (refusal !== undefined && mesh.credentialAccess.refusal(name, proven) !== undefined) return refusal.why;
  return mesh.credentialCa(name, proven.namespace) ?? noneOf(name, proven);
};

const NOT_PROVEN = 'credentials go to proxies alone that have proven their identity, at the secure port';
const noneOf = (name: string, { namespace }: { readonly namespace: string }): string =>
  `no Secret ${namespace}/${name} is of use for it`;

/** The parts of credentials that a proxy uses; those that it may not have, or that do not exist, are left out. */
export interface Used {
  readonly certificates: ReadonlySet<string>;
  readonly authorities: ReadonlySet<string>;
}

export function credentialSecrets({ certificates, authorities }: Used, of: Of): readonly Made[] {
  const own = [...certificates].flatMap((name) => {
    const credential = credentialOf(name, of);
    if (typeof credential === 'string') return [];
    const { certificate, key, origin } = credential;
    const pair = { certificate_chain: { inline_string: certificate }, private_key: { inline_string: key } };
    return [made(SECRET, { name: certificateName(name), tls_certificate: pair }, originText(origin))];
  });
  const ofPeers = [...authorities].flatMap((name) => {
    const found = credentialCaOf(name, of);
    if (typeof found === 'string') return [];
    const context = { trusted_ca: { inline_string: found.ca } };
    return [made(SECRET, { name: caName(name), validation_context: context }, originText(found.origin))];
  });
  return [...own, ...ofPeers];
}
