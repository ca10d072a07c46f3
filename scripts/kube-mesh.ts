/**
 * `npm run kube:mesh`: the mesh of a cluster against a real kube-apiserver and etcd, which Go builds into .cache on first use (15 minutes and
 * more). Bookinfo's mesh as objects of the server must come to the same bytes as from its files. Takes a minute.
 */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { eventually } from '../src/adapters/testing/index.ts';
import { encodeEnvoyJson } from '../src/envoy-json/encode.ts';
import { inCluster } from '../src/kubernetes/index.ts';
import { resourcesOf } from '../src/mesh/envoy/resources.ts';
import { DEFAULT_SETTINGS, type Mesh } from '../src/mesh/model/mesh.ts';
import { memberOf } from '../src/mesh/resolve/proxy.ts';
import { VERSIONS } from '../src/mesh/rules/kinds.ts';
import { Composition } from '../src/mesh/sources/composition.ts';
import { KubernetesSource } from '../src/mesh/sources/kubernetes.ts';
import { noObjects, readObjects } from '../src/mesh/sources/objects.ts';
import { RootConfigMaps } from '../src/serve/mesh/root-config-maps.ts';
import { positionText } from '../src/yaml/source-text.ts';
import { Findings } from '../src/yaml/findings.ts';
import { startKubeApiServer } from '../test/parts/kube-apiserver.ts';
import { startLink } from '../test/parts/link.ts';
import { bookinfoTexts, type Manifest, manifestsOf, PLURALS } from '../test/parts/mesh/kubernetes.ts';

const WITHIN_MS = 60_000;
/** Namespaces. */
const MANY = 1000;
const NETWORKING = 'networking.istio.io/v1';
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const server = await startKubeApiServer();
const link = await startLink(server.port);
const folder = await mkdtemp(join(tmpdir(), 'sluice-kube-mesh-'));
const logged: string[] = [];
const over = new AbortController();
let running: Promise<void> = Promise.resolve();
try {
  await main();
} finally {
  over.abort();
  await running;
  await link.stop();
  await server.stop();
  await rm(folder, { recursive: true });
}

