/**
 * `npm run soak:mesh-kubernetes [MINUTES]`: the mesh of an API server that cuts each watch after a moment, an hour long. Pods and rules
 * change all the time; every two seconds they rest until what the mesh knows is what the server has, so that an event that was lost is
 * found.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../src/adapters/testing/index.ts';
import { startFakeKubeApi } from '../test/parts/fake-kube-api.ts';
import { follow, installIstio, type Manifest, NETWORKING, put } from '../test/parts/mesh/kubernetes.ts';

const minutes = Number(process.argv[2] ?? 60);
const NAMES = 200;
const REST_EVERY_MS = 2000;
const SETTLED_WITHIN_MS = 30_000;

const api = await startFakeKubeApi();
installIstio(api);
const random = (below: number): number => Math.floor(Math.random() * below);

const rule = (at: number, seconds: number): Manifest => ({
  apiVersion: NETWORKING,
  kind: 'VirtualService',
  metadata: { name: `rule-${at}`, namespace: 'default' },
  spec: { hosts: [`rule-${at}`], http: [{ timeout: `${seconds}s`, route: [{ destination: { host: 'web' } }] }] },
});
const pod = (at: number, version: number): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `pod-${at}`, namespace: 'default', labels: { version: String(version) } },
  spec: { containers: [] },
  status: { phase: 'Running', podIP: `10.1.0.${at}` },
});
for (let at = 0; at < NAMES; at++) put(api, rule(at, 1), pod(at, 1));

const one = follow(() => api, { watch: { backoff: { firstMs: 10, mostMs: 200 } } });
await one.source.synced;

let changes = 0;
function change(): void {
  changes++;
  const at = random(NAMES);
  const which = random(6);
  if (which === 0) api.remove('virtualservices', rule(at, 1));
  else if (which === 1) api.remove('pods', pod(at, 1));
  else put(api, which < 4 ? rule(at, changes) : pod(at, changes));
}

const onServer = (): string[] => [
  ...api.all('virtualservices').map(({ metadata, spec }) => {
    const { http } = spec as { http: readonly [{ timeout: string }] };
    return `${metadata.name} ${http[0].timeout}`;
  }),
  ...api.all('pods').map(({ metadata }) => `${metadata.name} ${(metadata['labels'] as { version: string }).version}`),
];
function known(): string[] {
  const { VirtualService, Pod } = one.source.objects;
  return [
    ...VirtualService.map(({ origin, spec }) => `${origin.name} ${(spec.http[0]?.timeout ?? 0) / 1000}s`),
    ...Pod.map(({ origin }) => `${origin.name} ${origin.labels.get('version')}`),
  ];
}

const began = performance.now();
const endsAt = began + minutes * 60_000;
let rests = 0;
let longestMs = 0;
let cuts = 0;
let firstMb: number | undefined;
const heapMb = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1e6;
};
while (performance.now() < endsAt) {
  const restsAt = performance.now() + REST_EVERY_MS;
  while (performance.now() < restsAt) {
    for (let n = random(20); n >= 0; n--) change();
    if (random(4) === 0) {
      cuts += api.watching;
      if (random(2) === 0) api.cutWatchers();
      else api.endWatchers();
    }
    if (random(200) === 0) api.bookmark();
    await sleep(random(20));
  }
  if (random(10) === 0) api.compact(50); // whoever is behind has to list again
  api.cutWatchers();
  const from = performance.now();
  await eventually(() => assert.deepEqual(known().toSorted(), onServer().toSorted()), SETTLED_WITHIN_MS);
  longestMs = Math.max(longestMs, performance.now() - from);
  rests++;
  api.compact(2000);
  api.requests.splice(0, api.requests.length - 1000);
  if (rests === 10) firstMb = heapMb();
  if (rests % 30 === 0) say();
}
say();
await one.stop();
await api.stop();

function say(): void {
  console.log(
    `${Math.round((performance.now() - began) / 1000)} s: ${changes} changes, ${cuts} watches cut; at ${rests} rests the mesh was what the server has, at the latest after ` +
      `${longestMs.toFixed(0)} ms; heap ${heapMb().toFixed(0)} MB${firstMb === undefined ? '' : ` (${firstMb.toFixed(0)} MB at first)`}; ${one.refused.length} refused`,
  );
}
