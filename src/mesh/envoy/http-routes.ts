/**
 * The http rules of a VirtualService as routes of Envoy.
 * **In**: a VirtualService, and the proxy. **Out**: routes in the order written; those that this proxy can never take are left out.
 * **Fails**: never.
 */
import { hasLabels } from '../model/mesh.ts';
import { writtenRoutes } from '../resolve/delegates.ts';
import { completeGateway, completeHost } from '../resolve/hosts.ts';
import { routingClaim } from '../rules/routing-claim.ts';
import type { StringMatch } from '../rules/values.ts';
import { type Destination, type HttpMatch, type HttpRoute } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import { hashPolicy } from './hash-policy.ts';
import { outboundCluster } from './names.ts';
import { compact, fraction, type Json, madeOf, withTimeout } from './parts.ts';
import { retryPolicy } from './retry-policy.ts';
import type { RouteScope } from './route-scope.ts';
import { TOKENS } from './token-filter.ts';
import { filterConfigs, headerChanges, sortedEntries, stringMatcher } from './route-filters.ts';

export interface RouteContext {
  readonly scope: RouteScope;
  /** Of the listener. */
  readonly port: number;
  /** `mesh`, or the gateways (`namespace/name`) whose listener this is. */
  readonly gateways: ReadonlySet<string>;
}

export function routesOf(rule: MeshObject<'VirtualService'>, context: RouteContext): readonly Json[] {
  const routes: Json[] = [];
  for (const { route, rule: from, at } of writtenRoutes(rule, context.scope.mesh.rules)) {
    const matches = route.match?.filter((match) => isFor(match, from, context));
    if (route.match !== undefined && matches?.length === 0) continue;
    for (const match of matches ?? [undefined]) {
      routes.push(routeOf(route, match, at, from, context));
      if (isCatchAll(match)) return routes; // nothing behind it is reached
    }
  }
  return routes;
}

/** Tests that the control plane makes, since the proxy they are about is known. */
function isFor(
  match: HttpMatch,
  { origin }: MeshObject<'VirtualService'>,
  { scope, port, gateways }: RouteContext,
): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  if (match.gateways !== undefined)
    return match.gateways.some((name) => gateways.has(completeGateway(name, origin.namespace)));
  const { member } = scope;
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== member.namespace) return false;
  return hasLabels(member.labels, match.sourceLabels);
}

function isCatchAll(match: HttpMatch | undefined): boolean {
  if (match === undefined) return true;
  const { uri, scheme, method, authority, headers, withoutHeaders, queryParams } = match;
  if (scheme ?? method ?? authority) return false;
  if ([headers, withoutHeaders, queryParams].some((one) => Object.keys(one).length > 0)) return false;
  return uri === undefined || uri.prefix === '/' || uri.regex === '*' || uri.regex === '.*';
}

function routeOf(
  route: HttpRoute,
  match: HttpMatch | undefined,
  at: number,
  { origin }: MeshObject<'VirtualService'>,
  context: RouteContext,
): Json {
  return compact({
    name: route.name ?? match?.name,
    stat_prefix: match?.statPrefix,
    match: matchOf(match),
    ...answerOf(route, origin.namespace, context),
    metadata: madeOf(origin, `http[${at}]`),
    decorator: { operation: `${origin.name}:${context.port}${match?.uri?.exact ?? match?.uri?.prefix ?? '/*'}` },
    ...headerChanges(headersOf(route), route),
    typed_per_filter_config: filterConfigs(route),
  });
}

// ---------------------------------------------------------- match

