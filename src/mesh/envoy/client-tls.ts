/**
 * TLS to servers that have certificates of their own, as a DestinationRule of mode SIMPLE or MUTUAL asks for it.
 * **In**: where a cluster leads, the rule's settings, and the proxy. **Out**: a transport socket, and options of HTTP. **Fails**: with a
 * sentence that says why no call may be made.
 */
import type { Scope } from '../resolve/scope.ts';
import type { ClientTls } from '../rules/destination-rule.ts';
import type { Upstream } from './mutual-tls.ts';
import type { Json } from './parts.ts';
import { commonContext, fileCertificate, fileValidation, type PeerChecks, tlsSocket } from './tls.ts';

type To = Pick<Upstream, 'service' | 'alpn'>;

export function clientSocket(to: To, tls: ClientTls, { member }: Scope): Json | string {
  const validation = validationOf(tls, { subjectAltNames: serverNames(to, tls), crl: tls.caCrl }, member.systemRoots);
  if (typeof validation === 'string') return validation;
  const sni = serverName(to, tls);
  return tlsSocket('UpstreamTlsContext', {
    ...(sni === undefined ? {} : { sni }),
    common_tls_context: commonContext(
      {
        alpn: to.alpn === undefined ? [] : [to.alpn],
        parameters: { tls_maximum_protocol_version: 'TLSv1_3' }, // Envoy as a client speaks 1.2 at most by itself
      },
      certificateOf(tls),
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

const certificateOf = ({ mode, clientCertificate, privateKey }: ClientTls): Json =>
  mode === 'MUTUAL' && clientCertificate !== undefined && privateKey !== undefined
    ? fileCertificate(clientCertificate, privateKey)
    : {};

function validationOf(
  { insecureSkipVerify, caCertificates }: ClientTls,
  checks: PeerChecks,
  systemRoots: string | undefined,
): Json | string {
  if (insecureSkipVerify === true) return {};
  const roots = caCertificates ?? systemRoots;
  return roots === undefined ? NO_ROOTS : fileValidation(roots, checks);
}

const NO_ROOTS =
  "the rule names no caCertificates, and the node metadata of the proxy no SYSTEM_ROOTS, a file of its operating system's CA certificates";
