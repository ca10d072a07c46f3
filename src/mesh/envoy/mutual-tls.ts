/**
 * Mutual TLS between members of the mesh, by the certificates that their identities have.
 * **In**: what a proxy sees of the mesh. **Out**: TLS of the filter chains of one of its ports, and the transport sockets of its clusters.
 * **Fails**: never; without a certificate a port that must be encrypted is closed.
 */
import type { Service, ServicePort } from '../model/model.ts';
import { mtlsModeAt } from '../resolve/mutual-tls.ts';
import type { Scope } from '../resolve/scope.ts';
import type { ClientTls } from '../rules/destination-rule.ts';
import type { EndpointAt } from './endpoints.ts';
import { any, compact, type Json, secretFrom } from './parts.ts';
import { clientSocket } from './client-tls.ts';
import { tlsSocket } from './tls.ts';

/** Names of secrets: the certificate of the proxy's own workload, and the roots that it trusts. */
const CERTIFICATE = 'default';
const ROOTS = 'ROOTCA';

/** Istio's; a client that offers one of them means its identity, and no TLS of the application's own. */
const ISTIO_ALPN = ['istio', 'istio-peer-exchange', 'istio-http/1.0', 'istio-http/1.1', 'istio-h2'];

// Envoy as a client speaks 1.2 at most by itself.
const VERSIONS: Json = { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' };

type Secrets = NonNullable<Scope['member']['secrets']>;

const commonContext = (secrets: Secrets, alpn: readonly string[], names: readonly Json[]): Json =>
  compact({
    alpn_protocols: [...alpn],
    tls_params: VERSIONS,
    tls_certificate_sds_secret_configs: [secretFrom(secrets, CERTIFICATE)],
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: names.map((matcher) => ({ san_type: 'URI', matcher })),
      },
      validation_context_sds_secret_config: secretFrom(secrets, ROOTS),
    },
  });

/** Of any identity of the mesh. */
const memberPrefixes = ({ mesh }: Scope): readonly Json[] =>
  trustDomains(mesh.settings.identities).map((trustDomain) => ({ prefix: `spiffe://${trustDomain}/` }));

const trustDomains = (identities: Scope['mesh']['settings']['identities']): readonly string[] =>
  identities === undefined ? [] : [identities.trustDomain, ...identities.trustDomainAliases];

/** Of a server that lets any member in; `undefined`: the proxy gets no certificate. */
export function memberContext(alpn: readonly string[], scope: Scope, from?: 'TLSv1_3'): Json | undefined {
  const { mesh, member } = scope;
  if (mesh.settings.identities === undefined || member.secrets === undefined) return undefined;
  const context = commonContext(member.secrets, alpn, memberPrefixes(scope));
  return from === undefined ? context : { ...context, tls_params: { ...VERSIONS, tls_minimum_protocol_version: from } };
}

// ---------------------------------------------------------- the server's side

/** One filter chain of a port: which connections it takes, and how they are encrypted. */
export interface ChainTls {
  readonly match: Json;
  readonly transport_socket?: Json;
  /** They are closed. */
  readonly isRefused?: true;
}

const TLS: Json = { transport_protocol: 'tls' };
const PLAINTEXT: Json = { transport_protocol: 'raw_buffer' };
const HTTP_ALPN = ['h2', 'http/1.1'];

/** `number` 0: any port that has no mode of its own. */
export function inboundTls(number: number, isForHttp: boolean, scope: Scope): readonly ChainTls[] {
  const { mesh, member } = scope;
  const mode = mesh.settings.identities === undefined ? 'DISABLE' : mtlsModeAt(mesh, member, number);
  if (mode === 'DISABLE') return [{ match: {} }];
  const common_tls_context = memberContext(isForHttp ? HTTP_ALPN : [], scope, mesh.settings.mutualTlsFrom);
  if (common_tls_context === undefined)
    return mode === 'PERMISSIVE' ? [{ match: {} }] : [{ match: {}, isRefused: true }];
  const transport_socket = tlsSocket('DownstreamTlsContext', { common_tls_context, require_client_certificate: true });
  if (mode === 'STRICT') return [{ match: TLS, transport_socket }];
  if (isForHttp) return [{ match: TLS, transport_socket }, { match: PLAINTEXT }];
  // The application may speak TLS of its own, which clients outside of the mesh begin.
  return [
    { match: { ...TLS, application_protocols: ISTIO_ALPN }, transport_socket },
    { match: TLS },
    { match: PLAINTEXT },
  ];
}

