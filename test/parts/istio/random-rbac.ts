/**
 * Random roles and bindings of RBAC v1alpha1, and the AuthorizationPolicy that means the same, from which Envoy's filter is configured.
 * Services and labels are known when a filter is configured, so they are compared here.
 */
import type { Random } from '../random.ts';
import type { Condition, PolicyDocument, PolicyRule, Source } from './policy.ts';

/** What the documents say of the workload that they are for. */
export const serviceOf = (namespace: string): string => `web.${namespace}.svc.cluster.local`;
export const LABELS = { app: 'web', version: 'v1' } as const;

type Texts = readonly string[];
interface AccessRule {
  readonly services: Texts;
  readonly methods?: Texts;
  readonly notMethods?: Texts;
  readonly paths?: Texts;
  readonly ports?: readonly number[];
  readonly constraints?: readonly { readonly key: string; readonly values: Texts }[];
}
interface Subject {
  readonly user?: string;
  readonly names?: Texts;
  readonly not_names?: Texts;
  readonly namespaces?: Texts;
  readonly not_namespaces?: Texts;
  readonly ips?: Texts;
  readonly not_ips?: Texts;
  readonly properties?: Readonly<Record<string, string>>;
}

const PRINCIPALS = [
  'cluster.local/ns/default/sa/sleep',
  'cluster.local/ns/shop/*',
  'old.example/ns/shop-two/sa/orders',
  '*/sa/orders',
];
const NAMESPACES = ['default', 'shop', 'dev'];
const ADDRESSES = ['127.0.0.1', '127.0.0.0/8', '127.0.0.3', '10.0.0.0/8'];

/** Each field with a chance of one in two. */
const some = <T extends object>(random: Random, fields: T): Partial<T> =>
  Object.fromEntries(Object.entries(fields).filter(() => random.chance(2))) as Partial<T>;
const texts = (random: Random, pool: Texts): Texts => [...new Set(random.list([1, 1, 2], () => random.one(pool)))];

function accessRule(random: Random, namespace: string, ports: Texts): AccessRule {
  const methods = random.chance(3)
    ? { notMethods: texts(random, ['GET', 'DELETE']) }
    : { methods: texts(random, ['GET', 'POST', 'P*', '*']) };
  const constraint = (): { key: string; values: Texts } =>
    random.one([
      { key: 'destination.labels[version]', values: texts(random, ['v1', 'v2', 'v*']) },
      { key: 'destination.port', values: texts(random, [...ports, '80']) },
      { key: 'destination.ip', values: texts(random, ['127.0.0.0/8', '10.0.0.0/8']) },
      { key: 'request.headers[x-user]', values: texts(random, ['ann', 'a*', '*', 'admin']) },
      { key: 'connection.sni', values: texts(random, ['shop.example', 'bank*', '*.example']) },
    ]);
  const constraints = [...new Map(random.list([1, 1, 2], constraint).map((one) => [one.key, one])).values()];
  const fields: Omit<AccessRule, 'services'> = some(random, {
    ...methods,
    paths: texts(random, ['/', '/admin', '/admin*', '*/info', '/a/b', '*']),
    ports: texts(random, [...ports, '80']).map(Number),
    constraints,
  });
  const hasPort = fields.constraints?.some(({ key }) => key === 'destination.port') === true;
  const { ports: _, ...withoutPorts } = fields;
  return {
    services: texts(random, [
      '*',
      serviceOf(namespace),
      serviceOf(namespace),
      'web.*',
      '*.svc.cluster.local',
      'other.svc',
    ]),
    ...(hasPort ? withoutPorts : fields), // both would say the same
  };
}

function subject(random: Random): Subject {
  const property = (): readonly [string, string] =>
    random.one([
      ['source.ip', random.one(ADDRESSES)],
      ['source.namespace', random.one(NAMESPACES)],
      ['source.principal', random.one(PRINCIPALS)],
      ['request.headers[x-role]', random.one(['admin', 'a*', '*n'])],
      ['request.auth.claims[groups]', random.one(['staff', 'ops', 's*'])],
      ['request.auth.audiences', random.one(['shop', 'bank'])],
    ]);
  const fields = some(random, {
    names: texts(random, PRINCIPALS),
    not_names: texts(random, PRINCIPALS),
    namespaces: texts(random, NAMESPACES),
    not_namespaces: texts(random, NAMESPACES),
    ips: texts(random, ADDRESSES),
    not_ips: texts(random, ADDRESSES),
    properties: Object.fromEntries(random.list([1, 1, 2], property)),
  });
  const same: Readonly<Record<string, object | undefined>> = {
    'source.ip': fields.ips ?? fields.not_ips,
    'source.namespace': fields.namespaces ?? fields.not_namespaces,
    'source.principal': fields.names ?? fields.not_names,
  };
  if (Object.keys(fields.properties ?? {}).some((key) => same[key] !== undefined)) delete fields.properties;
  // A subject says something.
  return Object.keys(fields).length > 0 && random.chance(2) ? fields : { user: random.one([...PRINCIPALS, '*']) };
}

