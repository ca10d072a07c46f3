/**
 * The filter of a gateway that verifies tokens for routes by their claims.
 * **In**: what a gateway sees of the mesh. **Out**: the filter, and clusters of the servers of keys. **Fails**: never; a token whose keys
 * cannot be had is as none.
 *
 * It refuses no call and changes none: that is up to Sluice, which gets the token as it came.
 */
import { isIPv6 } from 'node:net';
import { CLUSTER } from '../../xds/index.ts';
import { isHttp, originText } from '../model/model.ts';
import { routingTokens } from '../resolve/token-routing.ts';
import type { Scope } from '../resolve/scope.ts';
import { type JwtRule, keysAt } from '../rules/request-authentication.ts';
import { type Made, made } from './made.ts';
import { outboundCluster } from './names.ts';
import { any, compact, CONNECT_MS, type Json, madeOf, seconds, socketAddress } from './parts.ts';
import { commonContext, fileValidation, tlsSocket } from './tls.ts';

/** The namespace of its dynamic metadata, and the key of the claims there: Istio's. */
export const TOKENS = { filter: 'envoy.filters.http.jwt_authn', key: 'payload' } as const;

/** `undefined`: no route asks for claims. */
export function tokenFilter(scope: Scope): Json | undefined {
  const rules = routingTokens(scope)
    .flatMap(({ spec }) => spec.jwtRules)
    .filter(hasKeys);
  if (rules.length === 0) return undefined;
  const providers = Object.fromEntries(rules.map((rule, at) => [`origins-${at}`, providerOf(rule, scope)]));
  const names = Object.keys(providers).map((provider_name): Json => ({ provider_name }));
  return {
    name: TOKENS.filter,
    typed_config: any('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', {
      providers,
      rules: [
        {
          match: { prefix: '/' },
          requires: { requires_any: { requirements: [...names, { allow_missing_or_failed: {} }] } },
        },
      ],
      bypass_cors_preflight: true,
    }),
  };
}

/** Proxies look for no keys at an issuer that only names itself. */
export const hasKeys = (rule: JwtRule): boolean => (rule.jwks ?? keysAt(rule)) !== undefined;

const KEYS_WITHIN_MS = 5000;

/** Of which the text is a list of words, as everywhere in Istio. */
const WORDS = ['permission', 'scope'];

function providerOf(rule: JwtRule, scope: Scope): Json {
  const { issuer, audiences, jwks, fromHeaders, fromParams, fromCookies, spaceDelimitedClaims } = rule;
  const { timeout = KEYS_WITHIN_MS } = rule;
  const uri = keysAt(rule) ?? '';
  return compact({
    issuer,
    audiences,
    forward: true,
    payload_in_metadata: TOKENS.key,
    normalize_payload_in_metadata: { space_delimited_claims: [...new Set([...WORDS, ...spaceDelimitedClaims])].sort() },
    clear_route_cache: true,
    from_headers: fromHeaders.map(({ name, prefix }) => compact({ name, value_prefix: prefix })),
    from_params: fromParams,
    from_cookies: fromCookies,
    ...(jwks === undefined
      ? {
          remote_jwks: {
            http_uri: { uri, cluster: keyServer(uri, scope).cluster, timeout: seconds(timeout) },
            cache_duration: seconds(300_000),
          },
        }
      : { local_jwks: { inline_string: jwks } }),
  });
}

/** Servers of keys that are no services of the mesh. */
export function keyClusters(scope: Scope): readonly Made[] {
  return routingTokens(scope).flatMap(({ origin, spec }) =>
    spec.jwtRules.flatMap((rule) => {
      const uri = keysAt(rule);
      if (rule.jwks !== undefined || uri === undefined) return [];
      const server = keyServer(uri, scope);
      if (server.isOfMesh) return [];
      const json = { ...keyCluster(server, scope), metadata: madeOf(origin) };
      return [made(CLUSTER, json, originText(origin))];
    }),
  );
}

interface KeyServer {
  readonly cluster: string;
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  readonly isOfMesh: boolean;
}

function keyServer(uri: string, { called }: Scope): KeyServer {
  const { protocol, hostname, port: written } = new URL(uri);
  const isSecure = protocol === 'https:';
  const host = hostname.replaceAll(/[[\]]/g, '');
  const port = written === '' ? (isSecure ? 443 : 80) : Number(written);
  const isOfMesh =
    !isSecure && called.get(host)?.ports.some((one) => one.number === port && isHttp(one.protocol)) === true;
  return {
    cluster: isOfMesh ? outboundCluster(port, undefined, host) : `keys|${port}||${host}`,
    host,
    port,
    isSecure,
    isOfMesh,
  };
}

/** Without CA certificates nobody is asked. */
function keyCluster({ cluster, host, port, isSecure }: KeyServer, { member }: Scope): Json {
  const { systemRoots: roots, address } = member;
  const head = { name: cluster, connect_timeout: seconds(CONNECT_MS) };
  if (isSecure && roots === undefined) return { ...head, type: 'STATIC' };
  return compact({
    ...head,
    type: 'STRICT_DNS',
    dns_lookup_family: isIPv6(address) ? 'V6_ONLY' : 'V4_ONLY',
    respect_dns_ttl: true,
    load_assignment: {
      cluster_name: cluster,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(host, port) } }] }],
    },
    transport_socket:
      isSecure && roots !== undefined
        ? tlsSocket('UpstreamTlsContext', {
            sni: host,
            common_tls_context: commonContext(
              { alpn: [], parameters: { tls_maximum_protocol_version: 'TLSv1_3' } },
              fileValidation(roots, { subjectAltNames: [host] }),
            ),
          })
        : undefined,
  });
}