function matchOf(match: HttpMatch | undefined): Json {
  if (match === undefined) return { prefix: '/' };
  const { uri, ignoreUriCase, headers, withoutHeaders, queryParams } = match;
  const pseudo = [
    ['method', match.method],
    ['authority', match.authority],
    ['scheme', match.scheme],
  ] as const;
  return compact({
    ...pathMatch(uri),
    case_sensitive: ignoreUriCase ? false : undefined,
    headers: [
      ...pseudo.flatMap(([name, test]) => (test === undefined ? [] : [headerMatch(`:${name}`, test)])),
      ...headersIn(headers).map(([name, test]) => headerMatch(name, test)),
      ...headersIn(withoutHeaders).map(([name, test]) => ({
        ...headerMatch(name, test),
        invert_match: true,
        ...(isAny(test) ? {} : { treat_missing_header_as_empty: true }),
      })),
    ],
    dynamic_metadata: [
      ...claimMatches(headers),
      ...claimMatches(withoutHeaders).map((one) => ({ ...one, invert: true })),
    ],
    query_parameters: sortedEntries(queryParams).map(([name, test]) =>
      isAny(test) ? { name, present_match: true } : { name, string_match: stringMatcher(test) },
    ),
  });
}

function pathMatch(uri: StringMatch | undefined): Json {
  if (uri?.exact !== undefined) return { path: uri.exact };
  if (uri?.prefix !== undefined) return { prefix: uri.prefix };
  return uri?.regex === undefined || uri.regex === '*' ? { prefix: '/' } : { safe_regex: { regex: uri.regex } };
}

/** No test, or the regular expression `*` of old rules. */
const isAny = ({ exact, prefix, regex }: StringMatch): boolean =>
  exact === undefined && prefix === undefined && (regex === undefined || regex === '*');

type Tests = HttpMatch['headers'];

const headersIn = (tests: Tests): readonly (readonly [string, StringMatch])[] =>
  sortedEntries(tests).filter(([name]) => routingClaim(name) === undefined);

/** Of a token that the gateway has verified; a claim that is a list has one of several values. */
const claimMatches = (tests: Tests): Json[] =>
  sortedEntries(tests).flatMap(([name, test]) => {
    const claim = routingClaim(name);
    if (claim === undefined) return [];
    const value: Json = { string_match: stringMatcher(test) };
    return [
      {
        filter: TOKENS.filter,
        path: [TOKENS.key, ...claim].map((key) => ({ key })),
        value: isAny(test)
          ? { present_match: true }
          : { or_match: { value_matchers: [{ list_match: { one_of: value } }, value] } },
      },
    ];
  });

const headerMatch = (name: string, test: StringMatch): Json =>
  isAny(test) ? { name, present_match: true } : { name, string_match: stringMatcher(test) };

// ---------------------------------------------------------- answer

function answerOf(route: HttpRoute, namespace: string, context: RouteContext): Json {
  if (route.redirect !== undefined) return { redirect: redirectOf(route.redirect, context.port) };
  if (route.directResponse !== undefined) {
    const { status, body } = route.directResponse;
    return {
      direct_response: compact({
        status,
        body: body && compact({ inline_string: body.string, inline_bytes: body.bytes }),
      }),
    };
  }
  return { route: actionOf(route, namespace, context) };
}

const CODES = {
  301: 'MOVED_PERMANENTLY',
  302: 'FOUND',
  303: 'SEE_OTHER',
  307: 'TEMPORARY_REDIRECT',
  308: 'PERMANENT_REDIRECT',
} as const;

const redirectOf = (
  { uri, prefixRewrite, authority, port, derivePort, scheme, redirectCode }: NonNullable<HttpRoute['redirect']>,
  requestPort: number,
): Json =>
  compact({
    path_redirect: uri,
    prefix_rewrite: prefixRewrite,
    host_redirect: authority,
    port_redirect: derivePort === 'FROM_REQUEST_PORT' ? requestPort : port,
    scheme_redirect: scheme,
    response_code: CODES[redirectCode],
  });