const matches = (pattern: string, text: string): boolean =>
  pattern === '*' ||
  (pattern.endsWith('*')
    ? text.startsWith(pattern.slice(0, -1))
    : pattern.startsWith('*')
      ? text.endsWith(pattern.slice(1))
      : pattern === text);

/** `undefined` if the rule is not for the workload. */
function operationOf(rule: AccessRule, namespace: string): Pick<PolicyRule, 'to' | 'when'> | undefined {
  if (!rule.services.some((one) => matches(one, serviceOf(namespace)))) return undefined;
  const isStatic = (key: string): boolean => key.startsWith('destination.labels[');
  for (const { key, values } of rule.constraints ?? [])
    if (isStatic(key) && !values.some((one) => matches(one, LABELS.version))) return undefined;
  const { methods, notMethods, paths, ports } = rule;
  const operation = {
    ...(methods === undefined ? {} : { methods }),
    ...(notMethods === undefined ? {} : { notMethods }),
    ...(paths === undefined ? {} : { paths }),
    ...(ports === undefined ? {} : { ports: ports.map(String) }),
  };
  return { to: [{ operation }], when: (rule.constraints ?? []).filter(({ key }) => !isStatic(key)) };
}

function sourceOf({ user, names, not_names, namespaces, not_namespaces, ips, not_ips, properties = {} }: Subject): {
  readonly source: Source;
  readonly when: readonly Condition[];
} {
  const source: Source = {
    ...(names === undefined ? {} : { principals: names }),
    ...(user === undefined || user === '*' ? {} : { principals: [user] }),
    ...(not_names === undefined ? {} : { notPrincipals: not_names }),
    ...(namespaces === undefined ? {} : { namespaces }),
    ...(not_namespaces === undefined ? {} : { notNamespaces: not_namespaces }),
    ...(ips === undefined ? {} : { ipBlocks: ips }),
    ...(not_ips === undefined ? {} : { notIpBlocks: not_ips }),
  };
  return { source, when: Object.entries(properties).map(([key, value]) => ({ key, values: [value] })) };
}

export const RBAC_ON: object = {
  apiVersion: 'rbac.istio.io/v1alpha1',
  kind: 'ClusterRbacConfig',
  metadata: { name: 'default' },
  spec: { mode: 'ON' },
};

export interface RbacWorkload {
  readonly documents: readonly object[];
  /** That means the same. */
  readonly policies: readonly PolicyDocument[];
}

/** The roles and bindings of one namespace with one workload. */
export function randomRbac(random: Random, namespace: string, ports: Texts): RbacWorkload {
  const object = (kind: string, name: string, spec: object): object => ({
    apiVersion: 'rbac.istio.io/v1alpha1',
    kind,
    metadata: { name, namespace },
    spec,
  });
  const pairs = random.list([1, 1, 2, 3], (at) => ({
    name: `role${at}`,
    rules: random.list([1, 1, 2], () => accessRule(random, namespace, ports)),
    subjects: random.list([1, 1, 2], () => subject(random)),
  }));
  const rules = pairs.flatMap((pair) =>
    pair.rules.flatMap((rule) => {
      const operation = operationOf(rule, namespace);
      if (operation === undefined) return [];
      return pair.subjects.map((one): PolicyRule => {
        const { source, when } = sourceOf(one);
        return { from: [{ source }], ...operation, when: [...(operation.when ?? []), ...when] };
      });
    }),
  );
  return {
    documents: pairs.flatMap(({ name, rules: ofRole, subjects }) => [
      object('ServiceRole', name, { rules: ofRole }),
      object('ServiceRoleBinding', name, { subjects, roleRef: { kind: 'ServiceRole', name } }),
    ]),
    policies: [
      {
        apiVersion: 'security.istio.io/v1',
        kind: 'AuthorizationPolicy',
        metadata: { name: 'rbac', namespace },
        spec: { action: 'ALLOW', rules },
      },
    ],
  };
}
