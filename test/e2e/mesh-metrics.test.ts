/** The metrics page of `sluice mesh`, with proxies, workloads and an API server. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DeltaDiscoveryRequestSchema } from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { createCsr, newKey } from '../../src/identity/certificate.ts';
import { connectStreams, dialGrpc, type StreamsClient } from '../../src/transport/index.ts';
import { AdsClient, type AdsClientOptions } from '../parts/ads-client.ts';
import { answers, type FakeKubeApi, startFakeKubeApi } from '../parts/fake-kube-api.ts';
import { promtool } from '../parts/fetch.ts';
import { created, ISSUER, tokenIssuer } from '../parts/identity/secure-port.ts';
import { installIstio, NETWORKING, put } from '../parts/mesh/kubernetes.ts';
import { serviceEntry } from '../parts/mesh/service-entry.ts';
import { type Program, program, run } from './command.ts';
import { until } from './sluice.ts';

const DELTA = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const mesh = (address: string): string => serviceEntry('reviews', [{ address }]);

const ends: (() => unknown)[] = [];
let folder: string;
let api: FakeKubeApi;
let sluice: Program;
let connection: StreamsClient;
const path = (name: string): string => join(folder, name);
const at = (name: string): string => new RegExp(`${name} +(?:http://)?(127.0.0.1:\\d+)`).exec(sluice.err())?.[1] ?? '';
const page = async (): Promise<string> => (await fetch(`http://${at('admin')}/metrics`)).text();
const value = async (series: string): Promise<number | undefined> => {
  const found = (await page()).split('\n').find((line) => line.startsWith(`${series} `));
  return found === undefined ? undefined : Number(found.slice(series.length + 1));
};
const reaches = (series: string, isIt: (value: number) => boolean): Promise<true> =>
  until(series, async () => (isIt((await value(series)) ?? NaN) ? true : undefined), 20_000);
const is = (series: string, wanted: number): Promise<true> => reaches(series, (found) => found === wanted);
const proxy = (name: string, options: Omit<AdsClientOptions, 'id'> & { readonly id?: string }): void => {
  const id = `sidecar~127.0.0.1~${name}.default~default.svc.cluster.local`;
  const metadata = { INTERCEPTION_MODE: 'NONE' };
  const client = new AdsClient(connection, { id, metadata, ...options });
  ends.push(() => client.close());
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-mesh-metrics-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  api = await startFakeKubeApi();
  ends.push(() => api.stop());
  installIstio(api);
  const authority = Buffer.from(api.ca).toString('base64');
  writeFileSync(
    path('kubeconfig'),
    JSON.stringify({
      'current-context': 'fake',
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
      clusters: [{ name: 'fake', cluster: { server: api.url, 'certificate-authority-data': authority } }],
      users: [{ name: 'fake', user: {} }],
    }),
  );
  writeFileSync(path('mesh.yaml'), mesh('127.0.0.1'));
  const issuer = await tokenIssuer();
  writeFileSync(path('jwks.json'), JSON.stringify(issuer.jwks));
  const ports = ['xds', 'admin', 'secure'].flatMap((name) => [`--${name}`, '127.0.0.1:0']);
  const identity = ['--ca-folder', path('ca'), '--jwks', path('jwks.json'), '--token-issuer', ISSUER];
  sluice = await program(
    ['mesh', path('mesh.yaml'), '--kubeconfig', path('kubeconfig'), ...ports, ...identity],
    /Ctrl-C stops it/,
  );
  ends.push(() => sluice.stop());
  const [host = '', port] = at('xDS').split(':');
  connection = await connectStreams({ host, port: Number(port) }, { withinMs: 20_000 });
  ends.push(() => connection.close());
}, 60_000);
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

test('proxies are counted by form and state, and a change is measured for those that accept it', async () => {
  expect(await value('sluice_mesh_proxies{form="delta",state="synced"}')).toBe(0);
  proxy('reviews-v1', { isDelta: false });
  proxy('reviews-v2', { isDelta: true });
  proxy('reviews-v3', { isDelta: true, refuses: true });
  await is('sluice_mesh_proxies{form="state_of_the_world",state="synced"}', 1);
  await is('sluice_mesh_proxies{form="delta",state="synced"}', 1);
  await is('sluice_mesh_proxies{form="delta",state="refused"}', 1);
  expect(await value('sluice_mesh_push_duration_seconds_count')).toBe(0);
  expect(await value('sluice_mesh_pushes_total{type="Cluster"}')).toBe(3);
  expect(await value('sluice_mesh_refusals_total{type="Cluster"}')).toBe(1);
  writeFileSync(path('mesh.yaml'), mesh('127.0.0.2'));
  await is('sluice_mesh_push_duration_seconds_count', 2);
  expect(await value('sluice_mesh_push_duration_seconds_bucket{le="+Inf"}')).toBe(2);
  expect(await value('sluice_mesh_push_duration_seconds_sum')).toBeGreaterThan(0.02); // the pause that joins changes
  proxy('reviews-v4', { id: '', isDelta: true });
  await is('sluice_mesh_streams_refused_total{code="INVALID_ARGUMENT"}', 1);
});

test('a type that no mesh has is counted as other, whatever its name is', async () => {
  const client = dialGrpc(at('xDS'));
  ends.push(() => client.close());
  const over = new AbortController();
  const requests = async function* (): AsyncGenerator<Uint8Array> {
    const node = { id: 'sidecar~127.0.0.1~reviews-v5.default~default.svc.cluster.local' };
    const request = { node, typeUrl: 'type.googleapis.com/made.up.Type', resourceNamesSubscribe: ['*'] };
    yield toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request));
    await once(over.signal, 'abort');
  };
  const responses = client.stream(DELTA, requests(), { signal: over.signal });
  await responses[Symbol.asyncIterator]().next();
  over.abort();
  expect(await value('sluice_mesh_pushes_total{type="other"}')).toBe(1);
  expect(await page()).not.toContain('made.up');
});

test('refused files are seen until they are right', async () => {
  expect(await value('sluice_mesh_last_load_successful')).toBe(1);
  const loadedAt = (await value('sluice_mesh_loaded_timestamp_seconds')) ?? 0;
  expect(Math.abs(loadedAt - Date.now() / 1000)).toBeLessThan(60);
  writeFileSync(path('mesh.yaml'), 'kind: Nothing');
  await is('sluice_mesh_last_load_successful', 0);
  expect(await value('sluice_mesh_loads_total{result="refused"}')).toBe(1);
  expect(await value('sluice_mesh_loaded_timestamp_seconds')).toBe(loadedAt);
  const status = await run(['mesh', 'status', '--to', at('admin')]);
  expect(status.code).toBe(1);
  expect(status.out).toMatch(/^the files have errors, so version \S+ stays in force: /m);
  expect(status.out).toMatch(/^ {2}\S*mesh\.yaml:1:\d+ MESH_KIND /m);
  const loaded = (await value('sluice_mesh_loads_total{result="loaded"}')) ?? 0;
  writeFileSync(path('mesh.yaml'), mesh('127.0.0.3'));
  await is('sluice_mesh_last_load_successful', 1);
  expect(await value('sluice_mesh_loads_total{result="loaded"}')).toBe(loaded + 1);
});

test('certificates are counted, and the ends of root and signer are there', async () => {
  const issued = (await value('sluice_identity_certificates_issued_total')) ?? 0;
  const client = dialGrpc(at('secure'), { tls: { ca: readFileSync(path('ca/root-cert.pem')) } });
  ends.push(() => client.close());
  await expect(created(client, { csr: createCsr(newKey()), token: 'not one' })).rejects.toThrow('authenticate');
  expect(await value('sluice_identity_refused_total{reason="unauthenticated"}')).toBe(1);
  expect(await value('sluice_identity_refused_total{reason="bad_request"}')).toBe(0);
  expect(await value('sluice_identity_certificates_issued_total')).toBe(issued);
  const plain = dialGrpc(at('secure'));
  ends.push(() => plain.close());
  await expect(created(plain, { csr: '' })).rejects.toThrow();
  await is('sluice_identity_refused_connections_total{kind="cleartext"}', 1);
  expect(sluice.err()).toContain('use the port of --xds');
  const tenYears = Date.now() / 1000 + 3650 * 86_400;
  for (const name of ['root', 'signer'])
    expect(Math.abs(((await value(`sluice_identity_${name}_end_timestamp_seconds`)) ?? 0) - tenYears)).toBeLessThan(
      86_400,
    );
  expect(await value('sluice_identity_workloads')).toBe(0);
});

test('namespaces are counted by whether they have the roots in force', async () => {
  expect(await value('sluice_identity_root_config_maps{state="current"}')).toBe(0);
  let isRefused = true;
  api.always = ({ path: asked, method }) =>
    isRefused && method !== 'GET' && asked.includes('configmaps') ? answers(403) : undefined;
  api.put('namespaces', { metadata: { name: 'shop', namespace: '' } });
  await is('sluice_identity_root_config_maps{state="due"}', 1);
  isRefused = false;
  await is('sluice_identity_root_config_maps{state="current"}', 1);
  expect(await value('sluice_identity_root_config_maps{state="due"}')).toBe(0);
});

test('lists and watches of the API server are counted by kind, and objects with errors', async () => {
  expect(await value('sluice_mesh_kubernetes_synced')).toBe(1);
  expect(await value('sluice_mesh_kubernetes_lists_total{kind="Pod"}')).toBe(1);
  await is('sluice_mesh_kubernetes_watches_total{kind="VirtualService"}', 1);
  expect(await value('sluice_mesh_kubernetes_failures_total{kind="Pod"}')).toBe(0);
  put(api, {
    apiVersion: NETWORKING,
    kind: 'VirtualService',
    metadata: { name: 'web', namespace: 'default' },
    spec: { hosts: 3 },
  });
  await is('sluice_mesh_kubernetes_objects_with_errors', 1);
  api.always = ({ path: asked }) => (asked.endsWith('/pods') ? answers(500) : undefined);
  api.cutWatchers();
  await reaches('sluice_mesh_kubernetes_failures_total{kind="Pod"}', (count) => count > 0);
  api.always = () => undefined;
  await reaches('sluice_mesh_kubernetes_watches_total{kind="Pod"}', (count) => count > 1);
});

test('Prometheus can read the page, which names no proxy', async () => {
  const text = await page();
  const checked = spawnSync(await promtool(), ['check', 'metrics'], { input: text, encoding: 'utf8' });
  expect([checked.status, checked.stdout, checked.stderr]).toEqual([0, '', '']);
  expect(text).not.toContain('reviews');
});
