/** Which DestinationRule holds for a proxy. */
import { expect, test } from 'vitest';
import { memberOf } from '../../../src/mesh/resolve/proxy.ts';
import { scopeOf } from '../../../src/mesh/resolve/scope.ts';
import { CLUSTER } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, resourcesFor } from '../../parts/mesh/resources.ts';

const API = 'apiVersion: networking.istio.io/v1';
const entry = (name: string, namespace: string, more = '', port = 80): string => `
---
${API}
kind: ServiceEntry
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  hosts: [${name}.${namespace}.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${port}, name: http, protocol: HTTP }]
  endpoints: [{ address: 10.1.0.1, labels: { app: ${name} } }]
  ${more}
`;
const object = (kind: string, name: string, spec: string, namespace = 'default'): string => `
---
${API}
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
`;
const ID = 'sidecar~10.1.0.1~web-1.default~default.svc.cluster.local';
const LABELS = { app: 'web' };

async function sidecar(text: string) {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': text });
  expect(findings).toEqual([]);
  return resourcesFor(mesh, ID, { LABELS });
}

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
