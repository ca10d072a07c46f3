/**
 * SPIFFE IDs (SPIFFE-ID.md, X509-SVID.md of the SPIFFE standards, read as strictly as go-spiffe does).
 * **In**: the URI SANs of a certificate. **Out**: the identity that it proves. **Fails**: never; `undefined` is no identity.
 */
export interface SpiffeId {
  readonly trustDomain: string;
  /** Begins with a slash; empty for the trust domain itself. */
  readonly path: string;
  /** Of the form that Istio writes: `/ns/NAMESPACE/sa/ACCOUNT`. */
  readonly namespace: string | undefined;
  readonly serviceAccount: string | undefined;
}

/** Lower-case scheme and trust domain; no user, port, query, fragment, escape, empty segment or slash at the end. */
const ID = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._-]+)*)$/;
const DOTS = /\/\.\.?(?:\/|$)/;
const OF_ISTIO = /^\/ns\/([^/]+)\/sa\/([^/]+)$/;
const MAX_BYTES = 2048;

export function spiffeId(uri: string): SpiffeId | undefined {
  if (uri.length > MAX_BYTES) return undefined;
  const [, trustDomain, path] = ID.exec(uri) ?? [];
  if (trustDomain === undefined || path === undefined || DOTS.test(path)) return undefined;
  const [, namespace, serviceAccount] = OF_ISTIO.exec(path) ?? [];
  return { trustDomain, path, namespace, serviceAccount };
}

/** A certificate with several URI SANs proves no SPIFFE ID. */
export function provenId(uris: readonly string[]): SpiffeId | undefined {
  const [uri] = uris;
  return uri === undefined || uris.length > 1 ? undefined : spiffeId(uri);
}

/** The URI SAN behind a principal, for sources that name SPIFFE IDs without their scheme. */
export function uriOfPrincipal(principal: string): string | undefined {
  const uri = `spiffe://${principal}`;
  return spiffeId(uri) === undefined ? undefined : uri;
}
