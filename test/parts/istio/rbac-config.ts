/**
 * The configuration of Envoy's RBAC filter that Istio's control plane makes of AuthorizationPolicy, written from the documented semantics
 * (docs/istio.md). It shares nothing with src/importers/istio, which it is compared with.
 */
import type { Condition, Operation, PolicyDocument, PolicyRule, Source } from './policy.ts';

type Json = Readonly<Record<string, unknown>>;

export interface RbacFilters {
  readonly deny: Json;
  readonly allow: Json;
}

/** The two filters of a workload. Without policies of an action its filter enforces nothing. */
export function rbacFilters(policies: readonly PolicyDocument[]): RbacFilters {
  const of = (action: 'ALLOW' | 'DENY'): Json => {
    const chosen = policies.filter(({ spec }) => spec.action === action);
    if (chosen.length === 0) return {};
    const rules = chosen.flatMap(({ metadata, spec }) =>
      (spec.rules ?? []).map((rule, at): [string, Json] => [
        `ns[${metadata.namespace}]-policy[${metadata.name}]-rule[${at}]`,
        policyOf(rule, metadata.namespace),
      ]),
    );
    return { rules: { action, policies: Object.fromEntries(rules) } };
  };
  return { deny: of('DENY'), allow: of('ALLOW') };
}

/** On TCP a rule with a field that needs HTTP is left out of ALLOW policies; DENY policies keep the rule without the field. */
export function tcpPolicies(policies: readonly PolicyDocument[]): readonly PolicyDocument[] {
  const isHttp = (key: string): boolean => /^(not)?(requestPrincipals|hosts|methods|paths)$|^request\./i.test(key);
  const without = <T extends object>(fields: T): T =>
    Object.fromEntries(Object.entries(fields).filter(([key]) => !isHttp(key))) as T;
  const needsHttp = ({ from = [], to = [], when = [] }: PolicyRule): boolean =>
    [
      ...from.flatMap(({ source }) => Object.keys(source)),
      ...to.flatMap(({ operation }) => Object.keys(operation)),
      ...when.map(({ key }) => key),
    ].some(isHttp);
  return policies.map((policy) => {
    const { action, rules } = policy.spec;
    if (rules === undefined) return policy;
    const kept = action === 'ALLOW' ? rules.filter((rule) => !needsHttp(rule)) : rules;
    const ofTcp = kept.map(({ from, to, when }): PolicyRule => ({
      ...(from === undefined ? {} : { from: from.map(({ source }) => ({ source: without(source) })) }),
      ...(to === undefined ? {} : { to: to.map(({ operation }) => ({ operation: without(operation) })) }),
      ...(when === undefined ? {} : { when: when.filter(({ key }) => !isHttp(key)) }),
    }));
    return { ...policy, spec: { action, rules: ofTcp } };
  });
}

function policyOf({ from, to, when }: PolicyRule, namespace: string): Json {
  const ofWhen = (kind: 'principal' | 'permission'): Json[] =>
    (when ?? []).filter((one) => kindOf(one.key) === kind).flatMap((one) => conditionOf(one, namespace));
  const principals = (from ?? [{ source: {} }]).map(({ source }) =>
    and('ids', [...sourceOf(source, namespace), ...ofWhen('principal')]),
  );
  const permissions = (to ?? [{ operation: {} }]).map(({ operation }) =>
    and('rules', [...operationOf(operation), ...ofWhen('permission')]),
  );
  return { permissions, principals };
}

type Listed = 'ids' | 'rules';
const and = (list: Listed, items: readonly Json[]): Json =>
  items.length === 0 ? { any: true } : { [`and_${list}`]: { [list]: items } };
const or = (list: Listed, items: readonly Json[]): Json => ({ [`or_${list}`]: { [list]: items } });
const not = (list: Listed, item: Json): Json => (list === 'ids' ? { not_id: item } : { not_rule: item });

type Matcher = (value: string) => Json;

/** The alternatives of `values`, and the negated ones of `notValues`. */
const field = (list: Listed, matcher: Matcher, values?: readonly string[], notValues?: readonly string[]): Json[] => [
  ...(values === undefined ? [] : [or(list, values.map(matcher))]),
  ...(notValues === undefined ? [] : [not(list, or(list, notValues.map(matcher)))]),
];

const quoteMeta = (literal: string): string => literal.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&');
const regex = (pattern: string): Json => ({ safe_regex: { regex: pattern } });
function text(value: string, prefix = ''): Json {
  if (value === '*') return regex('.+');
  if (value.startsWith('*'))
    return prefix === '' ? { suffix: value.slice(1) } : regex(`${prefix}.*${quoteMeta(value.slice(1))}`);
  return value.endsWith('*') ? { prefix: prefix + value.slice(0, -1) } : { exact: prefix + value };
}

const range = (value: string): Json => {
  const [address, length] = value.split('/');
  return { address_prefix: address, prefix_len: Number(length ?? (value.includes(':') ? 128 : 32)) };
};
const peer = (matcher: Json): Json => ({ authenticated: { principal_name: matcher } });
const header = (name: string, value: string, ignoreCase = false): Json =>
  value === '*'
    ? { header: { name, present_match: true } }
    : { header: { name, string_match: { ...text(value), ...(ignoreCase ? { ignore_case: true } : {}) } } };
const metadata = (filter: string, path: readonly string[], value: Json): Json => ({
  metadata: { filter, path: path.map((key) => ({ key })), value },
});
const JWT = 'envoy.filters.http.jwt_authn';
const textOrList = (value: Json): Json => ({
  or_match: { value_matchers: [{ list_match: { one_of: value } }, value] },
});
const claim = (path: readonly string[], values: readonly string[]): Json =>
  metadata(
    JWT,
    ['payload', ...path],
    textOrList(
      values.length === 1
        ? { string_match: text(values[0] ?? '') }
        : { or_match: { value_matchers: values.map((value) => ({ string_match: text(value) })) } },
    ),
  );

