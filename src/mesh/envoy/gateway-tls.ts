/**
 * TLS of the servers of a gateway: by files that the proxy reads, by Secrets that it gets by name, or by its identity.
 * **In**: a server's TLS settings, and the proxy. **Out**: a transport socket, and the credentials that such sockets name. **Fails**:
 * never; without a certificate a server is left out, since Envoy opens no listener while one secret is missing.
 */
import { credentialNameOf } from '../model/credential-access.ts';
import type { Scope } from '../resolve/scope.ts';
import type { ServerTls } from '../rules/gateway.ts';
import { caName, certificateName, credentialCaOf, credentialOf, type Used } from './credentials.ts';
import { memberContext } from './mutual-tls.ts';
import { compact, type Json } from './parts.ts';
import {
  checksOfPeer,
  commonContext,
  fileCertificate,
  fileValidation,
  namedCertificate,
  namedValidation,
  type PeerChecks,
  tlsSocket,
} from './tls.ts';

/** `undefined`: the proxy has no certificate for it. */
export function serverSocket(tls: ServerTls, alpn: readonly string[], scope: Scope): Json | undefined {
  const common =
    tls.mode === 'ISTIO_MUTUAL'
      ? ownContext(tls, alpn, scope)
      : tls.credentialName === undefined
        ? filesContext(tls, alpn)
        : credentialContext(tls.credentialName, tls, alpn, scope);
  if (common === undefined) return undefined;
  return tlsSocket('DownstreamTlsContext', {
    common_tls_context: common,
    require_client_certificate: tls.mode === 'MUTUAL' || tls.mode === 'ISTIO_MUTUAL',
  });
}

const parametersOf = (tls: ServerTls): Json =>
  compact({
    tls_minimum_protocol_version: versionOf(tls.minProtocolVersion),
    tls_maximum_protocol_version: versionOf(tls.maxProtocolVersion),
    cipher_suites: [...tls.cipherSuites],
  });

/** Envoy writes `TLSv1_2` where Istio writes `TLSV1_2`. */
const versionOf = (name: string | undefined): string | undefined => name?.replace('TLSV', 'TLSv');

const checksOf = ({ subjectAltNames, caCrl, verifyCertificateSpki, verifyCertificateHash }: ServerTls): PeerChecks => ({
  subjectAltNames,
  crl: caCrl,
  spki: verifyCertificateSpki,
  hash: verifyCertificateHash,
});

const verifiesClients = ({ mode }: ServerTls): boolean => mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL';

/** By the identity of the gateway; without names of clients it lets any member in. */
function ownContext(tls: ServerTls, alpn: readonly string[], scope: Scope): Json | undefined {
  const context = memberContext(alpn, scope);
  if (context === undefined) return undefined;
  const { tls_params: versions, combined_validation_context: validation } = context as Readonly<Record<string, Json>>;
  return {
    ...context,
    tls_params: { ...versions, ...parametersOf(tls) },
    combined_validation_context: {
      ...validation,
      default_validation_context: {
        ...(validation?.['default_validation_context'] as Json),
        ...checksOfPeer(checksOf(tls)),
      },
    },
  };
}

function filesContext(tls: ServerTls, alpn: readonly string[]): Json {
  const { serverCertificate: chain, privateKey: key, caCertificates: ca } = tls;
  return commonContext(
    { alpn, parameters: parametersOf(tls) },
    chain === undefined || key === undefined ? {} : fileCertificate(chain, key),
    verifiesClients(tls) && ca !== undefined ? fileValidation(ca, checksOf(tls)) : {},
  );
}

function credentialContext(name: string, tls: ServerTls, alpn: readonly string[], scope: Scope): Json | undefined {
  if (typeof credentialOf(name, scope) === 'string') return undefined;
  if (verifiesClients(tls) && typeof credentialCaOf(name, scope) === 'string') return undefined;
  return commonContext(
    { alpn, parameters: parametersOf(tls) },
    namedCertificate(certificateName(name)),
    verifiesClients(tls) ? namedValidation(caName(name), checksOf(tls)) : {},
  );
}

/** Of the servers that a gateway has. */
export function serverCredentials(servers: readonly { readonly tls?: ServerTls | undefined }[]): Used {
  const named = servers.flatMap(({ tls }) => (tls === undefined ? [] : [{ tls, name: credentialNameOf(tls) }]));
  return {
    certificates: new Set(named.flatMap(({ name }) => name ?? [])),
    authorities: new Set(named.flatMap(({ tls, name }) => (name !== undefined && verifiesClients(tls) ? [name] : []))),
  };
}
