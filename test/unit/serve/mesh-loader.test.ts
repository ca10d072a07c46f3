/** The mesh in force, of files and of an API server together. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { SILENT } from '../../../src/log/log.ts';
import { DEFAULT_SETTINGS, type Mesh } from '../../../src/mesh/model/mesh.ts';
import { type LoadedMesh, MeshLoader } from '../../../src/serve/mesh/mesh-loader.ts';
import { answers, type FakeKubeApi, startFakeKubeApi } from '../../parts/fake-kube-api.ts';
import { installIstio, type Manifest, NETWORKING, put } from '../../parts/mesh/kubernetes.ts';

let api: FakeKubeApi;
let folder: string;
let loader: MeshLoader;
const never = new AbortController().signal;
beforeEach(async () => {
  api = await startFakeKubeApi();
  installIstio(api);
  folder = await mkdtemp(join(tmpdir(), 'sluice-loader-'));
  loader = new MeshLoader({
    paths: [folder],
    kubernetes: {
      server: () => async () => ({ url: api.url, tls: { ca: api.ca } }),
      namespaces: [],
      watch: { backoff: { firstMs: 4, mostMs: 20 } },
    },
    settings: DEFAULT_SETTINGS,
    log: SILENT,
  });
});
afterEach(async () => {
  await loader[Symbol.asyncDispose]();
  await api.stop();
  await rm(folder, { recursive: true });
});

const object = (kind: string, namespace: string, name: string, spec: object): Manifest => ({
  apiVersion: kind === 'Pod' || kind === 'Secret' ? 'v1' : NETWORKING,
  kind,
  metadata: { name, namespace, ...(kind === 'Pod' ? { labels: { istio: 'ingressgateway' } } : {}) },
  ...(kind === 'Secret' ? spec : { spec }),
});
const gateway = object('Gateway', 'default', 'site', {
  selector: { istio: 'ingressgateway' },
  servers: [
    {
      port: { number: 443, name: 'https', protocol: 'HTTPS' },
      hosts: ['*'],
      tls: { mode: 'SIMPLE', credentialName: 'site' },
    },
  ],
});
const pod = object('Pod', 'edge', 'gateway', { containers: [] });
const secret = object('Secret', 'edge', 'site', { data: {} });
const entry = (name: string, host: string): Manifest =>
  object('ServiceEntry', 'default', name, {
    hosts: [host],
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    resolution: 'DNS',
  });
const secrets = ({ rules }: Mesh): string[] => rules.Secret.map(({ origin }) => origin.name);
const hosts = ({ services }: Mesh): string[] => [...services.keys()];

test('the first mesh waits for the Secrets of its gateways', async () => {
  put(api, gateway, pod, secret);
  let isBusy = true;
  api.always = ({ path }) => (isBusy && path.endsWith('/secrets') ? answers(503) : undefined);
  await loader.open();
  let first: LoadedMesh | undefined;
  const loading = loader.first(never, () => undefined).then((loaded) => (first = loaded));
  await eventually(() => expect(api.lists('secrets').length).toBeGreaterThan(2));
  expect(first).toBeUndefined();
  isBusy = false;
  expect(secrets((await loading).mesh)).toEqual(['site']);
});

test('a Gateway that comes later brings its Secret', async () => {
  put(api, pod, secret);
  await loader.open();
  let mesh: Mesh | undefined;
  const first = await loader.first(never, (loaded) => (mesh = loaded.mesh));
  expect(secrets(first.mesh)).toEqual([]);
  put(api, gateway);
  await eventually(() => expect(mesh === undefined ? [] : secrets(mesh)).toEqual(['site']));
  api.remove('gateways', gateway);
  await eventually(() => expect(mesh === undefined ? [] : secrets(mesh)).toEqual([]));
});

test('files and the API server make one mesh, and each follows its own changes', async () => {
  await writeFile(join(folder, 'a.yaml'), JSON.stringify(entry('file', 'file.example')));
  put(api, entry('cluster', 'cluster.example'));
  await loader.open();
  let loaded: LoadedMesh | undefined;
  const first = await loader.first(never, (next) => (loaded = next));
  expect(hosts(first.mesh)).toEqual(['cluster.example', 'file.example']);
  await writeFile(join(folder, 'a.yaml'), JSON.stringify(entry('file', 'other.example')));
  expect(await loader.reload()).toBe(true);
  expect(loaded === undefined ? [] : hosts(loaded.mesh)).toEqual(['cluster.example', 'other.example']);
  await writeFile(join(folder, 'a.yaml'), JSON.stringify(entry('file', 'not a host')));
  expect(await loader.reload()).toBe(false);
  expect(loader.loading.refusal?.why).toMatch(/^the mesh has \d errors?$/);
  put(api, entry('late', 'late.example'), entry('file', 'shadowed.example'));
  await eventually(() =>
    expect(loaded === undefined ? [] : hosts(loaded.mesh)).toEqual([
      'cluster.example',
      'late.example',
      'other.example',
    ]),
  );
  expect(loaded?.version).not.toBe(first.version);
  expect(loader.loading.findings.map(({ code, position }) => [code, position.file])).toEqual([
    ['MESH_DUPLICATE', 'ServiceEntry default/file (kubernetes)'],
  ]);
});

test('a start is given up at once, and what it opened is closed', async () => {
  api.always = () => () => undefined; // never answered
  await loader.open();
  const stop = new AbortController();
  const loading = loader.first(stop.signal, () => undefined);
  await sleep(20);
  stop.abort(new Error('stopped'));
  await expect(loading).rejects.toThrow('stopped');
});
