/**
 * TLS to servers that have certificates of their own, as a DestinationRule of mode SIMPLE or MUTUAL asks for it.
 * **In**: where a cluster leads, the rule's settings, and the proxy. **Out**: a transport socket, and options of HTTP. **Fails**: with a
 * sentence that says why no call may be made.
 */
import type { Scope } from '../resolve/scope.ts';
import type { ClientTls } from '../rules/destination-rule.ts';
import { caName, certificateName, credentialCaOf, credentialOf, type Used } from './credentials.ts';
import type { Upstream } from './mutual-tls.ts';
import type { Json } from './parts.ts';
import {
  commonContext,
  fileCertificate,
  fileValidation,
  namedCertificate,
  namedValidation,
  type PeerChecks,
  tlsSocket,
} from './tls.ts';

type To = Pick<Upstream, 'service' | 'alpn'>;

export function clientSocket(to: To, tls: ClientTls, scope: Scope): Json | string {
  const validation = validationOf(tls, { subjectAltNames: serverNames(to, tls), crl: tls.caCrl }, scope);
  if (typeof validation === 'string') return validation;
  const certificate = certificateOf(tls, scope);
  if (typeof certificate === 'string') return certificate;
  const sni = serverName(to, tls);
  return tlsSocket('UpstreamTlsContext', {
    ...(sni === undefined ? {} : { sni }),
    common_tls_context: commonContext(
      {
        alpn: to.alpn === undefined ? [] : [to.alpn],
        parameters: { tls_maximum_protocol_version: 'TLSv1_3' }, // Envoy as a client speaks 1.2 at most by itself
      },
      certificate,
      validation,
    ),
  });
}

/** Of a host with a wildcard each call of HTTP names its server. */
export function namedByCalls(to: To, tls: ClientTls | undefined): Json | undefined {
  if (tls === undefined || tls.mode === 'DISABLE' || tls.mode === 'ISTIO_MUTUAL') return undefined;
  if (serverName(to, tls) !== undefined) return undefined;
  const isVerified = tls.insecureSkipVerify !== true && serverNames(to, tls).length === 0;
  return { auto_sni: true, ...(isVerified ? { auto_san_validation: true } : {}) };
}

const serverName = ({ service: { host } }: To, { sni }: ClientTls): string | undefined =>
  sni ?? (host.startsWith('*') ? undefined : host);

/** A public authority signs certificates of any host, so the certificate must be of the one that is called. */
function serverNames(to: To, tls: ClientTls): readonly string[] {
  const stated = tls.subjectAltNames.length > 0 ? tls.subjectAltNames : to.service.subjectAltNames;
  const name = serverName(to, tls);
  return stated.length > 0 || name === undefined ? stated : [name];
}

function certificateOf(
  { mode, clientCertificate, privateKey, credentialName: name }: ClientTls,
  scope: Scope,
): Json | string {
  if (mode !== 'MUTUAL') return {};
  if (name !== undefined) {
    const credential = credentialOf(name, scope);
    return typeof credential === 'string' ? credential : namedCertificate(certificateName(name));
  }
  return clientCertificate === undefined || privateKey === undefined
    ? {}
    : fileCertificate(clientCertificate, privateKey);
}

function validationOf(
  { insecureSkipVerify, caCertificates, credentialName: name }: ClientTls,
  checks: PeerChecks,
  scope: Scope,
): Json | string {
  if (insecureSkipVerify === true) return {};
  if (name !== undefined) {
    const ca = credentialCaOf(name, scope);
    return typeof ca === 'string' ? ca : namedValidation(caName(name), checks);
  }
  const roots = caCertificates ?? scope.member.systemRoots;
  return roots === undefined ? NO_ROOTS : fileValidation(roots, checks);
}

const NO_ROOTS =
  "the rule names no caCertificates, and the node metadata of the proxy no SYSTEM_ROOTS, a file of its operating system's CA certificates";

/** By rules of TLS. */
export function clientCredentials(all: readonly ClientTls[]): Used {
  const named = all.filter(({ credentialName, mode }) => credentialName !== undefined && mode !== 'DISABLE');
  const namesOf = (tls: readonly ClientTls[]): Set<string> =>
    new Set(tls.flatMap(({ credentialName }) => credentialName ?? []));
  return {
    certificates: namesOf(named.filter(({ mode }) => mode === 'MUTUAL')),
    authorities: namesOf(named.filter(({ insecureSkipVerify }) => insecureSkipVerify !== true)),
  };
}