async function main(): Promise<void> {
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'istio-system' } });
  await server.call('POST', '/api/v1/namespaces/istio-system/serviceaccounts', { metadata: { name: 'sluice-mesh' } });
  await rotateToken();
  await writeFile(join(folder, 'ca.crt'), server.ca);
  const source = new KubernetesSource({
    server: inCluster({ server: `https://127.0.0.1:${link.port}`, folder }),
    namespaces: [],
    log: {
      info: (message, fields) => logged.push(`${message} ${JSON.stringify(fields)}`),
      warn: (message, { path, error, grant }) =>
        logged.push(`${message} ${String(path)} ${String(error)} ${String(grant)}`),
    },
    onChange: () => undefined,
    onRefused: () => undefined,
    watch: { silentAfterMs: 10_000 },
  });
  running = source.run(over.signal);
  const names = (kind: 'VirtualService' | 'Service' | 'Sidecar'): string[] =>
    source.objects[kind].map(({ origin }) => origin.name);

  await eventually(() => assert.equal(logged.length, 4), WITHIN_MS);
  for (const resource of ['services', 'pods', 'nodes', 'endpointslices'])
    assert.ok(
      logged.some((line) => line.includes('403') && line.includes(`"resources":["${resource}"]`)),
      logged.join('\n'),
    );
  ok('without rights: not served, and the log names the missing rule of each resource');

  await using maps = rootConfigMaps();
  await eventually(() => assert.ok(logged.at(-1)?.includes('"resourceNames":["istio-ca-root-cert"]')), WITHIN_MS);
  assert.equal(logged.length, 5, logged.join('\n'));
  await applyRights();
  await withinMs(source.synced);
  await rootsInNamespaces(maps);
  ok('the roots are in each namespace, and are corrected, with the rights of deploy/kubernetes/mesh-rbac.yaml');
  ok("the rights of deploy/kubernetes/mesh-rbac.yaml are enough, and Istio's definitions need not be installed");

  await define('v1alpha3');
  const bookinfo = bookinfoTexts();
  for (const object of manifestsOf(bookinfo)) await create(object, 'v1alpha3');
  // A cluster has a service of its own.
  const own = await server.call('GET', '/api/v1/namespaces/default/services/kubernetes');
  const texts = [...bookinfo, JSON.stringify({ ...own, apiVersion: 'v1', kind: 'Service' })];
  await eventually(() => assert.equal(source.objects.Sidecar.length, 6), WITHIN_MS);
  await eventually(() => assert.deepEqual(names('VirtualService'), ['bookinfo']), WITHIN_MS);
  await eventually(() => assert.equal(source.objects.ServiceEntry.length, 4), WITHIN_MS);
  await eventually(() => assert.equal(source.objects.DestinationRule.length, 4), WITHIN_MS);
  const files = await readObjects(
    texts.map((text, at) => ({ file: `${at}.yaml`, text })),
    new Findings(),
  );
  const expected = bytesOf(new Composition(DEFAULT_SETTINGS).make(files, noObjects()).mesh);
  const same = (): void =>
    assert.deepEqual(bytesOf(new Composition(DEFAULT_SETTINGS).make(noObjects(), source.objects).mesh), expected);
  same();
  ok(`Bookinfo's mesh comes to the same ${expected.size} resources as from its files, byte for byte`);

  await define('v1');
  await eventually(
    () =>
      assert.deepEqual(new Set(source.objects.Sidecar.map(({ origin }) => origin.apiVersion)), new Set([NETWORKING])),
    WITHIN_MS,
  );
  same();
  ok('a newer version of the definitions is followed, to the same bytes');

  const rule = `/apis/${NETWORKING}/namespaces/default/virtualservices/bookinfo`;
  await server.call('PATCH', rule, { spec: { timeuot: '1s' } });
  await eventually(() => {
    const [text] = source.findings.map(({ position, message }) => `${positionText(position)} ${message}`);
    assert.match(text ?? '', /^VirtualService default\/bookinfo \(kubernetes\) .*, timeuot: unknown key/);
  }, WITHIN_MS);
  same();
  await server.call('PATCH', rule, { spec: { timeuot: null } });
  await eventually(() => assert.deepEqual(source.findings, []), WITHIN_MS);
  ok('an object with an error is used as it was before, and named');

  await workload();
  await eventually(() => {
    const { mesh } = new Composition(DEFAULT_SETTINGS).make(noObjects(), source.objects);
    const [endpoint] = mesh.endpoints.get('web.default.svc.cluster.local') ?? [];
    assert.deepEqual(
      [endpoint?.address, endpoint?.labels.get('version'), endpoint?.serviceAccount, endpoint?.ports.get(80)],
      ['10.1.0.1', 'v1', 'web', 8080],
    );
    assert.equal(endpoint?.locality, 'eu/eu-1');
  }, WITHIN_MS);
  ok('an endpoint has the labels and the account of its pod, and the locality of its node');

  await rotateToken();
  link.cut();
  await server.call('DELETE', `/apis/${NETWORKING}/namespaces/default/sidecars/reviews-v3`);
  await server.call('DELETE', '/api/v1/namespaces/default/services/web');
  await create(ruleNamed('late'), 'v1');
  await server.compact();
  await server.kill();
  await server.restart();
  assert.deepEqual(names('VirtualService'), ['bookinfo']);
  link.mend();
  await eventually(() => assert.deepEqual(names('VirtualService'), ['bookinfo', 'late']), WITHIN_MS);
  await eventually(() => assert.equal(names('Sidecar').length, 5), WITHIN_MS);
  await eventually(() => assert.ok(!names('Service').includes('web')), WITHIN_MS);
  ok('after an outage with a compaction and a restart: what was missed is caught up, what was deleted is gone');

  const times: number[] = [];
  for (let at = 0; at < 20; at++) {
    const began = performance.now();
    await server.call('PATCH', `/apis/${NETWORKING}/namespaces/default/virtualservices/late`, {
      spec: { http: [{ timeout: `${at + 1}s`, route: [{ destination: { host: 'web' } }] }] },
    });
    while (source.objects.VirtualService[1]?.spec.http[0]?.timeout !== (at + 1) * 1000)
      await new Promise((wake) => {
        setImmediate(wake);
      });
    times.push(performance.now() - began);
  }
  const sorted = times.toSorted((a, b) => a - b);
  say(`a change is known ${sorted[10]?.toFixed(1)} ms after it was sent (median of 20, with the server's own time)`);

  await server.call('DELETE', `${DEFINITIONS}/virtualservices.networking.istio.io`);
  await eventually(() => assert.deepEqual(names('VirtualService'), []), WITHIN_MS);
  assert.equal(names('Sidecar').length, 5);
  ok('a definition that is deleted takes its objects along, and no others');
}

