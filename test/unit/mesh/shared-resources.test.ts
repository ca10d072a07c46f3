/**
 * The control plane makes the resources of proxies together, and again only where the mesh has changed; the naive way makes all for each.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { ControlPlane } from '../../../src/mesh/control-plane.ts';
import { resourcesOf } from '../../../src/mesh/envoy/resources.ts';
import { DEFAULT_SETTINGS, meshOf, type MeshSettings } from '../../../src/mesh/model/mesh.ts';
import { memberOf } from '../../../src/mesh/resolve/proxy.ts';
import { KINDS, type Kind } from '../../../src/mesh/rules/kinds.ts';
import { type MeshObjects, readObjects } from '../../../src/mesh/sources/objects.ts';
import { LISTENER, type Proxy, type SourceOfProxy } from '../../../src/xds/index.ts';
import { Findings } from '../../../src/yaml/findings.ts';
import { encodedByLibrary } from '../../parts/envoy-json-by-library.ts';
import { Random } from '../../parts/random.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const NAMESPACES = ['default', 'shop', 'istio-system'];
const LABELS = [{ app: 'a' }, { app: 'b' }, { app: 'a', version: 'v1' }, { version: 'v2' }, {}];
const HOSTS = ['a.default', 'b.shop', 'c.istio-system'].map((name) => `${name}.svc.cluster.local`);
const EXPORTS = [undefined, ['*'], ['.'], ['shop']];
const PORTS = [
  { number: 80, name: 'http', protocol: 'HTTP' },
  { number: 90, name: 'grpc', protocol: 'GRPC' },
  { number: 3306, name: 'tcp', protocol: 'TCP' },
  { number: 443, name: 'https', protocol: 'HTTPS' },
];

type Json = Readonly<Record<string, unknown>>;
const routeOf = (random: Random): readonly Json[] =>
  random.list([1, 2], () => ({
    destination: { host: random.one([...HOSTS, 'a']), subset: random.one([undefined, 'v1']) },
    weight: 50,
  }));
const SPECS: Partial<Record<Kind, (random: Random) => Json>> = {
  ServiceEntry: (random) => ({
    hosts: [random.one([...HOSTS, 'books.example.com', '*.example.com'])],
    ports: PORTS.filter((_, at) => at === 0 || random.chance(2)),
    location: random.one(['MESH_INTERNAL', 'MESH_EXTERNAL']),
    exportTo: random.one(EXPORTS),
    addresses: random.one([[], ['10.0.0.1'], ['10.0.0.2', '10.0.0.3']]),
    ...random.one<Json>([
      { resolution: 'NONE' },
      { resolution: 'NONE', workloadSelector: { labels: random.one(LABELS) } },
      { resolution: 'STATIC', workloadSelector: { labels: random.one(LABELS) } },
      {
        resolution: 'STATIC',
        endpoints: random.list([0, 1, 3], () => ({
          address: `10.1.0.${random.below(6)}`,
          labels: random.one(LABELS),
          ...random.one<Json>([
            {},
            { locality: 'eu/one' },
            { locality: 'us' },
            { weight: 3 },
            { serviceAccount: 'books' },
          ]),
        })),
      },
      { resolution: 'DNS', endpoints: [{ address: 'one.example.com' }] },
    ]),
  }),
  Service: (random) => ({
    clusterIP: random.one(['None', 'None', '10.0.0.9']),
    selector: random.one(LABELS.slice(0, 4)),
    ports: [
      { name: 'redis', port: 6379, ...random.one<Json>([{}, { targetPort: 6380 }]) },
      { name: 'http', port: 80 },
    ],
  }),
  WorkloadEntry: (random) => ({
    address: `10.1.0.${random.below(6)}`,
    labels: random.one(LABELS),
    locality: random.one([undefined, 'eu/one', 'us']),
    ...random.one<Json>([{}, { serviceAccount: 'worker' }, { serviceAccount: 'other' }]),
  }),
  VirtualService: (random) => ({
    hosts: [random.one([...HOSTS, '*.example.com', '*.shop.svc.cluster.local', 'a'])],
    exportTo: random.one(EXPORTS),
    gateways: random.one([undefined, ['mesh'], ['front'], ['mesh', 'front']]),
    http: random.list([1, 2], () => ({
      match: random.one([
        undefined,
        [{ sourceLabels: random.one(LABELS) }],
        [{ uri: { prefix: '/a' }, sourceNamespace: random.one([undefined, 'shop']) }],
        [{ port: 90, headers: { user: { exact: 'jason' } } }],
      ]),
      ...(random.chance(4)
        ? { delegate: { name: `virtualservice-${random.below(7)}`, namespace: random.one(NAMESPACES) } }
        : { route: routeOf(random) }),
    })),
    ...random.one<Json>([
      {},
      { tcp: [{ match: [{ sourceLabels: random.one(LABELS) }], route: [{ destination: { host: HOSTS[0] } }] }] },
    ]),
  }),
  DestinationRule: (random) => ({
    host: random.one([...HOSTS, '*.example.com', 'a', '*.svc.cluster.local']),
    exportTo: random.one(EXPORTS),
    workloadSelector: random.one([undefined, undefined, { matchLabels: random.one(LABELS.slice(0, 4)) }]),
    subsets: random.list([0, 1, 2], (at) => ({ name: `v${at + 1}`, labels: random.one(LABELS) })),
    trafficPolicy: random.one([
      undefined,
      { loadBalancer: { simple: random.one(['RANDOM', 'PASSTHROUGH']) } },
      { loadBalancer: { consistentHash: { httpHeaderName: 'user' } } },
      { tls: { mode: random.one(['SIMPLE', 'ISTIO_MUTUAL', 'DISABLE']) } },
      {
        outlierDetection: { consecutive5xxErrors: 3 },
        loadBalancer: { localityLbSetting: random.one<Json>([{}, { failoverPriority: ['app', 'version=v1'] }]) },
      },
      { loadBalancer: { localityLbSetting: { distribute: [{ from: 'eu/*', to: { 'eu/one': 80, us: 20 } }] } } },
      { connectionPool: { tcp: { maxConnections: 1 + random.below(3) } } },
    ]),
  }),
  Sidecar: (random) => ({
    ...random.one<Json>([{}, { workloadSelector: { labels: random.one(LABELS.slice(0, 4)) } }]),
    ...random.one<Json>([
      {},
      { ingress: [{ port: PORTS[0], defaultEndpoint: '127.0.0.1:8080' }] },
      { ingress: [{ port: PORTS[2], bind: '127.0.0.9', defaultEndpoint: '127.0.0.1:8080' }] },
    ]),
    egress: random.one([
      [{ hosts: ['*/*'] }],
      [{ hosts: ['./*', 'shop/*'] }],
      [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, bind: '127.0.0.9', hosts: ['*/*'] }],
    ]),
  }),
  Gateway: (random) => ({
    selector: random.one(LABELS),
    servers: [{ port: { number: 8080, name: 'http', protocol: 'HTTP' }, hosts: [random.one(['*', HOSTS[0]])] }],
  }),
  PeerAuthentication: (random) => ({
    ...random.one<Json>([{}, { selector: { matchLabels: random.one(LABELS.slice(0, 4)) } }]),
    mtls: { mode: random.one(['STRICT', 'PERMISSIVE', 'DISABLE']) },
  }),
  Policy: (random) => ({
    peers: random.one([[], [{ mtls: { mode: 'STRICT' } }]]),
    targets: random.list([0, 1, 2], () => ({ name: random.one(['a', 'b', 'c']) })),
  }),
};
/** A VirtualService that others delegate routes to. */
const delegate = (random: Random): Json => ({
  http: [
    { match: [{ uri: { prefix: '/a' }, sourceLabels: random.one(LABELS) }], route: routeOf(random) },
    { route: routeOf(random) },
  ],
});
const API: Partial<Record<Kind, string>> = {
  Service: 'v1',
  PeerAuthentication: 'security.istio.io/v1',
  Policy: 'authentication.istio.io/v1alpha1',
};

