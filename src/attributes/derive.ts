/**
 * Attributes that are derived from others if the wire lacks them.
 * **In**: a bag. **Out**: a value, or `undefined`. **Fails**: never.
 */
import type { Attributes } from './attributes.ts';
import type { RequestBag } from './bag.ts';
import { type ForwardedCertificate, forwardedCertificate } from './forwarded-certificate.ts';
import { hostOf, portOf } from './host.ts';
import { phaseOfType } from './log-phase.ts';
import { parseIpOfPeer } from './network.ts';
import { provenId, type SpiffeId } from './spiffe.ts';
import { isPlainPath, queryOf, urlPathOf } from './url.ts';
import { Duration, type Value } from './values.ts';

/** The number of values that could not be read since this thread started, for metrics. The attribute then has a fallback value. */
export const unreadable = {
  /** Entries of X-Forwarded-For at `settings.trustedHops` that are not an address. */
  forwardedFor: 0,
  /** X-Forwarded-For headers with fewer entries than `settings.trustedHops` needs. */
  forwardedForShort: 0,
};

export type Derive = (bag: RequestBag, attributes: Attributes) => Value | undefined;

function valueOf(bag: RequestBag, attributes: Attributes, name: string): Value | undefined {
  const slot = attributes.slotOf(name);
  return slot === undefined ? undefined : bag.get(slot);
}

