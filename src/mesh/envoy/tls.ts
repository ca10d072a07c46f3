/** TLS of clusters and gateways, by certificates in files that the proxy reads. */
import type { ClientTls } from '../rules/destination-rule.ts';
import { any, compact, type Json } from './parts.ts';

const PACKAGE = 'envoy.extensions.transport_sockets.tls.v3';
export const tlsSocket = (context: 'UpstreamTlsContext' | 'DownstreamTlsContext', fields: Json): Json => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: any(`${PACKAGE}.${context}`, fields),
});

export interface CertificateFiles {
  readonly alpn: readonly string[];
  readonly parameters: Json;
  /** Files, in PEM; undefined: none is presented, or nothing is verified. */
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly ca: string | undefined;
  /** One of them must stand in the certificate of the peer; empty: any that `ca` signed. */
  readonly subjectAltNames: readonly string[];
}

export const commonContext = ({ alpn, parameters, certificate, key, ca, subjectAltNames }: CertificateFiles): Json =>
  compact({
    alpn_protocols: [...alpn],
    tls_params: Object.keys(parameters).length === 0 ? undefined : parameters,
    tls_certificates:
      certificate === undefined || key === undefined
        ? []
        : [{ certificate_chain: { filename: certificate }, private_key: { filename: key } }],
    validation_context:
      ca === undefined
        ? undefined
        : compact({ trusted_ca: { filename: ca }, match_typed_subject_alt_names: namesOf(subjectAltNames) }),
  });

/** One of them must stand in the certificate of the peer, as a URI or as a name of DNS. */
export const namesOf = (subjectAltNames: readonly string[]): Json[] =>
  subjectAltNames.flatMap((exact) => ['URI', 'DNS'].map((san) => ({ san_type: san, matcher: { exact } })));

/** By a rule of mode SIMPLE or MUTUAL. Without names of its own the certificate must be of the host, as a public authority signs any. */
export function filesSocket(host: string, alpn: string | undefined, tls: ClientTls): Json {
  const serverName = tls.sni ?? (host.startsWith('*') ? undefined : host);
  return tlsSocket(
    'UpstreamTlsContext',
    compact({
      sni: serverName,
      common_tls_context: commonContext({
        alpn: alpn === undefined ? [] : [alpn],
        parameters: { tls_maximum_protocol_version: 'TLSv1_3' }, // Envoy as a client speaks 1.2 at most by itself
        certificate: tls.clientCertificate,
        key: tls.privateKey,
        ca: tls.caCertificates,
        subjectAltNames:
          tls.subjectAltNames.length === 0 && serverName !== undefined ? [serverName] : tls.subjectAltNames,
      }),
    }),
  );
}