/** Objects of all kinds, each read once, so that those that stay are the same values. */
async function randomObjects(random: Random): Promise<readonly MeshObjects[]> {
  const all: Promise<MeshObjects>[] = [];
  for (const kind of Object.keys(SPECS) as Kind[])
    for (let at = 0; at < (kind === 'WorkloadEntry' ? 20 : kind === 'VirtualService' ? 7 : 5); at++) {
      const name = kind === 'Gateway' ? 'front' : `${kind.toLowerCase()}-${at}`;
      all.push(
        read(
          kind,
          name,
          random.one(NAMESPACES),
          (kind === 'VirtualService' && at >= 4 ? delegate(random) : SPECS[kind]?.(random)) ?? {},
        ),
      );
    }
  return Promise.all(all);
}

async function read(kind: Kind, name: string, namespace: string, spec: Json): Promise<MeshObjects> {
  const object = { apiVersion: API[kind] ?? 'networking.istio.io/v1', kind, metadata: { name, namespace }, spec };
  const findings = new Findings();
  const objects = await readObjects([{ file: `${kind}-${name}.yaml`, text: JSON.stringify(object) }], findings);
  expect(findings.sorted([]).filter(({ severity }) => severity === 'error')).toEqual([]);
  return objects;
}

const joined = (all: readonly MeshObjects[]): MeshObjects =>
  Object.fromEntries(
    (Object.keys(KINDS) as Kind[]).map((kind) => [kind, all.flatMap((one): readonly unknown[] => one[kind])]),
  ) as unknown as MeshObjects;

