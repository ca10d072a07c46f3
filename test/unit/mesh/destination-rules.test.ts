/** Which DestinationRule holds for a proxy. */
import { expect, test } from 'vitest';
import { memberOf } from '../../../src/mesh/resolve/proxy.ts';
import { scopeOf } from '../../../src/mesh/resolve/scope.ts';
import { CLUSTER } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named } from '../../parts/mesh/resources.ts';
import { entry, ID, object, sidecar } from '../../parts/mesh/web-sidecar.ts';

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