function textOf(bag: RequestBag, attributes: Attributes, name: string): string | undefined {
  const value = valueOf(bag, attributes, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function headerOf(bag: RequestBag, attributes: Attributes, header: string): string | undefined {
  const headers = valueOf(bag, attributes, 'request.headers');
  const value = headers instanceof Map ? (headers as ReadonlyMap<Value, Value>).get(header) : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export const headerText =
  (header: string): Derive =>
  (bag, attributes) =>
    headerOf(bag, attributes, header);

/** Where the wire joins the values of a repeated header, they stay joined. */
export const headerValues: Derive = (bag, attributes) => {
  const headers = valueOf(bag, attributes, 'request.headers');
  return headers instanceof Map
    ? new Map([...(headers as ReadonlyMap<string, string>)].map(([name, value]) => [name, [value]]))
    : undefined;
};

export const urlPath: Derive = (bag, attributes) => {
  const path = textOf(bag, attributes, 'request.path');
  return path === undefined ? undefined : urlPathOf(path, attributes.settings);
};

export const pathIsPlain: Derive = (bag, attributes) => {
  const path = textOf(bag, attributes, 'request.path');
  return path === undefined ? undefined : isPlainPath(path);
};

export const host: Derive = (bag, attributes) => {
  const authority = textOf(bag, attributes, 'request.authority');
  return authority === undefined ? undefined : hostOf(authority);
};

export const port: Derive = (bag, attributes) => {
  const authority = textOf(bag, attributes, 'request.authority');
  return authority === undefined ? undefined : portOf(authority);
};

/** Envoy removes a client's own header of this name. */
export const bodyIsPartial: Derive = (bag, attributes) => {
  if (valueOf(bag, attributes, 'request.headers') === undefined) return undefined;
  return headerOf(bag, attributes, 'x-envoy-auth-partial-body') === 'true';
};

export const queryMap: Derive = (bag, attributes) => {
  const path = textOf(bag, attributes, 'request.path');
  return path === undefined ? undefined : queryOf(path);
};

export const apiKey: Derive = (bag, attributes) => {
  const header = headerOf(bag, attributes, 'x-api-key');
  if (header !== undefined) return header;
  const query = valueOf(bag, attributes, 'request.query');
  if (!(query instanceof Map)) return undefined;
  const parameters = query as ReadonlyMap<string, string>;
  return parameters.get('api_key') ?? parameters.get('key');
};

/**
 * As Envoy's getLastAddressFromXFF: the (N+1)-th entry from the right, which may have a port; the peer if there are fewer
 * entries or it is not an address.
 */
export const originIp: Derive = (bag, attributes) => {
  const { trustedHops } = attributes.settings;
  const forwarded = trustedHops === undefined ? undefined : headerOf(bag, attributes, 'x-forwarded-for');
  const entry = forwarded
    ?.split(',')
    .at(-1 - (trustedHops ?? 0))
    ?.trim();
  const address = entry === undefined ? undefined : parseIpOfPeer(entry);
  if (address === undefined && forwarded !== undefined) {
    if (entry === undefined) unreadable.forwardedForShort++;
    else unreadable.forwardedFor++;
  }
  return address ?? valueOf(bag, attributes, 'source.ip');
};

const textsOf = (bag: RequestBag, attributes: Attributes, name: string): readonly string[] =>
  (valueOf(bag, attributes, name) as readonly string[] | undefined) ?? [];

/** The SPIFFE ID that the URI SANs under `name` prove, with its trust domain by `settings.trustDomainAliases`. */
function identityOf(bag: RequestBag, attributes: Attributes, name: string): SpiffeId | undefined {
  const id = provenId(textsOf(bag, attributes, name));
  const canonical = id === undefined ? undefined : attributes.settings.trustDomainAliases.get(id.trustDomain);
  return id === undefined || canonical === undefined ? id : { ...id, trustDomain: canonical };
}

/** The parts of `source.spiffe` and `origin.spiffe`. */
const SPIFFE_PARTS = {
  id: ({ trustDomain, path }: SpiffeId): string => `spiffe://${trustDomain}${path}`,
  trustDomain: ({ trustDomain }: SpiffeId): string => trustDomain,
  path: ({ path }: SpiffeId): string | undefined => (path === '' ? undefined : path),
  namespace: ({ namespace }: SpiffeId): string | undefined => namespace,
  serviceAccount: ({ serviceAccount }: SpiffeId): string | undefined => serviceAccount,
} as const;

export const spiffePart =
  (
    uris: 'connection.uri_sans_peer_certificate' | 'origin.certificate.uri_sans',
    part: keyof typeof SPIFFE_PARTS,
  ): Derive =>
  (bag, attributes) => {
    const id = identityOf(bag, attributes, uris);
    return id === undefined ? undefined : SPIFFE_PARTS[part](id);
  };

/** The certificate by which `source.*` names the peer, in the form of one that a proxy forwards. */
const peerNames = (bag: RequestBag, attributes: Attributes): ForwardedCertificate => ({
  uris: textsOf(bag, attributes, 'connection.uri_sans_peer_certificate'),
  dns: textsOf(bag, attributes, 'connection.dns_sans_peer_certificate'),
  subject: textOf(bag, attributes, 'connection.subject_peer_certificate'),
  sha256: textOf(bag, attributes, 'connection.sha256_peer_certificate_digest'),
});

/** Undefined: the client is the peer. A connection has no headers. */
const certificateHops = (bag: RequestBag, attributes: Attributes): number | undefined =>
  textOf(bag, attributes, 'context.protocol') === 'tcp' ? undefined : attributes.settings.trustedCertificateHops;

/** Absent, and never the peer's, if the header is trusted and does not have the element: the request then came without a certificate. */
function originCertificate(bag: RequestBag, attributes: Attributes): ForwardedCertificate | undefined {
  const trustedCertificateHops = certificateHops(bag, attributes);
  if (trustedCertificateHops === undefined) return peerNames(bag, attributes);
  const header = headerOf(bag, attributes, 'x-forwarded-client-cert');
  return header === undefined ? undefined : forwardedCertificate(header, trustedCertificateHops);
}

/** An empty list or text is absent. */
export const originCertificatePart =
  (part: keyof ForwardedCertificate): Derive =>
  (bag, attributes) => {
    const value = originCertificate(bag, attributes)?.[part];
    return value === undefined || value.length === 0 ? undefined : value;
  };

/** As Envoy names a peer: the first URI SAN without `spiffe://`, else the first DNS SAN, else the subject. */
export const originPrincipal: Derive = (bag, attributes) => {
  if (certificateHops(bag, attributes) === undefined) return valueOf(bag, attributes, 'source.principal');
  const certificate = originCertificate(bag, attributes);
  const name = certificate?.uris[0] ?? certificate?.dns[0] ?? certificate?.subject;
  return name?.startsWith('spiffe://') === true ? name.slice('spiffe://'.length) : name;
};

export const peerIsKnown: Derive = (bag, attributes) => textOf(bag, attributes, 'source.principal') !== undefined;

export const phaseOfEntry: Derive = (bag, attributes) => {
  const type = textOf(bag, attributes, 'context.log_type');
  return type === undefined ? undefined : phaseOfType(type);
};

export const protocolOfHeaders: Derive = (bag, attributes) => {
  if (valueOf(bag, attributes, 'request.headers') === undefined) return undefined;
  return headerOf(bag, attributes, 'content-type')?.startsWith('application/grpc') === true ? 'grpc' : 'http';
};

type Claims = ReadonlyMap<string, Value>;
const JWT = { kind: 'metadata', namespace: 'envoy.filters.http.jwt_authn', path: [] } as const;

/** Envoy's filter stores the payload under a name that the operator chose; the first entry with claims of a token is taken. */
const claimsOf = (bag: RequestBag): Claims | undefined => {
  const stored = bag.wire.carried(JWT);
  if (!(stored instanceof Map)) return undefined;
  for (const payload of (stored as ReadonlyMap<Value, Value>).values()) {
    if (payload instanceof Map && (payload.has('iss') || payload.has('sub') || payload.has('aud')))
      return payload as Claims;
  }
  return undefined;
};

export const jwtClaims: Derive = (bag) => claimsOf(bag);

export const jwtClaimText =
  (claim: string): Derive =>
  (bag) => {
    const value = claimsOf(bag)?.get(claim);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };

export const jwtPrincipal: Derive = (bag) => {
  const claims = claimsOf(bag);
  const [issuer, subject] = [claims?.get('iss'), claims?.get('sub')];
  return typeof issuer === 'string' && typeof subject === 'string' ? `${issuer}/${subject}` : undefined;
};

export const jwtAudiences: Derive = (bag) => {
  const audience = claimsOf(bag)?.get('aud');
  if (typeof audience === 'string') return [audience];
  return Array.isArray(audience) ? (audience as readonly Value[]).filter((one) => typeof one === 'string') : undefined;
};

export const jwtRawClaims: Derive = (bag) => {
  const claims = claimsOf(bag);
  return claims === undefined ? undefined : JSON.stringify(jsonOf(claims));
};

/** Back to JSON, for values that come from JSON. */
function jsonOf(value: Value): unknown {
  if (Array.isArray(value)) return (value as readonly Value[]).map(jsonOf);
  return value instanceof Map
    ? Object.fromEntries([...(value as ReadonlyMap<string, Value>)].map(([name, of]) => [name, jsonOf(of)]))
    : value;
}

const EXT_AUTHZ = ['envoy.filters.http.ext_authz', 'envoy.filters.network.ext_authz'] as const;
const RATELIMIT = ['envoy.filters.http.ratelimit'] as const;
const metadataOf = (
  namespaces: readonly string[],
  path: readonly string[],
): ((bag: RequestBag) => Value | undefined) => {
  const carriers = namespaces.map((namespace) => ({ kind: 'metadata', namespace, path }) as const);
  return (bag) => {
    for (const carrier of carriers) {
      const value = bag.wire.carried(carrier);
      if (value !== undefined) return value;
    }
    return undefined;
  };
};

/** From the dynamic metadata of the filter: `sluice: { id, rule, outcome }`; asked over HTTP, the headers `x-sluice-id` and so on. */
const factOf =
  (namespaces: readonly string[]) =>
  (fact: 'id' | 'rule' | 'outcome'): Derive => {
    const inMetadata = metadataOf(namespaces, ['sluice', fact]);
    const byHeader = metadataOf(namespaces, [`x-sluice-${fact}`]);
    return (bag) => {
      const value = inMetadata(bag) ?? byHeader(bag);
      return typeof value === 'string' && value !== '' ? value : undefined;
    };
  };
export const verdictFact = factOf(EXT_AUTHZ);
export const limitFact = factOf(RATELIMIT);

/** In milliseconds. */
const durationOfCheck = metadataOf(EXT_AUTHZ, ['ext_authz_duration']);
export const verdictLatency: Derive = (bag) => {
  const ms = durationOfCheck(bag);
  return typeof ms === 'number' ? Duration.fromMs(ms) : undefined;
};
