/**
 * TLS of the servers of a gateway: by files that the proxy reads, by Secrets that it gets by name, or by its identity.
 * **In**: a server's TLS settings, and the proxy. **Out**: a transport socket, and the secrets that such sockets name. **Fails**: never; without
 * a certificate a server is left out, since Envoy opens no listener while one secret is missing.
 */
import { SECRET } from '../../xds/index.ts';
import { credentialNameOf } from '../model/credential-access.ts';
import type { Credential } from '../model/credentials.ts';
import { originText } from '../model/model.ts';
import type { Scope } from '../resolve/scope.ts';
import type { ServerTls } from '../rules/gateway.ts';
import { made, type Made } from './made.ts';
import { memberContext } from './mutual-tls.ts';
import { compact, type Json } from './parts.ts';
import {
  commonContext,
  fileCertificate,
  fileValidation,
  namedCertificate,
  namedValidation,
  type PeerChecks,
  tlsSocket,
} from './tls.ts';

/** Istio's names of secrets: of the certificate, and of the CA of clients. */
const certificateName = (credential: string): string => `kubernetes://${credential}`;
const caName = (credential: string): string => `kubernetes://${credential}-cacert`;

/** `undefined`: the proxy has no certificate for it. */
export function serverSocket(tls: ServerTls, alpn: readonly string[], scope: Scope): Json | undefined {
  const common =
    tls.mode === 'ISTIO_MUTUAL'
      ? memberContext(alpn, scope)
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

const checksOf = ({ subjectAltNames, caCrl }: ServerTls): PeerChecks => ({ subjectAltNames, crl: caCrl });

const verifiesClients = ({ mode }: ServerTls): boolean => mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL';

function filesContext(tls: ServerTls, alpn: readonly string[]): Json {
  const { serverCertificate: chain, privateKey: key, caCertificates: ca } = tls;
  return commonContext(
    { alpn, parameters: parametersOf(tls) },
    chain === undefined || key === undefined ? {} : fileCertificate(chain, key),
    verifiesClients(tls) && ca !== undefined ? fileValidation(ca, checksOf(tls)) : {},
  );
}

function credentialContext(name: string, tls: ServerTls, alpn: readonly string[], scope: Scope): Json | undefined {
  const credential = credentialOf(name, scope);
  if (credential === undefined || (verifiesClients(tls) && credential.ca === undefined)) return undefined;
  return commonContext(
    { alpn, parameters: parametersOf(tls) },
    namedCertificate(certificateName(name)),
    verifiesClients(tls) ? namedValidation(caName(name), checksOf(tls)) : {},
  );
}

/** `undefined`: there is none of use, or the proxy has not proven that it may have it. */
const credentialOf = (
  name: string,
  { mesh, member: { proven } }: Pick<Scope, 'mesh' | 'member'>,
): Credential | undefined =>
  proven === undefined || mesh.credentialAccess.refusal(name, proven) !== undefined
    ? undefined
    : mesh.credential(name, proven.namespace);

/** Of the servers that a gateway has, for its own namespace alone. */
export function credentialSecrets(servers: readonly { readonly tls?: ServerTls | undefined }[], scope: Scope): Made[] {
  const names = new Set(servers.flatMap(({ tls }) => (tls && credentialNameOf(tls)) ?? []));
  return [...names].flatMap((name) => {
    const credential = credentialOf(name, scope);
    if (credential === undefined) return [];
    const { certificate, key, ca } = credential;
    const origin = originText(credential.origin);
    const pair = { certificate_chain: { inline_string: certificate }, private_key: { inline_string: key } };
    return [
      made(SECRET, { name: certificateName(name), tls_certificate: pair }, origin),
      ...(ca === undefined
        ? []
        : [made(SECRET, { name: caName(name), validation_context: { trusted_ca: { inline_string: ca } } }, origin)]),
    ];
  });
}
