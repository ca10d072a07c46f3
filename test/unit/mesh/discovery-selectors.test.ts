/** `discoverySelectors` of a MeshConfig: which namespaces belong to the mesh, from files and from an API server, while labels change. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { DEFAULT_SETTINGS, type Mesh, type MeshSettings } from '../../../src/mesh/model/mesh.ts';
import { isSelected, type LabelSelector } from '../../../src/mesh/rules/label-selector.ts';
import { readMeshConfig } from '../../../src/mesh/rules/mesh-config.ts';
import { readMesh as readPaths } from '../../../src/mesh/sources/read-mesh.ts';
import { MeshLoader } from '../../../src/serve/mesh/mesh-loader.ts';
import { Findings } from '../../../src/yaml/findings.ts';
import { type FakeKubeApi, startFakeKubeApi } from '../../parts/fake-kube-api.ts';
import { installIstio, type Manifest, NETWORKING, put, SECURITY } from '../../parts/mesh/kubernetes.ts';
import { resourcesFor } from '../../parts/mesh/resources.ts';

async function selectorsOf(yaml: string): Promise<{
  readonly selectors: readonly LabelSelector[] | undefined;
  readonly findings: readonly string[];
}> {
  const findings = new Findings();
  const config = await readMeshConfig('mesh.yaml', yaml, findings);
  return {
    selectors: config?.settings.discoverySelectors,
    findings: findings
      .sorted(['mesh.yaml'])
      .map(({ position: { line, column }, severity, message }) => `${line}:${column} ${severity} ${message}`),
  };
}

const settingsWith = async (yaml: string): Promise<MeshSettings> => {
  const { selectors, findings } = await selectorsOf(yaml);
  expect(findings).toEqual([]);
  const identities = { trustDomain: 'cluster.local', trustDomainAliases: [] };
  return { ...DEFAULT_SETTINGS, identities, discoverySelectors: selectors };
};

describe('a discovery selector', () => {
  const matches = async (selector: string, labels: Readonly<Record<string, string>>): Promise<boolean> => {
    const { selectors, findings } = await selectorsOf(`discoverySelectors: ${selector}`);
    expect(findings).toEqual([]);
    return isSelected(selectors, new Map(Object.entries(labels)));
  };

  test.for([
    ['[{ matchLabels: { env: prod, region: eu } }]', [{ env: 'prod', region: 'eu', more: 'x' }], [{ env: 'prod' }, {}]],
    [
      '[{ matchLabels: { env: prod } }, { matchLabels: { app: web } }]',
      [{ env: 'prod' }, { app: 'web' }],
      [{ app: 'b' }],
    ],
    ['[{ matchExpressions: [{ key: app, operator: In, values: [a, b] }] }]', [{ app: 'b' }], [{ app: 'c' }, {}]],
    ['[{ matchExpressions: [{ key: app, operator: NotIn, values: [a, b] }] }]', [{ app: 'c' }, {}], [{ app: 'a' }]],
    ['[{ matchExpressions: [{ key: app, operator: Exists }] }]', [{ app: '' }], [{}]],
    ['[{ matchExpressions: [{ key: example.com/app, operator: DoesNotExist }] }]', [{}], [{ 'example.com/app': 'a' }]],
    [
      '[{ matchLabels: { env: prod }, matchExpressions: [{ key: app, operator: Exists }] }]',
      [{ env: 'prod', app: 'a' }],
      [{ env: 'prod' }, { app: 'a' }],
    ],
    ['[{}]', [{}, { a: 'b' }], []],
    ['[]', [{}, { a: 'b' }], []],
  ] as const)('%s', async ([selector, those, others]) => {
    for (const labels of those) expect(await matches(selector, labels)).toBe(true);
    for (const labels of others)
      expect(await matches(selector, labels as Readonly<Record<string, string>>)).toBe(false);
  });

  test('with an error is refused at its place', async () => {
    const { findings } = await selectorsOf(`
discoverySelectors:
- matchLabels:
    "-env": prod
- matchExpressions:
  - { key: app, operator: In }
  - key: app
    operator: Exists
    values: [a]
  - key: app
    operator: Equals
- matchLabel: { env: prod }
- matchLabels: { env: true }
- matchLabels: { env: "not valid" }
`);
    expect(findings).toEqual([
      '4:13 error the MeshConfig, discoverySelectors.0.matchLabels.-env: expected the key of a label, such as app or example.com/team',
      '6:5 error the MeshConfig, discoverySelectors.1.matchExpressions.0.values: it is missing; the operator In needs values',
      '9:13 error the MeshConfig, discoverySelectors.1.matchExpressions.1.values: the operator Exists takes no values',
      expect.stringMatching(/^11:15 error .*operator: .*"In"\|"NotIn"\|"Exists"\|"DoesNotExist"/),
      '12:3 error the MeshConfig, discoverySelectors.2.matchLabel: unknown key; did you mean matchLabels?',
      expect.stringMatching(/^13:23 error .*matchLabels\.env: .*expected string/),
      expect.stringMatching(/^14:23 error .*matchLabels\.env: expected the value of a label/),
    ]);
  });
});

const namespace = (name: string, labels: Readonly<Record<string, string>> = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, namespace: '', labels },
});
const service = (name: string, of: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: of },
  spec: { clusterIP: '10.96.0.1', selector: { app: name }, ports: [{ name: 'http', port: 80 }] },
});
const pod = (name: string, of: string, version = '1'): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `${name}-1`, namespace: of, labels: { app: name, version } },
  spec: { containers: [] },
  status: { phase: 'Running', podIP: '10.1.0.1' },
});
const rule = (name: string, of: string, timeout = '1s', more: object = {}): Manifest => ({
  apiVersion: NETWORKING,
  kind: 'VirtualService',
  metadata: { name, namespace: of },
  spec: {
    hosts: [`web.${of}.svc.cluster.local`],
    http: [{ timeout, route: [{ destination: { host: 'web' } }], ...more }],
  },
});
const strict = (of: string): Manifest => ({
  apiVersion: SECURITY,
  kind: 'PeerAuthentication',
  metadata: { name: 'default', namespace: of },
  spec: { mtls: { mode: 'STRICT' } },
});
const textOf = (...objects: readonly Manifest[]): string =>
  objects
    .map(({ metadata: { namespace: of, ...metadata }, ...object }) =>
      JSON.stringify({ ...object, metadata: { ...metadata, ...(of === '' ? {} : { namespace: of }) } }),
    )
    .join('\n---\n');

/** `mesh` is undefined if there are errors; findings as `file:line:col CODE message`. */
async function readMesh(
  texts: Readonly<Record<string, string>>,
  settings: MeshSettings,
): Promise<{ readonly mesh: Mesh | undefined; readonly findings: readonly string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-discovery-'));
  try {
    for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);
    const { mesh, findings } = await readPaths([folder], settings);
    return {
      mesh,
      findings: findings.map(
        ({ position: { file, line, column }, code, message }) =>
          `${relative(folder, file)}:${line}:${column} ${code} ${message}`,
      ),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

const IN_MESH = 'discoverySelectors: [{ matchLabels: { mesh: "yes" } }]';

describe('of files', () => {
  test('services, endpoints and rules of other namespaces are left out', async () => {
    const all = textOf(
      namespace('shop', { mesh: 'yes' }),
      namespace('office'),
      ...['shop', 'office'].flatMap((of) => [service('web', of), pod('web', of), rule('web', of), strict(of)]),
    );
    const { mesh, findings } = await readMesh({ 'all.yaml': all }, await settingsWith(IN_MESH));
    expect(findings).toEqual([]);
    expect([...(mesh?.services.keys() ?? [])]).toEqual(['web.shop.svc.cluster.local']);
    expect(mesh?.endpoints.get('web.shop.svc.cluster.local')).toHaveLength(1);
    for (const kind of ['VirtualService', 'PeerAuthentication'] as const)
      expect(mesh?.rules[kind].map(({ origin }) => origin.namespace)).toEqual(['shop']);
    // A proxy of another namespace calls into the mesh as anybody outside of it.
    const office = resourcesFor(mesh as Mesh, 'sidecar~10.1.0.1~web-1.office~office.svc.cluster.local', {});
    expect(JSON.stringify(office)).not.toContain('web.office');
    expect(JSON.stringify(office)).toContain('outbound|80||web.shop.svc.cluster.local');
    expect((await readMesh({ 'all.yaml': all }, DEFAULT_SETTINGS)).mesh?.services.size).toBe(2);
  });

  test('one without a Namespace is left out as well, and a warning says so once', async () => {
    const files = {
      'a.yaml': textOf(service('web', 'shop'), rule('web', 'shop')),
      'b.yaml': textOf(rule('b', 'shop')),
    };
    const { mesh, findings } = await readMesh(files, await settingsWith('discoverySelectors: [{}]'));
    expect(mesh?.services.size).toBe(0);
    expect(findings).toEqual([
      expect.stringMatching(
        /^[ab]\.yaml:1:\d+ MESH_UNUSED the namespace shop has no Namespace object, so no discovery selector matches it and its objects are left out$/,
      ),
    ]);
  });

  test('the root namespace has to match, too, as in Istio; a warning says that its rules do not hold', async () => {
    const files = (labels: Readonly<Record<string, string>>) => ({
      'a.yaml': textOf(namespace('istio-system', labels), namespace('shop', { mesh: 'yes' }), strict('istio-system')),
    });
    const without = await readMesh(files({}), await settingsWith(IN_MESH));
    expect(without.mesh?.rules.PeerAuthentication).toEqual([]);
    expect(without.findings).toEqual([
      expect.stringMatching(/^a\.yaml:5:\d+ MESH_UNUSED the root namespace istio-system matches no discovery selector/),
    ]);
    const withIt = await readMesh(files({ mesh: 'yes' }), await settingsWith(IN_MESH));
    expect(withIt.mesh?.rules.PeerAuthentication).toHaveLength(1);
    expect(withIt.findings).toEqual([]);
  });

  test('a Namespace alone is no error, and its labels are texts', async () => {
    const { findings } = await readMesh({ 'a.yaml': textOf(namespace('shop')) }, DEFAULT_SETTINGS);
    expect(findings).toEqual([]);
    const wrong = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, labels: { a: [b] } }\n';
    expect((await readMesh({ 'a.yaml': wrong }, DEFAULT_SETTINGS)).findings).toEqual([
      'a.yaml:3:38 RULES_VALUE metadata.labels.a must be text; found a list',
    ]);
  });
});

describe('of an API server', () => {
  let api: FakeKubeApi;
  const ends: (() => PromiseLike<void>)[] = [];
  beforeEach(async () => {
    api = await startFakeKubeApi();
    installIstio(api);
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
    await api.stop();
  });

  async function load(settings: MeshSettings) {
    const logged: string[] = [];
    const line = (message: string, { object }: { readonly object?: string } = {}): void =>
      void logged.push(object === undefined ? message : `${message}: ${object}`);
    const loader = new MeshLoader({
      paths: [],
      kubernetes: {
        server: () => async () => ({ url: api.url, tls: { ca: api.ca } }),
        namespaces: [],
        watch: { backoff: { firstMs: 4, mostMs: 20 } },
        discoverEveryMs: 30,
      },
      settings,
      log: { info: line, warn: line, error: line, debug: line } as never,
    });
    ends.push(() => loader[Symbol.asyncDispose]());
    await loader.open();
    let meshes = 1;
    let { mesh } = await loader.first(new AbortController().signal, (loaded) => {
      meshes++;
      mesh = loaded.mesh;
    });
    return { loader, logged, meshes: () => meshes, hosts: () => [...mesh.services.keys()], mesh: () => mesh };
  }

  test('labels that change take a namespace into the mesh and out of it', async () => {
    put(api, namespace('shop', { mesh: 'yes' }), namespace('office'));
    for (const of of ['shop', 'office']) put(api, service('web', of), pod('web', of), rule('web', of));
    const one = await load(await settingsWith(IN_MESH));
    expect(one.hosts()).toEqual(['web.shop.svc.cluster.local']);
    put(api, namespace('office', { mesh: 'yes' }));
    await eventually(() => expect(one.hosts()).toEqual(['web.office.svc.cluster.local', 'web.shop.svc.cluster.local']));
    expect(one.mesh().endpoints.get('web.office.svc.cluster.local')).toHaveLength(1);
    expect(one.mesh().rules.VirtualService).toHaveLength(2);
    put(api, namespace('shop', { mesh: 'no' }));
    await eventually(() => expect(one.hosts()).toEqual(['web.office.svc.cluster.local']));
    api.remove('namespaces', namespace('office'));
    await eventually(() => expect(one.hosts()).toEqual([]));
  });

  test('the mesh is that of the same objects in files', async () => {
    const objects = [
      namespace('shop', { mesh: 'yes' }),
      namespace('office'),
      ...['shop', 'office'].flatMap((of) => [service('web', of), pod('web', of), rule('web', of), strict(of)]),
    ];
    put(api, ...objects);
    const settings = await settingsWith(IN_MESH);
    const one = await load(settings);
    const files = await readMesh({ 'all.yaml': textOf(...objects) }, settings);
    for (const of of ['shop', 'office']) {
      const id = `sidecar~10.1.0.1~web-1.${of}~${of}.svc.cluster.local`;
      const jsonOf = (mesh: Mesh): unknown =>
        resourcesFor(mesh, id, {}).map(({ typeUrl, name, json }) => ({ typeUrl, name, json }));
      expect(jsonOf(one.mesh())).toEqual(jsonOf(files.mesh as Mesh));
    }
  });

  test('objects of other namespaces make no new mesh and no finding, however they change', async () => {
    put(api, namespace('shop', { mesh: 'yes' }), namespace('office'), service('web', 'shop'));
    const broken = rule('broken', 'office', '1s', { timeuot: 'x' });
    put(api, service('web', 'office'), broken);
    const one = await load(await settingsWith(IN_MESH));
    for (let at = 0; at < 30; at++) put(api, pod('web', 'office', String(at)), rule('web', 'office', `${at + 1}s`));
    await sleep(400); // longer than changes are put together
    expect(one.meshes()).toBe(1);
    expect(one.loader.loading).toMatchObject({ findings: [], kubernetes: { isSynced: true, objectsWithErrors: 0 } });
    expect(one.logged).toEqual([]);
    put(api, namespace('office', { mesh: 'yes' }));
    await eventually(() =>
      expect(one.mesh().rules.VirtualService.map(({ spec }) => spec.http[0]?.timeout)).toEqual([30_000]),
    );
    expect(one.loader.loading.kubernetes).toMatchObject({ isSynced: true, objectsWithErrors: 1 });
    expect(one.logged).toEqual([
      'an object of the Kubernetes API has errors; it is left out: VirtualService office/broken (kubernetes)',
    ]);
  });

  test('namespaces are listed only for selectors, and the mesh waits for them', async () => {
    put(api, service('web', 'shop'));
    expect((await load(DEFAULT_SETTINGS)).hosts()).toEqual(['web.shop.svc.cluster.local']);
    expect(api.lists('/namespaces')).toEqual([]);
    let isOpen = false;
    api.always = ({ path }) =>
      path === '/api/v1/namespaces' && !isOpen ? (response) => void response.destroy() : undefined;
    put(api, namespace('shop', { mesh: 'yes' }));
    let isLoaded = false;
    const loading = settingsWith(IN_MESH)
      .then(load)
      .finally(() => (isLoaded = true));
    await eventually(() => expect(api.lists('/namespaces').length).toBeGreaterThan(1));
    expect(isLoaded).toBe(false);
    isOpen = true;
    expect((await loading).hosts()).toEqual(['web.shop.svc.cluster.local']);
  });

  test('the certificate of a gateway is read from namespaces of the mesh alone', async () => {
    put(api, namespace('shop', { mesh: 'yes' }), namespace('office'));
    for (const of of ['shop', 'office'])
      put(api, {
        apiVersion: NETWORKING,
        kind: 'Gateway',
        metadata: { name: 'web', namespace: of },
        spec: {
          servers: [
            {
              port: { number: 443, name: 'https', protocol: 'HTTPS' },
              hosts: ['*'],
              tls: { mode: 'SIMPLE', credentialName: 'cert' },
            },
          ],
        },
      });
    await load(await settingsWith(IN_MESH));
    expect(api.lists('/secrets').map(({ path }) => path)).toEqual(['/api/v1/namespaces/shop/secrets']);
  });
});
