/** Which DestinationRule holds for a proxy. */
import { expect, test } from 'vitest';
import { memberOf } from '../../../src/mesh/resolve/proxy.ts';
import { scopeOf } from '../../../src/mesh/resolve/scope.ts';
import { CLUSTER } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named } from '../../parts/mesh/resources.ts';
import { entry, ID, LABELS, object, sidecar } from '../../parts/mesh/web-sidecar.ts';

test('a rule that selects workloads limits the calls that they make, not those that they get', async () => {
  const rule = (name: string, most: number, more = ''): string =>
    object(
      'DestinationRule',
      name,
      `{ host: web, ${more} trafficPolicy: { connectionPool: { tcp: { maxConnections: ${most} } } } }`,
    );
  const all = await sidecar(
    entry('web', 'default') + rule('all', 5) + rule('own', 7, 'workloadSelector: { matchLabels: { app: web } },'),
  );
  const most = (cluster: string) => named(all, CLUSTER, cluster)['circuit_breakers'];
  expect(most('outbound|80||web.default.svc.cluster.local')).toMatchObject({ thresholds: [{ max_connections: 7 }] });
  expect(most('inbound|80||')).toMatchObject({ thresholds: [{ max_connections: 5 }] });
});

test('several rules for one host come to the same value for all who see them, and for as long as they stay', async () => {
  const subset = (name: string): string =>
    object('DestinationRule', name, `{ host: web, subsets: [{ name: ${name}, labels: { version: ${name} } }] }`);
  const { mesh } = await readMesh({ 'mesh.yaml': entry('web', 'default') + subset('v1') + subset('v2') });
  const ruleIn = (namespace: string, rules = mesh.rules.DestinationRule) => {
    const changed = { ...mesh, rules: { ...mesh.rules, DestinationRule: rules } };
    const member = memberOf({ id: ID, metadata: { NAMESPACE: namespace }, identity: undefined }, changed);
    if ('wrong' in member) throw new Error(member.wrong);
    return scopeOf(changed, member).destinationRule('web.default.svc.cluster.local');
  };
  const first = ruleIn('default');
  expect(first?.spec.subsets.map(({ name }) => name)).toEqual(['v1', 'v2']);
  expect(ruleIn('shop')).toBe(first);
  expect(ruleIn('shop', [...mesh.rules.DestinationRule])).toBe(first);
  expect(ruleIn('shop', mesh.rules.DestinationRule.toReversed())).not.toBe(first);
});

const limit = (name: string, most: number, more: string, namespace = 'default'): string =>
  object(
    'DestinationRule',
    name,
    `{ host: web.default.svc.cluster.local, ${more} trafficPolicy: { connectionPool: { tcp: { maxConnections: ${most} } } } }`,
    namespace,
  );
/** How many connections the rule that holds allows to callers of a namespace; `undefined`: none holds. */
async function limitFor(namespace: string, rules: string): Promise<number | undefined> {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': entry('web', 'default') + rules });
  expect(findings).toEqual([]);
  const member = memberOf({ id: ID, metadata: { NAMESPACE: namespace, LABELS }, identity: undefined }, mesh);
  if ('wrong' in member) throw new Error(member.wrong);
  const rule = scopeOf(mesh, member).destinationRule('web.default.svc.cluster.local');
  return rule?.spec.trafficPolicy?.connectionPool?.tcp?.maxConnections;
}

test.each([
  ['exportTo: ["*"],', { default: 5, shop: 5 }],
  ['exportTo: ["."],', { default: 5, shop: undefined }],
  ['exportTo: [default],', { default: 5, shop: undefined }],
  ['exportTo: ["~"],', { default: undefined, shop: undefined }],
  // Its own namespace is not among those that it names.
  ['exportTo: [shop],', { default: undefined, shop: 5 }],
  ['exportTo: [".", shop],', { default: 5, shop: 5 }],
])('a rule holds for callers of the namespaces that it is exported to: %s', async (exportTo, expected) => {
  for (const [namespace, most] of Object.entries(expected))
    expect(await limitFor(namespace, limit('one', 5, exportTo)), namespace).toBe(most);
});

test('a rule of the caller goes before one of the service, and that before one of the root namespace', async () => {
  const [own, near, root] = [limit('own', 1, '', 'shop'), limit('near', 2, ''), limit('root', 3, '', 'istio-system')];
  expect(await limitFor('shop', own + near + root)).toBe(1);
  expect(await limitFor('shop', near + root)).toBe(2);
  expect(await limitFor('shop', limit('near', 2, 'exportTo: ["."],') + root)).toBe(3);
  // The root namespace keeps no rule for itself that would hide that of the service.
  expect(await limitFor('istio-system', near + root)).toBe(2);
  expect(await limitFor('istio-system', near + limit('root', 3, 'exportTo: ["."],', 'istio-system'))).toBe(3);
});

test('in the namespace of the caller the rules for the most specific host count alone', async () => {
  const selecting = limit('own', 1, 'workloadSelector: { matchLabels: { app: other } },', 'shop');
  const wild = limit('wild', 4, '', 'shop').replace('web.default.svc.cluster.local', '"*.default.svc.cluster.local"');
  expect(await limitFor('shop', selecting + wild + limit('near', 2, ''))).toBeUndefined();
  expect(await limitFor('shop', wild + limit('near', 2, ''))).toBe(4);
  expect(await limitFor('shop', selecting.replace('app: other', 'app: web') + wild)).toBe(1);
});

test('rules for one host that are exported to different namespaces are not joined; the newest counts', async () => {
  const subset = (name: string, more: string): string =>
    object(
      'DestinationRule',
      name,
      `{ host: web, ${more} subsets: [{ name: ${name}, labels: { version: ${name} } }] }`,
    );
  const subsets = async (rules: string): Promise<readonly string[]> => {
    const { mesh } = await readMesh({ 'mesh.yaml': entry('web', 'default') + rules });
    const member = memberOf({ id: ID, metadata: { NAMESPACE: 'default' }, identity: undefined }, mesh);
    if ('wrong' in member) throw new Error(member.wrong);
    const rule = scopeOf(mesh, member).destinationRule('web.default.svc.cluster.local');
    return rule?.spec.subsets.map(({ name }) => name) ?? [];
  };
  expect(await subsets(subset('v1', '') + subset('v2', ''))).toEqual(['v1', 'v2']);
  expect(await subsets(subset('v1', 'exportTo: ["."],') + subset('v2', ''))).toEqual(['v2']);
  expect(await subsets(subset('v1', 'exportTo: ["."],') + subset('v2', 'exportTo: [".", shop],'))).toEqual([
    'v1',
    'v2',
  ]);
});
