/** Which connections a port of a workload takes, by PeerAuthentications and by the Policies of Istio 1.0.2. */
import { describe, expect, test } from 'vitest';
import type { Mesh } from '../../../src/mesh/model/mesh.ts';
import { mtlsModeAt, type MutualTlsMode } from '../../../src/mesh/resolve/mutual-tls.ts';
import { fixture, readMesh } from '../../parts/mesh/read-mesh.ts';
import { Random } from '../../parts/random.ts';

const IDENTITIES = { trustDomain: 'cluster.local', trustDomainAliases: [] };

async function meshOf(...texts: readonly string[]): Promise<Mesh> {
  const { mesh, findings } = await readMesh(
    { 'services.yaml': fixture('services.yaml'), 'rules.yaml': texts.join('\n---\n') },
    { identities: IDENTITIES },
  );
  expect(findings).toEqual([]);
  return mesh;
}

const peers = (metadata: string, spec: string): string =>
  `apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: { ${metadata} }\nspec: { ${spec} }`;
const old = (kind: string, metadata: string, spec: string): string =>
  `apiVersion: authentication.istio.io/v1alpha1\nkind: ${kind}\nmetadata: { ${metadata} }\nspec: { ${spec} }`;

/** As services.yaml has them. */
const REVIEWS = { namespace: 'default', address: '127.0.10.1', labels: new Map([['app', 'reviews']]) };
const RATINGS = { namespace: 'default', address: '127.0.10.3', labels: new Map([['app', 'ratings']]) };
const MONGO = { namespace: 'data', address: '127.0.10.4', labels: new Map<string, string>() };
const at = (mesh: Mesh, port = 9080): readonly MutualTlsMode[] => [
  mtlsModeAt(mesh, REVIEWS, port),
  mtlsModeAt(mesh, RATINGS, port),
  mtlsModeAt(mesh, MONGO, 27017),
];