// ---------------------------------------------------------- the client's side

/** Where a cluster leads. */
export interface Upstream {
  readonly service: Service;
  readonly port: ServicePort;
  readonly subset: string | undefined;
  readonly endpoints: readonly EndpointAt[];
  /** The client chooses the endpoint by its address, so Envoy does not know which it is. */
  readonly isByAddress: boolean;
  readonly alpn: 'h2' | 'http/1.1' | undefined;
}

export const RAW_BUFFER: Json = {
  name: 'envoy.transport_sockets.raw_buffer',
  typed_config: any('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer'),
};

/** The fields of a cluster that say how its connections are encrypted; or a sentence that says why no call may be made. */
export function upstreamTls(to: Upstream, tls: ClientTls | undefined, scope: Scope): Json | string {
  const { secrets } = scope.member;
  const hasIdentities = scope.mesh.settings.identities !== undefined;
  if (tls === undefined) return hasIdentities && secrets !== undefined ? automaticTls(to, secrets, scope) : {};
  switch (tls.mode) {
    case 'DISABLE':
      return {};
    case 'ISTIO_MUTUAL':
      if (!hasIdentities) return {};
      return secrets === undefined ? NO_CERTIFICATE : { transport_socket: memberSocket(to, secrets, scope, tls) };
    default: {
      const socket = clientSocket(to, tls, scope);
      return typeof socket === 'string' ? socket : { transport_socket: socket };
    }
  }
}

const NO_CERTIFICATE = 'the proxy gets no certificate, as neither an agent nor its stream has one for it';

/** Mutual TLS to each endpoint that takes it, and cleartext to others. */
function automaticTls(to: Upstream, secrets: Secrets, scope: Scope): Json {
  const { service, endpoints, isByAddress } = to;
  if (service.isExternal || !endpoints.some((one) => one.takesMutualTls)) return {};
  const transport_socket = memberSocket(to, secrets, scope);
  if (isByAddress) return endpoints.every((one) => one.takesMutualTls) ? { transport_socket } : {};
  return {
    transport_socket_matches: [
      { name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transport_socket },
      { name: 'tlsMode-disabled', match: {}, transport_socket: RAW_BUFFER },
    ],
  };
}

function memberSocket(
  { service, port, subset, alpn }: Upstream,
  secrets: Secrets,
  scope: Scope,
  tls?: ClientTls,
): Json {
  const stated = tls?.subjectAltNames ?? [];
  const names = stated.length > 0 ? stated.map((exact) => ({ exact })) : accountNames(service, scope);
  return tlsSocket('UpstreamTlsContext', {
    sni: tls?.sni ?? `outbound_.${port.number}_.${subset ?? ''}_.${service.host}`,
    common_tls_context: commonContext(secrets, ['istio', ...(alpn === undefined ? [] : [alpn])], names),
  });
}

/**
 * The identities of the workloads behind a service, whatever port and subset: without this test any member could pose as any service. Of
 * those that DNS knows and nobody describes it may be any.
 */
function accountNames({ host, resolution, subjectAltNames }: Service, scope: Scope): readonly Json[] {
  const { endpoints, settings } = scope.mesh;
  const known = (endpoints.get(host) ?? []).filter(
    ({ serviceAccount }) => serviceAccount !== undefined || resolution === 'endpoints',
  );
  const stated = subjectAltNames.map((exact) => ({ exact }));
  if (known.length === 0) return stated.length > 0 ? stated : memberPrefixes(scope);
  const accounts = new Set(
    known.map(({ namespace, serviceAccount = 'default' }) => `ns/${namespace}/sa/${serviceAccount}`),
  );
  return [
    ...stated,
    ...trustDomains(settings.identities).flatMap((trustDomain) =>
      [...accounts].toSorted().map((account) => ({ exact: `spiffe://${trustDomain}/${account}` })),
    ),
  ];
}
