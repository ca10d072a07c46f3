/** TLS of clusters and listeners, with certificates in files that the proxy reads; secrets by name need identities of the mesh. */
import { isHttp, isHttp2, type ServicePort } from '../model/model.ts';
import type { PortPolicy } from '../rules/destination-rule.ts';
import type { GatewayServer } from '../rules/gateway.ts';
import { any, compact, type Json } from './parts.ts';

const PACKAGE = 'envoy.extensions.transport_sockets.tls.v3';
const socket = (context: 'UpstreamTlsContext' | 'DownstreamTlsContext', fields: Json): Json => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: any(`${PACKAGE}.${context}`, fields),
});

interface Credentials {
  readonly alpn: readonly string[];
  readonly parameters: Json;
  /** Files, in PEM; undefined: none is presented, or nothing is verified. */
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly ca: string | undefined;
  /** One of them must stand in the certificate of the peer; empty: any that `ca` signed. */
  readonly subjectAltNames: readonly string[];
}

const commonContext = ({ alpn, parameters, certificate, key, ca, subjectAltNames }: Credentials): Json =>
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
        : compact({
            trusted_ca: { filename: ca },
            match_typed_subject_alt_names: subjectAltNames.flatMap((exact) =>
              ['URI', 'DNS'].map((san) => ({ san_type: san, matcher: { exact } })),
            ),
          }),
  });

/** `undefined`: cleartext. */
export function upstreamSocket(host: string, { protocol }: ServicePort, { tls }: PortPolicy): Json | undefined {
  if (tls === undefined || (tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL')) return undefined;
  return socket(
    'UpstreamTlsContext',
    compact({
      sni: tls.sni ?? (host.startsWith('*') ? undefined : host),
      common_tls_context: commonContext({
        alpn: isHttp2(protocol) ? ['h2'] : isHttp(protocol) ? ['http/1.1'] : [],
        parameters: { tls_maximum_protocol_version: 'TLSv1_3' }, // Envoy as a client speaks 1.2 at most by itself
        certificate: tls.clientCertificate,
        key: tls.privateKey,
        ca: tls.caCertificates,
        subjectAltNames: tls.subjectAltNames,
      }),
    }),
  );
}

export function serverSocket(tls: NonNullable<GatewayServer['tls']>, alpn: readonly string[]): Json {
  const isMutual = tls.mode === 'MUTUAL' || tls.mode === 'OPTIONAL_MUTUAL';
  return socket('DownstreamTlsContext', {
    common_tls_context: commonContext({
      alpn,
      parameters: compact({
        tls_minimum_protocol_version: tls.minProtocolVersion,
        tls_maximum_protocol_version: tls.maxProtocolVersion,
        cipher_suites: [...tls.cipherSuites],
      }),
      certificate: tls.serverCertificate,
      key: tls.privateKey,
      ca: isMutual ? tls.caCertificates : undefined,
      subjectAltNames: tls.subjectAltNames,
    }),
    require_client_certificate: tls.mode === 'MUTUAL',
  });
}