const randomProxy = (random: Random, at: number): Proxy => ({
  id: `${random.one(['sidecar', 'sidecar', 'router'])}~${random.one([`10.1.0.${at}`, `fd00::${at}`])}~pod-${at}.${random.one(NAMESPACES)}~x`,
  cluster: '',
  metadata: {
    INTERCEPTION_MODE: random.one(['NONE', 'REDIRECT', 'TPROXY']),
    ...random.one<Json>([{}, { LABELS: random.one(LABELS) }]),
    ...random.one<Json>([{}, { SDS_CLUSTER: 'sds-grpc' }, { SDS_CLUSTER: 'sds-grpc' }]),
  } as Proxy['metadata'],
  locality: random.one([
    undefined,
    { region: 'eu', zone: 'one', subZone: '' },
    { region: 'us', zone: '', subZone: '' },
  ]),
  peer: '127.0.0.1:1',
  identity: undefined,
});

const SETTINGS: readonly MeshSettings[] = [
  DEFAULT_SETTINGS,
  {
    ...DEFAULT_SETTINGS,
    outbound: 'REGISTRY_ONLY',
    identities: { trustDomain: 'cluster.local', trustDomainAliases: [] },
    sluice: { cluster: 'sluice', checkTimeoutMs: 100, limitTimeoutMs: 100, failOpen: true, limitDomain: 'mesh' },
  },
];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

async function expectAsAlone(plane: ControlPlane, proxy: Proxy, source: SourceOfProxy): Promise<void> {
  const member = memberOf(proxy, plane.mesh);
  if ('wrong' in member) throw new Error(member.wrong);
  const alone = resourcesOf(plane.mesh, member).map(
    ({ typeUrl, name, json, origin }) => `${typeUrl} ${name} ${origin ?? ''} ${hex(encodedByLibrary(typeUrl, json))}`,
  );
  const { byType, version } = await source.resources();
  expect(version).toBe(plane.version);
  const shared = [...byType].flatMap(([typeUrl, all]) =>
    [...all.values()].map(({ name, value, origin }) => `${typeUrl} ${name} ${origin ?? ''} ${hex(value)}`),
  );
  expect(shared.toSorted()).toEqual(alone.toSorted());
}

test.for(Array.from({ length: Number(process.env['RUNS'] ?? 20) }, (_, seed) => seed))(
  'mesh %i, after each of its changes: what proxies share and what each has alone is byte for byte what it would have by itself',
  async (seed) => {
    const random = new Random(seed);
    const pool = await randomObjects(random);
    const proxies = Array.from({ length: 8 }, (_, at) => randomProxy(random, at));
    const settings = SETTINGS[random.chance(3) ? 0 : 1] as MeshSettings;
    let used = pool.filter(() => random.chance(2));
    const plane = new ControlPlane(meshOf(joined(used), settings), '0');
    const open = proxies.map((proxy) => ({ proxy, source: plane.connect(proxy, () => undefined) }));
    for (let step = 1; step <= 6; step++) {
      for (const { proxy, source } of open) {
        if (random.chance(4)) continue; // pushed later
        await expectAsAlone(plane, proxy, source);
      }
      if (random.chance(6)) used = used.toReversed();
      const changed = new Set(random.list([1, 2, 4], () => random.one(pool)));
      used = [...used.filter((one) => !changed.has(one)), ...[...changed].filter((one) => !used.includes(one))];
      // Asked for before the change, and made after it.
      const during = random.chance(2) ? open.map(({ source }) => source.resources()) : [];
      plane.use(meshOf(joined(used), settings, plane.mesh), String(step));
      await Promise.all(during.map(async (made) => made));
    }
  },
);

