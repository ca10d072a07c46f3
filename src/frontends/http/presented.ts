/**
 * The request that a proxy asks about, as its dialect presents it.
 * **In**: the lines of the proxy's own request. **Out**: method, path and authority of the client's. **Fails**: with the reason, where the
 * proxy did not say one of them, or twice.
 */
import type { HeaderLines } from './header-lines.ts';
import type { HttpRoute, ProxyDialect } from './routes.ts';

export interface Presented {
  readonly method: string;
  /** As sent, with the query. */
  readonly path: string;
  readonly authority: string;
  readonly scheme: string | undefined;
}

/** Headers of X-Forwarded-*, as Traefik, Caddy and the snippet for HAProxy set them, and of the snippet for NGINX. */
const FORWARD = { method: 'x-forwarded-method', path: 'x-forwarded-uri', authority: 'x-forwarded-host' } as const;
const NGINX = { method: 'x-original-method', path: 'x-original-uri', authority: 'host' } as const;
const SCHEME = 'x-forwarded-proto';

/** Headers of the proxy's own request, which do not belong to the client's. */
const OF_EVERY_REQUEST = ['host', 'content-length', 'connection', 'transfer-encoding'];
/** Envoy's client adds them; it calls every request of its own internal, so the word says nothing about the client's. */
const OF_ENVOY = ['x-envoy-internal', 'x-envoy-expected-rq-timeout-ms'];

export function ownHeaders({ dialect, trusted, received }: HttpRoute): ReadonlySet<string> {
  const ofDialect = dialect === 'envoy' ? OF_ENVOY : Object.values(dialect === 'nginx' ? NGINX : FORWARD);
  const ofRoute = [...Object.values(trusted), ...(received === undefined ? [] : [received])];
  return new Set([...OF_EVERY_REQUEST, ...ofDialect, ...ofRoute]);
}

/** A text: why the request is refused. `url`: the target of the proxy's request. */
export function presented(
  route: Pick<HttpRoute, 'prefix'> & { readonly dialect: ProxyDialect },
  method: string,
  url: string,
  headers: HeaderLines,
): Presented | string {
  const names = route.dialect === 'envoy' ? undefined : route.dialect === 'nginx' ? NGINX : FORWARD;
  const repeated = headers.repeatedAmong([names?.authority ?? 'host', names?.method, names?.path, SCHEME]);
  if (repeated !== undefined) return `the header ${repeated} is sent twice; the proxy must replace the client's`;
  const { map } = headers;
  const scheme = map.get(SCHEME);
  if (names === undefined)
    return { method, path: headers.textOf(url.slice(route.prefix.length)), authority: map.get('host') ?? '', scheme };
  const missing = Object.values(names).find((name) => (map.get(name) ?? '') === '');
  if (missing !== undefined)
    return `the header ${missing} is missing; the proxy must set it, as the snippet for it in docs/http.md does`;
  return {
    method: map.get(names.method) ?? '',
    path: map.get(names.path) ?? '',
    authority: map.get(names.authority) ?? '',
    scheme,
  };
}
