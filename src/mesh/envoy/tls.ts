/** Parts of TLS, by certificates in files that the proxy reads, or by secrets that it gets by name. */
import { any, compact, type Json, secretFrom } from './parts.ts';

const PACKAGE = 'envoy.extensions.transport_sockets.tls.v3';
export const tlsSocket = (context: 'UpstreamTlsContext' | 'DownstreamTlsContext', fields: Json): Json => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: any(`${PACKAGE}.${context}`, fields),
});

/** `parts`: what is presented, and how the peer is verified. */
export const commonContext = (
  { alpn, parameters }: { readonly alpn: readonly string[]; readonly parameters: Json },
  ...parts: readonly Json[]
): Json =>
  compact({
    alpn_protocols: [...alpn],
    tls_params: Object.keys(parameters).length === 0 ? undefined : parameters,
    ...Object.assign({}, ...parts),
  });

// ---------------------------------------------------------- what is presented

/** In PEM. */
export const fileCertificate = (chain: string, key: string): Json => ({
  tls_certificates: [{ certificate_chain: { filename: chain }, private_key: { filename: key } }],
});

export const namedCertificate = (name: string): Json => ({
  tls_certificate_sds_secret_configs: [secretFrom('ads', name)],
});

// ---------------------------------------------------------- how the peer is verified

/** Beside its signature. */
export interface PeerChecks {
  /** One of them must stand in its certificate; none: any that the CA has signed. */
  readonly subjectAltNames: readonly string[];
  /** A file of revoked certificates. */
  readonly crl?: string | undefined;
  /** One of all these digests must be that of the certificate, or of its key. */
  readonly spki?: readonly string[];
  readonly hash?: readonly string[];
}

/** `ca`: a file in PEM. */
export const fileValidation = (ca: string, checks: PeerChecks): Json => ({
  validation_context: { trusted_ca: { filename: ca }, ...checksOfPeer(checks) },
});

export const namedValidation = (name: string, checks: PeerChecks): Json => ({
  combined_validation_context: {
    default_validation_context: checksOfPeer(checks),
    validation_context_sds_secret_config: secretFrom('ads', name),
  },
});

/** A name is that of a URI, or of DNS. */
export const checksOfPeer = ({ subjectAltNames, crl, spki = [], hash = [] }: PeerChecks): Json =>
  compact({
    match_typed_subject_alt_names: subjectAltNames.flatMap((exact) =>
      ['URI', 'DNS'].map((san) => ({ san_type: san, matcher: { exact } })),
    ),
    crl: crl === undefined ? undefined : { filename: crl },
    verify_certificate_spki: [...spki],
    verify_certificate_hash: [...hash],
  });