test.for([
  ['PeerAuthentication', { mtls: { mode: 'DISABLE' } }],
  ['Policy', { peers: [], targets: [{ name: 'a' }] }],
] as const)(
  'a %s says anew which endpoints take mutual TLS, and so do new endpoints at its target',
  async ([kind, spec]) => {
    const settings = SETTINGS[1] as MeshSettings;
    const workload = (name: string, address: string): Promise<MeshObjects> =>
      read('WorkloadEntry', name, 'default', { address, labels: { app: name }, serviceAccount: 'worker' });
    const service = (name: string): Promise<MeshObjects> =>
      read('ServiceEntry', name, 'default', {
        hosts: [`${name}.default.svc.cluster.local`],
        ports: PORTS.slice(0, 1),
        resolution: 'STATIC',
        location: 'MESH_INTERNAL',
        workloadSelector: { labels: { app: name } },
      });
    const [first, other, target, same, rule] = await Promise.all([
      workload('a', '10.1.0.1'),
      workload('b', '10.1.0.2'),
      service('a'),
      service('b'),
      read(kind, 'default', 'default', spec),
    ]);
    // A second workload at the address of another: the policy of one service holds for both.
    const moved = await read('WorkloadEntry', 'a2', 'default', {
      address: '10.1.0.2',
      labels: { app: 'a' },
      serviceAccount: 'worker',
    });
    const plane = new ControlPlane(meshOf(joined([first, other, target, same]), settings), '0');
    const proxy: Proxy = {
      ...randomProxy(new Random(1), 9),
      id: 'sidecar~10.1.0.9~pod.default~x',
      metadata: { INTERCEPTION_MODE: 'NONE', SDS_CLUSTER: 'sds-grpc' },
    };
    const source = plane.connect(proxy, () => undefined);
    await expectAsAlone(plane, proxy, source);
    for (const [step, more] of [[rule], [rule, moved], [moved], []].entries()) {
      plane.use(meshOf(joined([first, other, target, same, ...more]), settings, plane.mesh), String(step));
      await expectAsAlone(plane, proxy, source);
    }
  },
);

test.for(['Service', 'ServiceEntry'] as const)(
  'pods of a headless %s have listeners as they come and go',
  async (kind) => {
    const pod = (name: string, address: string): Promise<MeshObjects> =>
      read('WorkloadEntry', name, 'default', { address, labels: { app: 'redis' } });
    const service = await read(
      kind,
      'redis',
      'default',
      kind === 'Service'
        ? { clusterIP: 'None', selector: { app: 'redis' }, ports: [{ name: 'redis', port: 6379 }] }
        : {
            hosts: ['redis.example.com'],
            ports: [{ number: 6379, name: 'redis', protocol: 'REDIS' }],
            resolution: 'NONE',
            workloadSelector: { labels: { app: 'redis' } },
          },
    );
    const [one, two] = [await pod('one', '10.1.0.1'), await pod('two', '10.1.0.2')];
    const plane = new ControlPlane(meshOf(joined([service, one])), '0');
    const proxy: Proxy = { ...randomProxy(new Random(1), 9), id: 'sidecar~10.1.0.9~pod.default~x', metadata: {} };
    const source = plane.connect(proxy, () => undefined);
    const pods = async (): Promise<readonly string[]> =>
      [...((await source.resources()).byType.get(LISTENER)?.keys() ?? [])].filter((name) => name.endsWith('_6379'));
    expect(await pods()).toEqual(['10.1.0.1_6379']);
    plane.use(meshOf(joined([service, one, two]), undefined, plane.mesh), '1');
    expect(await pods()).toEqual(['10.1.0.1_6379', '10.1.0.2_6379']);
    plane.use(meshOf(joined([service, two]), undefined, plane.mesh), '2');
    expect(await pods()).toEqual(['10.1.0.2_6379']);
    await expectAsAlone(plane, proxy, source);
  },
);

test('earlier states of the mesh are let go', async () => {
  const pods = await Promise.all(
    ['10.1.0.1', '10.1.0.2'].map((address) =>
      read('WorkloadEntry', 'pod', 'default', { address, labels: { app: 'a' } }),
    ),
  );
  const service = await read('ServiceEntry', 'a', 'default', {
    hosts: ['a.default.svc.cluster.local'],
    ports: PORTS.slice(0, 1),
    resolution: 'STATIC',
    location: 'MESH_INTERNAL',
    workloadSelector: { labels: { app: 'a' } },
  });
  const plane = new ControlPlane(meshOf(joined([service])), '0');
  const sources = NAMESPACES.map((namespace) =>
    plane.connect(
      { ...randomProxy(new Random(1), 9), id: `sidecar~10.1.0.9~pod.${namespace}~x`, metadata: {} },
      () => undefined,
    ),
  );
  const states: WeakRef<object>[] = [];
  for (let step = 1; step <= 30; step++) {
    plane.use(meshOf(joined([service, pods[step % 2] as MeshObjects]), undefined, plane.mesh), String(step));
    states.push(new WeakRef(plane.mesh));
    for (const source of sources) await source.resources();
  }
  await nextTurn(); // a WeakRef keeps its object for the turn in which it was made
  collectGarbage();
  expect(states.filter((state) => state.deref() !== undefined).length).toBeLessThan(5);
});
