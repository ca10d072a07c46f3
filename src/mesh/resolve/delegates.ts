/**
 * Routes that a VirtualService leaves to another one: `delegate`.
 * **In**: a VirtualService, and all of the mesh. **Out**: its routes in the order written, those of delegates in the place of the routes
 * that name them. **Fails**: never; a delegate that nobody declares, or that the rule may not use, has none.
 *
 * As istiod joins them: a delegate narrows what the rule matches, and says what it leaves open. Its short names are of its own namespace.
 */
import type { HttpMatch, HttpRoute } from '../rules/virtual-service.ts';
import type { StringMatch } from '../rules/values.ts';
import type { MeshObject } from '../sources/objects.ts';
import { isExported } from './destination-rules.ts';
import { completeGateway } from './hosts.ts';

type Rule = MeshObject<'VirtualService'>;

export interface WrittenRoute {
  readonly route: HttpRoute;
  /** Where it was written: `http[at]` of `rule`. */
  readonly rule: Rule;
  readonly at: number;
}

/** `rules`: read only for a rule that delegates. */
export function writtenRoutes(
  rule: Rule,
  rules: { readonly VirtualService: readonly Rule[] },
): readonly WrittenRoute[] {
  return rule.spec.http.flatMap((route, at): readonly WrittenRoute[] => {
    if (route.delegate === undefined) return [{ route, rule, at }];
    const delegate = delegateOf(rule, route.delegate, rules.VirtualService);
    return delegate === undefined ? [] : joinedRoutes(rule, route, delegate).flatMap((one) => one.joined ?? []);
  });
}

const byName = new WeakMap<readonly Rule[], ReadonlyMap<string, Rule>>();

export function delegateOf(
  { origin }: Rule,
  { name, namespace = origin.namespace }: NonNullable<HttpRoute['delegate']>,
  rules: readonly Rule[],
): Rule | undefined {
  let known = byName.get(rules);
  if (known === undefined)
    byName.set(rules, (known = new Map(rules.map((one) => [`${one.origin.namespace}/${one.origin.name}`, one]))));
  const found = known.get(`${namespace}/${name}`);
  return found !== undefined && found.spec.hosts.length === 0 && isExported(found.spec.exportTo, namespace, origin)
    ? found
    : undefined;
}

/** Each route of the delegate; `joined` is absent if its match contradicts that of the rule. */
export function joinedRoutes(
  rule: Rule,
  route: HttpRoute,
  delegate: Rule,
): readonly { readonly at: number; readonly joined?: WrittenRoute }[] {
  return delegate.spec.http.map((own, at) => {
    const match = joinedMatches(matchesOf(route, rule), matchesOf(own, delegate));
    if (match === 'contradicting') return { at };
    const { mirror, mirrorPercent, mirrorPercentage } = own.mirror === undefined ? route : own;
    return {
      at,
      joined: {
        rule: delegate,
        at,
        route: {
          ...own,
          match,
          name: [route.name, own.name].filter((name) => name !== undefined).join('-') || undefined,
          rewrite: own.rewrite ?? route.rewrite,
          timeout: own.timeout ?? route.timeout,
          retries: own.retries ?? route.retries,
          fault: own.fault ?? route.fault,
          mirror,
          mirrorPercent,
          mirrorPercentage,
          mirrors: own.mirrors.length > 0 ? own.mirrors : route.mirrors,
          corsPolicy: own.corsPolicy ?? route.corsPolicy,
          headers: own.headers ?? route.headers,
        },
      },
    };
  });
}

/** Names of gateways are of the namespace of the rule that has written them. */
const matchesOf = ({ match }: HttpRoute, { origin }: Rule): readonly HttpMatch[] | undefined =>
  match?.map((one) => ({
    ...one,
    gateways: one.gateways?.map((name) => completeGateway(name, origin.namespace)),
  }));

/** Each of the delegate's with each of the rule's that it does not contradict; one that contradicts all is wrong. */
function joinedMatches(
  outer: readonly HttpMatch[] | undefined,
  inner: readonly HttpMatch[] | undefined,
): HttpMatch[] | undefined | 'contradicting' {
  if (outer === undefined || inner === undefined) {
    const one = outer ?? inner;
    return one === undefined ? undefined : [...one];
  }
  const joined = inner.map((one) => outer.filter((other) => !contradicts(other, one)).map((other) => join(other, one)));
  return joined.some((list) => list.length === 0) ? 'contradicting' : joined.flat();
}

const TEXTS = ['uri', 'scheme', 'method', 'authority'] as const;
const MAPS = ['headers', 'withoutHeaders', 'queryParams'] as const;

function contradicts(outer: HttpMatch, inner: HttpMatch): boolean {
  const differ = <T>(a: T | undefined, b: T | undefined): boolean => a !== undefined && b !== undefined && a !== b;
  return (
    TEXTS.some((field) => leaves(outer[field], inner[field])) ||
    MAPS.some((field) => Object.entries(inner[field]).some(([name, test]) => leaves(outer[field][name], test))) ||
    (outer.uri !== undefined && inner.uri !== undefined && outer.ignoreUriCase !== inner.ignoreUriCase) ||
    differ(outer.port, inner.port) ||
    differ(outer.sourceNamespace, inner.sourceNamespace) ||
    Object.entries(inner.sourceLabels).some(([name, value]) => differ(outer.sourceLabels[name], value)) ||
    (outer.gateways !== undefined && (inner.gateways ?? []).some((name) => outer.gateways?.includes(name) === false))
  );
}

/** Whether some text that `inner` takes is not taken by `outer`; expressions are not compared. */
function leaves(outer: StringMatch | undefined, inner: StringMatch | undefined): boolean {
  if (outer === undefined || inner === undefined || Object.values(outer).every((one) => one === undefined))
    return false;
  if (outer.regex !== undefined || inner.regex !== undefined) return true;
  if (outer.exact !== undefined) return inner.exact !== outer.exact;
  const start = inner.exact ?? inner.prefix;
  return outer.prefix !== undefined && start?.startsWith(outer.prefix) !== true;
}

const join = (outer: HttpMatch, inner: HttpMatch): HttpMatch => ({
  name: [outer.name, inner.name].filter((name) => name !== undefined).join('-') || undefined,
  uri: inner.uri ?? outer.uri,
  ignoreUriCase: inner.uri === undefined ? outer.ignoreUriCase : inner.ignoreUriCase,
  scheme: inner.scheme ?? outer.scheme,
  method: inner.method ?? outer.method,
  authority: inner.authority ?? outer.authority,
  headers: { ...outer.headers, ...inner.headers },
  withoutHeaders: { ...outer.withoutHeaders, ...inner.withoutHeaders },
  queryParams: { ...outer.queryParams, ...inner.queryParams },
  port: inner.port ?? outer.port,
  statPrefix: inner.statPrefix ?? outer.statPrefix,
  sourceLabels: { ...outer.sourceLabels, ...inner.sourceLabels },
  sourceNamespace: inner.sourceNamespace ?? outer.sourceNamespace,
  gateways: inner.gateways ?? outer.gateways,
});