function requestPrincipal(value: string): Json {
  const at = value.lastIndexOf('/');
  const [issuer, subject] = at < 0 ? [value, ''] : [value.slice(0, at), value.slice(at + 1)];
  const one = (name: string, matcher: Json): Json => metadata(JWT, ['payload', name], { string_match: matcher });
  const both = (iss: Json, sub: Json): Json => and('ids', [one('iss', iss), one('sub', sub)]);
  if (value === '*') return both(regex('.+'), regex('.+'));
  if (value.startsWith('*'))
    return at < 0
      ? both(regex('.+'), text(value))
      : both(issuer === '*' ? regex('.+') : text(issuer), { exact: subject });
  if (value.endsWith('*')) return at < 0 ? both(text(value), regex('.+')) : both({ exact: issuer }, text(subject));
  return both({ exact: issuer }, { exact: subject });
}

const principal: Matcher = (value) => peer(text(value, 'spiffe://'));
const namespaceOf: Matcher = (value) => peer(regex(`.*/ns/${value.split('*').map(quoteMeta).join('.*')}/.*`));
const serviceAccount =
  (own: string): Matcher =>
  (value) => {
    const [first = '', second] = value.split('/');
    const [namespace, account] = second === undefined ? [own, first] : [first, second];
    return peer(regex(`spiffe://.+/ns/${quoteMeta(namespace)}/(.+/|)sa/${quoteMeta(account)}(/.+)?`));
  };
const trustDomain: Matcher = (value) =>
  peer(regex(`spiffe://${value.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}/.*`));

const sourceOf = (source: Source, namespace: string): Json[] => [
  ...field('ids', principal, source.principals, source.notPrincipals),
  ...field('ids', requestPrincipal, source.requestPrincipals, source.notRequestPrincipals),
  ...field('ids', namespaceOf, source.namespaces, source.notNamespaces),
  ...field('ids', serviceAccount(namespace), source.serviceAccounts, source.notServiceAccounts),
  ...field('ids', trustDomain, source.trustDomains, source.notTrustDomains),
  ...field('ids', (value) => ({ direct_remote_ip: range(value) }), source.ipBlocks, source.notIpBlocks),
  ...field('ids', (value) => ({ remote_ip: range(value) }), source.remoteIpBlocks, source.notRemoteIpBlocks),
];

const path: Matcher = (value) =>
  value.includes('{*}') || value.includes('{**}')
    ? {
        uri_template: {
          name: 'uri-template',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
            path_template: value.replaceAll('{**}', '**').replaceAll('{*}', '*'),
          },
        },
      }
    : { url_path: { path: text(value) } };
const port: Matcher = (value) => ({ destination_port: Number(value) });

const operationOf = (operation: Operation): Json[] => [
  ...field('rules', (value) => header(':authority', value, true), operation.hosts, operation.notHosts),
  ...field('rules', (value) => header(':method', value), operation.methods, operation.notMethods),
  ...field('rules', path, operation.paths, operation.notPaths),
  ...field('rules', port, operation.ports, operation.notPorts),
];

const kindOf = (key: string): 'principal' | 'permission' =>
  ['destination.ip', 'destination.port', 'connection.sni'].includes(key) || key.startsWith('experimental.')
    ? 'permission'
    : 'principal';

function conditionOf({ key, values, notValues }: Condition, namespace: string): Json[] {
  const of = (list: Listed, matcher: Matcher): Json[] => field(list, matcher, values, notValues);
  const ofClaim = (claims: readonly string[]): Json[] => [
    ...(values === undefined ? [] : [claim(claims, values)]),
    ...(notValues === undefined ? [] : [not('ids', claim(claims, notValues))]),
  ];
  const [, inBrackets = ''] = /\[(.*)\]$/.exec(key) ?? [];
  if (key.startsWith('request.headers[')) return of('ids', (value) => header(inBrackets, value));
  if (key.startsWith('request.auth.claims[')) return ofClaim(inBrackets.split(']['));
  if (key.startsWith('experimental.')) {
    const filter = key.slice('experimental.'.length, key.indexOf('['));
    return of('rules', (value) =>
      metadata(
        filter,
        [inBrackets],
        value.startsWith('[')
          ? { list_match: { one_of: { string_match: text(value.slice(1, -1)) } } }
          : { string_match: text(value) },
      ),
    );
  }
  switch (key) {
    case 'source.ip':
      return of('ids', (value) => ({ direct_remote_ip: range(value) }));
    case 'remote.ip':
      return of('ids', (value) => ({ remote_ip: range(value) }));
    case 'source.namespace':
      return of('ids', namespaceOf);
    case 'source.principal':
      return of('ids', principal);
    case 'source.serviceAccount':
      return of('ids', serviceAccount(namespace));
    case 'source.trustDomain':
      return of('ids', trustDomain);
    case 'request.auth.principal':
      return of('ids', requestPrincipal);
    case 'request.auth.audiences':
      return ofClaim(['aud']);
    case 'request.auth.presenter':
      return ofClaim(['azp']);
    case 'destination.ip':
      return of('rules', (value) => ({ destination_ip: range(value) }));
    case 'destination.port':
      return of('rules', port);
    case 'connection.sni':
      return of('rules', (value) => ({ requested_server_name: text(value) }));
    default:
      throw new Error(`no condition has the key ${key}`);
  }
}