function rootConfigMaps(): RootConfigMaps {
  const line = (message: string, { where, error, grant }: Readonly<Record<string, unknown>>): void =>
    void logged.push(`${message} ${String(where)} ${String(error)} ${String(grant)}`);
  return new RootConfigMaps({
    server: inCluster({ server: `https://127.0.0.1:${link.port}`, folder }),
    namespaces: [],
    roots: ['first\n'],
    log: { info: line, warn: line, error: line },
  });
}

async function rootsInNamespaces(maps: RootConfigMaps): Promise<void> {
  const path = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps/istio-ca-root-cert`;
  const read = async (namespace: string): Promise<{ data: Record<string, string>; metadata: { labels: object } }> =>
    (await server.call('GET', path(namespace))) as Awaited<ReturnType<typeof read>>;
  const holds = (namespace: string, roots: string): Promise<void> =>
    eventually(async () => assert.equal((await read(namespace)).data['root-cert.pem'], roots), WITHIN_MS);
  await holds('default', 'first\n');
  await assert.rejects(read('kube-system'), /404/);
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'late' } });
  await holds('late', 'first\n');
  await server.call('PATCH', path('late'), { data: { 'root-cert.pem': 'theirs', more: 'x' } });
  await holds('late', 'first\n');
  const { data, metadata } = await read('late');
  assert.deepEqual([data['more'], metadata.labels], ['x', { 'istio.io/config': 'true' }]);
  await server.call('DELETE', path('late'));
  await holds('late', 'first\n');
  maps.use(['first\n', 'second\n']);
  for (const namespace of ['default', 'istio-system', 'late']) await holds(namespace, 'first\nsecond\n');
  // Nothing deletes its content, as there are no controllers: it stays in this state.
  await server.call('DELETE', '/api/v1/namespaces/late');
  await eventually(() => assert.equal(maps.state.namespaces, 2), WITHIN_MS);
  assert.deepEqual(maps.state.failing, []);

  const began = performance.now();
  const names = Array.from({ length: MANY }, (_, at) => `many-${at}`);
  for (const name of names) await server.call('POST', '/api/v1/namespaces', { metadata: { name } });
  const createdMs = performance.now() - began;
  await eventually(() => assert.equal(maps.state.current, MANY + 2), WITHIN_MS);
  const allMs = performance.now() - began;
  maps.use(['second\n']);
  const changed = performance.now();
  await eventually(() => assert.equal(maps.state.current, MANY + 2), WITHIN_MS);
  const rotatedS = ((performance.now() - changed) / 1000).toFixed(1);
  say(
    `${MANY} namespaces have the roots ${Math.round(allMs - createdMs)} ms after the last was made; new roots after ${rotatedS} s`,
  );
  for (const name of names) await server.call('DELETE', `/api/v1/namespaces/${name}`);
}

/** Each resource of a proxy of each workload and of the gateway. */
function bytesOf(mesh: Mesh): Map<string, string> {
  const all = new Map<string, string>();
  const add = (id: string, metadata: Parameters<typeof memberOf>[0]['metadata']): void => {
    const member = memberOf({ id, metadata, identity: undefined }, mesh);
    if ('wrong' in member) throw new Error(member.wrong);
    for (const { typeUrl, name, json } of resourcesOf(mesh, member))
      all.set(`${id} ${typeUrl} ${name}`, hash('sha256', encodeEnvoyJson(typeUrl, json)));
  };
  for (const { spec } of mesh.rules.Sidecar) {
    const LABELS = spec.workloadSelector?.labels ?? {};
    add(`sidecar~${spec.ingress[0]?.bind}~${LABELS['app']}-${LABELS['version']}.default~x`, {
      LABELS,
      INTERCEPTION_MODE: 'NONE',
    });
  }
  add('router~127.0.10.9~gateway.default~x', { LABELS: { istio: 'ingressgateway' } });
  return all;
}

/** Definitions of our own: any fields may stand in an object, since the mesh has schemas. */
async function define(version: string): Promise<void> {
  for (const [kind, versions] of Object.entries(VERSIONS)) {
    const plural = PLURALS[kind];
    if (plural === undefined || !versions.some((one) => one.startsWith('networking.istio.io/'))) continue;
    const name = `${plural}.networking.istio.io`;
    const served = (one: string, storage: boolean): object => ({
      name: one,
      served: true,
      storage,
      schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
    });
    if (version === 'v1alpha3')
      await server.call('POST', DEFINITIONS, {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name },
        spec: {
          group: 'networking.istio.io',
          scope: 'Namespaced',
          names: { plural, singular: kind.toLowerCase(), kind },
          versions: [served(version, true)],
        },
      });
    else
      await server.call('PATCH', `${DEFINITIONS}/${name}`, {
        spec: { versions: [served('v1alpha3', true), served(version, false)] },
      });
  }
  await eventually(async () => {
    const { resources } = await server.call('GET', `/apis/networking.istio.io/${version}`);
    assert.equal((resources as { name: string }[]).filter(({ name }) => !name.includes('/')).length, 6);
  }, WITHIN_MS);
}

async function create(object: Manifest, version: string): Promise<void> {
  const apiVersion = `networking.istio.io/${version}`;
  const path = `/apis/${apiVersion}/namespaces/${object.metadata.namespace}/${PLURALS[object.kind]}`;
  await eventually(async () => {
    await server.call('POST', path, { ...object, apiVersion });
  }, WITHIN_MS); // a definition takes a moment
}

function ruleNamed(name: string): Manifest {
  return {
    apiVersion: NETWORKING,
    kind: 'VirtualService',
    metadata: { name, namespace: 'default' },
    spec: { hosts: [name], http: [{ route: [{ destination: { host: 'web' } }] }] },
  };
}

/** A service, and what its controllers would write. */
async function workload(): Promise<void> {
  await server.call('POST', '/api/v1/namespaces/default/services', {
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  });
  await server.call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [
      {
        addresses: ['10.1.0.1'],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', name: 'web-v1', namespace: 'default' },
      },
    ],
    ports: [{ name: 'http', port: 8080 }],
  });
  await server.call('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'web-v1', labels: { app: 'web', version: 'v1' } },
    spec: { serviceAccountName: 'web', nodeName: 'node-1', containers: [{ name: 'web', image: 'web' }] },
  });
  await server.call('POST', '/api/v1/nodes', {
    metadata: {
      name: 'node-1',
      labels: { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': 'eu-1', other: 'x' },
    },
  });
  await server.call('PATCH', '/api/v1/namespaces/default/pods/web-v1/status', {
    status: { phase: 'Running', podIP: '10.1.0.1', podIPs: [{ ip: '10.1.0.1' }] },
  });
}

async function applyRights(): Promise<void> {
  const manifest = await readFile(resolve(import.meta.dirname, '../deploy/kubernetes/mesh-rbac.yaml'), 'utf8');
  for (const document of parseAllDocuments(manifest)) {
    const object = document.toJS() as { kind: string };
    if (object.kind.startsWith('ClusterRole'))
      await server.call('POST', `/apis/rbac.authorization.k8s.io/v1/${object.kind.toLowerCase()}s`, object);
  }
}

async function rotateToken(): Promise<void> {
  const made = await server.call('POST', '/api/v1/namespaces/istio-system/serviceaccounts/sluice-mesh/token', {
    spec: { expirationSeconds: 600 },
  });
  await writeFile(join(folder, 'token'), (made['status'] as { token: string }).token);
}

async function withinMs(promise: Promise<void>): Promise<void> {
  let isDone = false;
  void promise.then(() => (isDone = true));
  await eventually(() => assert.ok(isDone), WITHIN_MS);
}

function ok(what: string): void {
  say(what, 'ok');
}
function say(what: string, mark = '  '): void {
  console.log(`${mark}  ${what}`);
}