describe('PeerAuthentication', () => {
  test('without any, both cleartext and mutual TLS are taken', async () =>
    expect(at(await meshOf())).toEqual(['PERMISSIVE', 'PERMISSIVE', 'PERMISSIVE']));

  test('the workload goes before the namespace, the namespace before the mesh', async () => {
    const mesh = await meshOf(
      peers('name: a, namespace: istio-system', 'mtls: { mode: STRICT }'),
      peers('name: a, namespace: default', 'mtls: { mode: DISABLE }'),
      peers('name: b, namespace: default', 'selector: { matchLabels: { app: ratings } }, mtls: { mode: PERMISSIVE }'),
    );
    expect(at(mesh)).toEqual(['DISABLE', 'PERMISSIVE', 'STRICT']);
  });

  test('a port of a workload has a mode of its own, and UNSET inherits', async () => {
    const mesh = await meshOf(
      peers('name: a, namespace: default', 'mtls: { mode: STRICT }'),
      peers(
        'name: b, namespace: default',
        'selector: { matchLabels: { app: ratings } }, mtls: { mode: UNSET }, portLevelMtls: { 9080: { mode: DISABLE }, 9081: {} }',
      ),
    );
    expect([at(mesh)[1], at(mesh, 9081)[1], at(mesh, 9082)[1]]).toEqual(['DISABLE', 'STRICT', 'STRICT']);
  });

  test('equals a naive reading of the rules, for random sets of them', async () => {
    const MODES = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;
    const random = new Random(22);
    for (let round = 0; round < 25; round++) {
      const rules = random.list([0, 1, 3, 8, 20], (nth) => {
        const selector = random.chance(2) ? { [random.one(['app', 'tier'])]: random.one(['a', 'b']) } : undefined;
        return {
          name: `rule-${nth}`,
          namespace: random.one(['istio-system', 'one', 'two']),
          createdAt: new Date(Date.UTC(2026, 0, 1 + random.below(5))).toISOString(),
          selector,
          mode: random.chance(4) ? undefined : random.one(MODES),
          ports:
            selector === undefined || random.chance(2)
              ? {}
              : Object.fromEntries(random.list([1, 2], () => [random.one([80, 81, 82]), random.one(MODES)])),
        };
      });
      const mesh = await meshOf(
        ...rules.map(({ name, namespace, createdAt, selector, mode, ports }) =>
          peers(
            `name: ${name}, namespace: ${namespace}, creationTimestamp: "${createdAt}"`,
            JSON.stringify({
              ...(selector === undefined ? {} : { selector: { matchLabels: selector } }),
              ...(mode === undefined ? {} : { mtls: { mode } }),
              ...(Object.keys(ports).length === 0
                ? {}
                : {
                    portLevelMtls: Object.fromEntries(
                      Object.entries(ports).map(([port, own]) => [port, { mode: own }]),
                    ),
                  }),
            }).slice(1, -1),
          ),
        ),
      );
      const oldest = (own: typeof rules): (typeof rules)[number] | undefined =>
        own.toSorted((a, b) => (a.createdAt + a.namespace + a.name < b.createdAt + b.namespace + b.name ? -1 : 1))[0];
      for (const namespace of ['istio-system', 'one', 'two', 'three'])
        for (const labels of [{}, { app: 'a' }, { app: 'b', tier: 'a' }] as Readonly<Record<string, string>>[])
          for (const port of [80, 81, 82, 83]) {
            const inMesh = oldest(rules.filter((one) => one.namespace === 'istio-system' && !one.selector));
            const inNamespace = oldest(rules.filter((one) => one.namespace === namespace && !one.selector));
            const ofWorkload = oldest(
              rules.filter(
                (one) =>
                  one.namespace === namespace &&
                  namespace !== 'istio-system' &&
                  one.selector !== undefined &&
                  Object.entries(one.selector).every(([name, value]) => labels[name] === value),
              ),
            );
            let mode = 'PERMISSIVE';
            for (const stated of [inMesh?.mode, inNamespace?.mode, ofWorkload?.mode, ofWorkload?.ports[port]])
              if (stated !== undefined && stated !== 'UNSET') mode = stated;
            const workload = { namespace, address: '127.0.0.1', labels: new Map(Object.entries(labels)) };
            expect([round, namespace, labels, port, mtlsModeAt(mesh, workload, port)]).toEqual([
              round,
              namespace,
              labels,
              port,
              mode,
            ]);
          }
    }
  });
});

describe('Policy and MeshPolicy of Istio 1.0.2', () => {
  test('mtls without a mode is STRICT, no method is cleartext, and a service goes before its namespace', async () => {
    const mesh = await meshOf(
      old('MeshPolicy', 'name: default', 'peers: [{ mtls: {} }]'),
      old('Policy', 'name: default, namespace: default', ''),
      old(
        'Policy',
        'name: ratings, namespace: default',
        'targets: [{ name: ratings }], peers: [{ mtls: { mode: PERMISSIVE } }]',
      ),
    );
    expect(at(mesh)).toEqual(['DISABLE', 'PERMISSIVE', 'STRICT']);
  });

  test('a target may name ports of the service', async () => {
    const mesh = await meshOf(
      old(
        'Policy',
        'name: a, namespace: default',
        'targets: [{ name: reviews, ports: [{ number: 9080 }] }], peers: [{ mtls: {} }]',
      ),
      old(
        'Policy',
        'name: b, namespace: default',
        'targets: [{ name: ratings, ports: [{ name: other }] }], peers: [{ mtls: {} }]',
      ),
    );
    expect(at(mesh)).toEqual(['STRICT', 'PERMISSIVE', 'PERMISSIVE']);
  });

  test('hold only where no PeerAuthentication says a mode', async () => {
    const mesh = await meshOf(
      old('MeshPolicy', 'name: default', 'peers: [{ mtls: {} }]'),
      peers('name: a, namespace: default', 'mtls: { mode: DISABLE }'),
      peers('name: a, namespace: data', 'mtls: { mode: UNSET }'),
    );
    expect(at(mesh)).toEqual(['DISABLE', 'DISABLE', 'STRICT']);
  });
});
