/** Which services a proxy has clusters of, and which of its hosts are served, where a Sidecar names some: as istiod does. */
import { expect, test } from 'vitest';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { ControlPlane } from '../../../src/mesh/control-plane.ts';
import { DEFAULT_SETTINGS, type Mesh, meshOf } from '../../../src/mesh/model/mesh.ts';
import { KINDS } from '../../../src/mesh/rules/kinds.ts';
import { type MeshObjects, readObjects } from '../../../src/mesh/sources/objects.ts';
import { Findings } from '../../../src/yaml/findings.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names, resourcesFor } from '../../parts/mesh/resources.ts';
import { entry, ID, LABELS, object, sidecar } from '../../parts/mesh/web-sidecar.ts';

const MESH = ['web', 'canary', 'mirror', 'tcp', 'split', 'other'].map((name) =>
  entry(name, name === 'web' ? 'default' : 'far'),
);
const EGRESS = object('Sidecar', 'narrow', '{ egress: [{ hosts: ["./*"] }] }');
const host = (name: string): string => `outbound|80||${name}.far.svc.cluster.local`;

test('a route of a host that a Sidecar names has its clusters, also where the Sidecar does not name its destinations', async () => {
  const rule = object(
    'VirtualService',
    'web',
    `{ hosts: [web], http: [{ mirror: { host: mirror.far.svc.cluster.local }, route: [
        { destination: { host: canary.far.svc.cluster.local }, weight: 1 }, { destination: { host: web }, weight: 1 }] }],
       tcp: [{ route: [{ destination: { host: tcp.far.svc.cluster.local } }] }] }`,
  );
  const elsewhere = object(
    'VirtualService',
    'other',
    '{ hosts: [other], http: [{ route: [{ destination: { host: split } }] }] }',
    'far',
  );
  const all = await sidecar([...MESH, EGRESS, rule, elsewhere].join(''));
  const clusters = names(all, CLUSTER).filter((name) => name.startsWith('outbound|'));
  expect(clusters.toSorted()).toEqual(
    ['outbound|80||web.default.svc.cluster.local', ...['canary', 'mirror', 'tcp'].map(host)].toSorted(),
  );
  expect(names(all, ENDPOINTS)).toContain(host('canary'));
  // The application still calls what its Sidecar names, and nothing else.
  expect(JSON.stringify(named(all, ROUTES, '80')['virtual_hosts'])).not.toContain('"canary.far.svc.cluster.local');
});

test('a rule that leads elsewhere than before changes the clusters', async () => {
  const read = (text: string): Promise<MeshObjects> => readObjects([{ file: 'mesh.yaml', text }], new Findings());
  const to = (name: string): Promise<MeshObjects> =>
    read(
      object(
        'VirtualService',
        'web',
        `{ hosts: [web], http: [{ route: [{ destination: { host: ${name}.far.svc.cluster.local } }] }] }`,
      ),
    );
  // What stays is read once, as sources do.
  const fixed = await read([...MESH, EGRESS].join(''));
  const meshTo = async (name: string, before?: Mesh): Promise<Mesh> => {
    const rules = await to(name);
    const joined = Object.keys(KINDS).map((kind) => [kind, [fixed, rules].flatMap((one) => one[kind as 'Pod'])]);
    return meshOf(Object.fromEntries(joined) as unknown as MeshObjects, DEFAULT_SETTINGS, before);
  };
  const first = await meshTo('canary');
  const plane = new ControlPlane(first, '0');
  const proxy = { id: ID, cluster: '', metadata: { LABELS }, locality: undefined, peer: '', identity: undefined };
  const source = plane.connect(proxy, () => undefined);
  const clusters = async (): Promise<readonly string[]> =>
    [...((await source.resources()).byType.get(CLUSTER)?.keys() ?? [])].filter((name) =>
      /^outbound.*\.far\./.test(name),
    );
  expect(await clusters()).toEqual([host('canary')]);
  plane.use(await meshTo('mirror', first), '1');
  expect(await clusters()).toEqual([host('mirror')]);
});

test('a destination of a delegate has its cluster, and one that is not exported has none', async () => {
  const text = [
    entry('web', 'default'),
    entry('canary', 'far'),
    entry('hidden', 'far', 'exportTo: ["."]'),
    EGRESS,
    object('VirtualService', 'web', '{ hosts: [web], http: [{ delegate: { name: own, namespace: far } }] }'),
    object(
      'VirtualService',
      'own',
      '{ http: [{ match: [{ uri: { prefix: /a } }], route: [{ destination: { host: canary } }] }, { route: [{ destination: { host: hidden } }] }] }',
      'far',
    ),
  ].join('');
  const clusters = names(await sidecar(text), CLUSTER);
  expect(clusters).toContain(host('canary'));
  expect(clusters).not.toContain(host('hidden'));
});

test('an egress leaves out what stands behind ~', async () => {
  const hosts = async (egress: string): Promise<readonly string[]> => {
    const all = await sidecar([...MESH, object('Sidecar', 'narrow', `{ egress: [{ hosts: ${egress} }] }`)].join(''));
    return names(all, CLUSTER).filter((name) => name.startsWith('outbound|'));
  };
  expect(await hosts('["*/*"]')).toHaveLength(6);
  expect(await hosts('["*/*", "~far/*"]')).toEqual(['outbound|80||web.default.svc.cluster.local']);
  expect(await hosts('["*/*", "~/canary.far.svc.cluster.local"]')).toHaveLength(5);
  expect(await hosts('["~/*"]')).toEqual([]);
});

/** As Istio's page on TLS that an egress gateway makes has it: the service has port 443 alone, and applications call it at port 80. */
test('a rule that names port 80 serves its host there, though its service has no such port', async () => {
  const to = (match: string): string =>
    object(
      'VirtualService',
      'nginx',
      `{ hosts: [nginx.far.svc.cluster.local], gateways: [mesh, egress], http: [{ match: [${match}], route: [{ destination: { host: web } }] }] }`,
    );
  const served = async (match: string): Promise<readonly string[]> => {
    const { mesh } = await readMesh({
      'mesh.yaml': entry('web', 'default') + entry('nginx', 'far', '', 443) + to(match),
    });
    const all = resourcesFor(mesh, ID, { LABELS });
    expect(names(all, LISTENER)).toContain('0.0.0.0_80');
    const hosts = named(all, ROUTES, '80')['virtual_hosts'] as { name: string; domains: string[] }[];
    return hosts.find(({ name }) => name === 'nginx.far.svc.cluster.local:80')?.domains ?? [];
  };
  expect(await served('{ gateways: [mesh], port: 80 }')).toEqual([
    'nginx.far.svc.cluster.local',
    'nginx.far.svc.cluster.local.',
    'nginx.far',
    'nginx.far.svc',
  ]);
  expect(await served('{ port: 80 }')).toHaveLength(4);
  expect(await served('{ gateways: [egress], port: 80 }')).toEqual([]);
  expect(await served('{ port: 443 }')).toEqual([]);
});
