/**
 * `npm run kube:mesh`: the mesh of a cluster against a real kube-apiserver and etcd, which Go builds into .cache on first use (15 minutes
 * and more). Bookinfo's mesh as objects of the server must come to the same bytes as from its files. Takes a minute.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../src/adapters/testing/index.ts';
import { inCluster } from '../src/kubernetes/index.ts';
import { DEFAULT_SETTINGS } from '../src/mesh/model/mesh.ts';
import { Composition } from '../src/mesh/sources/composition.ts';
import { KubernetesSource } from '../src/mesh/sources/kubernetes.ts';
import { noObjects, readObjects } from '../src/mesh/sources/objects.ts';
import { RootConfigMaps } from '../src/serve/mesh/root-config-maps.ts';
import { positionText } from '../src/yaml/source-text.ts';
import { Findings } from '../src/yaml/findings.ts';
import { startKubeApiServer } from '../test/parts/kube-apiserver.ts';
import { startLink } from '../test/parts/link.ts';
import { bookinfoTexts, manifestsOf } from '../test/parts/mesh/kubernetes.ts';
import {
  applyRights,
  bytesOf,
  create,
  define,
  DEFINITIONS,
  NETWORKING,
  ruleNamed,
  WITHIN_MS,
  workload,
} from './kube-mesh/objects.ts';
import { rootsInNamespaces } from './kube-mesh/root-config-maps.ts';
import { compareTwoClients } from './kube-mesh/two-clients.ts';

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
    listsNamespaces: true,
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

  await eventually(() => assert.equal(logged.length, 5), WITHIN_MS);
  for (const resource of ['services', 'pods', 'nodes', 'namespaces', 'endpointslices'])
    assert.ok(
      logged.some((line) => line.includes('403') && line.includes(`"resources":["${resource}"]`)),
      logged.join('\n'),
    );
  ok('without rights: not served, and the log names the missing rule of each resource');

  await using maps = rootConfigMaps();
  await eventually(() => assert.ok(logged.at(-1)?.includes('"resourceNames":["istio-ca-root-cert"]')), WITHIN_MS);
  assert.equal(logged.length, 6, logged.join('\n'));
  await applyRights(server);
  await withinMs(source.synced);
  say(await rootsInNamespaces(server, maps));
  ok('the roots are in each namespace, and are corrected, with the rights of deploy/kubernetes/mesh-rbac.yaml');
  ok("the rights of deploy/kubernetes/mesh-rbac.yaml are enough, and Istio's definitions need not be installed");

  await define(server, 'v1alpha3');
  const bookinfo = bookinfoTexts();
  for (const object of manifestsOf(bookinfo)) await create(server, object, 'v1alpha3');
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

  await define(server, 'v1');
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
    const [text] = [...source.refused]
      .flatMap((one) => one.findings)
      .map(({ position, message }) => `${positionText(position)} ${message}`);
    assert.match(text ?? '', /^VirtualService default\/bookinfo \(kubernetes\) .*, timeuot: unknown key/);
  }, WITHIN_MS);
  same();
  await server.call('PATCH', rule, { spec: { timeuot: null } });
  await eventually(() => assert.deepEqual([...source.refused], []), WITHIN_MS);
  ok('an object with an error is used as it was before, and named');

  await workload(server);
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

  const discoverySelectors = [{ matchLabels: { mesh: 'main' }, matchExpressions: [] }];
  const selecting = new Composition({ ...DEFAULT_SETTINGS, discoverySelectors });
  const hosts = (): string[] => [...selecting.make(noObjects(), source.objects).mesh.services.keys()];
  assert.deepEqual(hosts(), []);
  await server.call('PATCH', '/api/v1/namespaces/default', { metadata: { labels: { mesh: 'main' } } });
  await eventually(() => assert.ok(hosts().includes('web.default.svc.cluster.local')), WITHIN_MS);
  await server.call('PATCH', '/api/v1/namespaces/default', { metadata: { labels: { mesh: null } } });
  await eventually(() => assert.deepEqual(hosts(), []), WITHIN_MS);
  ok('a label takes its namespace into a mesh with discovery selectors, and out of it');

  await rotateToken();
  link.cut();
  await server.call('DELETE', `/apis/${NETWORKING}/namespaces/default/sidecars/reviews-v3`);
  await server.call('DELETE', '/api/v1/namespaces/default/services/web');
  await create(server, ruleNamed('late'), 'v1');
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

  const { changes, objects, begun } = await compareTwoClients(server);
  ok(
    `after ${changes} changes, half of them while both clients were cut off, they hold the same ${objects} objects: ${JSON.stringify(begun)}`,
  );

  await server.call('DELETE', `${DEFINITIONS}/virtualservices.networking.istio.io`);
  // A busy server may end the watch before it sent the last deletions; the kind is then forgotten after a minute.
  await eventually(() => assert.deepEqual(names('VirtualService'), []), 2 * WITHIN_MS);
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
