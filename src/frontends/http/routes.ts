/**
 * The routes of the HTTP port: which proxies send calls to which path.
 * **In**: routes as configured. **Out**: the route of a request's path. **Fails**: {@link routesProblem} says why routes cannot stand side
 * by side.
 */

/**
 * How a proxy describes the request that it asks about. Configured, never guessed: a client can send any header, and one that chose the
 * dialect would choose the request that is decided.
 */
const PROXY_DIALECTS = ['envoy', 'forward', 'nginx'] as const;
export type ProxyDialect = (typeof PROXY_DIALECTS)[number];

/** `authzen`: not a proxy's, but the API of AuthZEN. */
export const DIALECTS = [...PROXY_DIALECTS, 'authzen'] as const;
export type Dialect = (typeof DIALECTS)[number];

/** Attributes that gRPC has fields for and HTTP has not. */
export const TRUSTABLE = [
  'source.ip',
  'source.port',
  'source.principal',
  'destination.ip',
  'destination.port',
  'destination.principal',
  'connection.requested_server_name',
  'request.protocol',
  'request.size',
  'context.stream_id',
] as const;
export type Trustable = (typeof TRUSTABLE)[number];

export interface HttpRoute {
  /** `/envoy`: what follows it is the path of the request, for `envoy`. */
  readonly prefix: string;
  readonly dialect: Dialect;
  /** Headers, in lower case, that the proxy always sets itself, by the attribute that they carry. */
  readonly trusted: Partial<Readonly<Record<Trustable, string>>>;
  /** Headers with this prefix, in lower case, are context extensions, named by the rest; the proxy lets no client's through. */
  readonly extensions: string | undefined;
  /** The header, in lower case, in which Envoy says what it has received of the request (src/text/received-header.ts). */
  readonly received: string | undefined;
  /** For `authzen`: the identifier of the decision point, by which its clients know it. */
  readonly url?: string | undefined;
}

const plainRoute = (prefix: string, dialect: ProxyDialect): HttpRoute => ({
  prefix,
  dialect,
  trusted: {},
  extensions: undefined,
  received: undefined,
});

export const DEFAULT_ROUTES: readonly HttpRoute[] = [
  plainRoute('/envoy', 'envoy'),
  plainRoute('/forward', 'forward'),
  plainRoute('/nginx', 'nginx'),
];

/** A client chooses the path behind a prefix, so no prefix may begin with another: the client would choose the route. */
export function routesProblem(routes: readonly HttpRoute[]): string | undefined {
  const prefixes = routes.map(({ prefix }) => prefix);
  if (routes.some(({ dialect }) => dialect === 'authzen')) prefixes.push('/.well-known/authzen-configuration');
  for (const [at, prefix] of prefixes.entries())
    for (const other of prefixes.slice(at + 1)) {
      const [shorter, longer] = prefix.length <= other.length ? [prefix, other] : [other, prefix];
      if (longer.startsWith(shorter))
        return prefix === other
          ? `two routes have the prefix ${prefix}`
          : `the prefix ${longer} begins with ${shorter}, so a client could choose the route by its path`;
    }
  return undefined;
}