function actionOf(route: HttpRoute, namespace: string, context: RouteContext): Json {
  const { retries, rewrite } = route;
  const weighted = destinationsOf(route);
  const [only] = weighted;
  const hashes = weighted.flatMap(({ destination: { host, subset, port } }) => {
    const complete = completed(host, namespace, context);
    return hashPolicy(context.scope, complete, portOf(complete, port, context), subset);
  });
  const authority = rewrite?.authority ?? hostOf(headersOf(route)) ?? hostOf({ request: { add: route.appendHeaders } });
  return compact({
    ...(weighted.length === 1 && only !== undefined
      ? { cluster: clusterOf(only.destination, namespace, context) }
      : {
          weighted_clusters: {
            clusters: weighted.map(({ destination, weight = 0, headers }) => ({
              name: clusterOf(destination, namespace, context),
              weight,
              ...headerChanges(headers),
              ...hostRewrite(hostOf(headers)),
            })),
          },
        }),
    ...withTimeout(route.timeout ?? 0), // without one, none: Envoy's own default would be 15 s
    retry_policy: retryPolicy(retries, context.scope, weighted.length === 1 && hashes.length > 0),
    prefix_rewrite: rewrite?.uri,
    regex_rewrite:
      rewrite?.uriRegexRewrite === undefined
        ? undefined
        : { pattern: { regex: rewrite.uriRegexRewrite.match }, substitution: rewrite.uriRegexRewrite.rewrite },
    ...hostRewrite(authority),
    request_mirror_policies: mirrorsOf(route, namespace, context),
    hash_policy: hashes,
    upgrade_configs: route.websocketUpgrade === true ? [{ upgrade_type: 'websocket' }] : [],
    cluster_not_found_response_code: 'SERVICE_UNAVAILABLE',
  });
}

type Destinations = NonNullable<HttpRoute['route']>;

/** Those that get calls. */
const destinationsOf = ({ route = [] }: HttpRoute): Destinations =>
  route.length > 1 ? route.filter(({ weight = 0 }) => weight > 0) : route;

/** Of the route, and of its destination if it has only one; of both for one name those of the destination. */
function headersOf(route: HttpRoute): HttpRoute['headers'] {
  const [only, ...others] = destinationsOf(route);
  if (only?.headers === undefined || others.length > 0) return route.headers;
  const [{ request: a, response: c }, { request: b, response: d }] = [route.headers ?? {}, only.headers];
  return { request: joined(a, b), response: joined(c, d) };
}

type HeaderOperations = NonNullable<HttpRoute['headers']>['request'];
const joined = (a: HeaderOperations, b: HeaderOperations): HeaderOperations => ({
  set: { ...a?.set, ...b?.set },
  add: { ...a?.add, ...b?.add },
  remove: [...(a?.remove ?? []), ...(b?.remove ?? [])],
});

const hostRewrite = (host: string | undefined): Json => (host === undefined ? {} : { host_rewrite_literal: host });

interface HostChange {
  readonly request?: { readonly set?: Values; readonly add?: Values } | undefined;
}
type Values = Readonly<Record<string, string>>;

/** A request has one host, so one that is added takes the place of the other. */
const hostOf = (headers: HostChange | undefined): string | undefined =>
  [headers?.request?.set, headers?.request?.add]
    .map((values) => values?.[':authority'] ?? values?.['host'])
    .find((host) => host !== undefined);

const completed = (host: string, namespace: string, { scope }: RouteContext): string =>
  completeHost(host, namespace, scope.mesh.settings.domain);

export function clusterOf({ host, subset, port }: Destination, namespace: string, context: RouteContext): string {
  const complete = completed(host, namespace, context);
  return outboundCluster(portOf(complete, port, context), subset, complete);
}

/** A destination's port: as written, else the only one of its service, else that of the listener. */
function portOf(host: string, written: number | undefined, { scope, port }: RouteContext): number {
  const [only, ...others] = scope.mesh.services.get(host)?.ports ?? [];
  return written ?? (only === undefined || others.length > 0 ? port : only.number);
}

function mirrorsOf(route: HttpRoute, namespace: string, context: RouteContext): Json[] {
  const single =
    route.mirror === undefined
      ? []
      : [{ destination: route.mirror, percentage: route.mirrorPercentage ?? route.mirrorPercent }];
  return [...single, ...route.mirrors].flatMap(({ destination, percentage = 100 }) =>
    percentage === 0
      ? []
      : [
          {
            cluster: clusterOf(destination, namespace, context),
            runtime_fraction: { default_value: fraction(percentage) },
            disable_shadow_host_suffix_append: true,
          },
        ],
  );
}
