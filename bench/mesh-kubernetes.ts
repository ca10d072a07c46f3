/**
 * `npm run bench:mesh-kubernetes [PODS]`: the mesh of a cluster with ten pods a service: how long until it is in force, what it costs
 * beside JSON.parse of the same objects, what a pod costs in memory, and how long a change of one pod takes. The API server runs in a
 * process of its own.
 */
import { join } from 'node:path';
import type { ResourceSink } from '../src/kubernetes/index.ts';
import { DEFAULT_SETTINGS } from '../src/mesh/model/mesh.ts';
import { type Kind, VERSIONS } from '../src/mesh/rules/kinds.ts';
import { Composition } from '../src/mesh/sources/composition.ts';
import { KubernetesObjects } from '../src/mesh/sources/kubernetes-objects.ts';
import { KubernetesSource } from '../src/mesh/sources/kubernetes.ts';
import { noObjects } from '../src/mesh/sources/objects.ts';
import { startChild, untilReady } from '../test/parts/child.ts';
import { crowdPod, crowdService, crowdSlice } from '../test/parts/kube-crowd.ts';
import { TLS } from '../test/unit/transport/tls-of-tests.ts';

const pods = Number(process.argv[2] ?? 10_000);
const CHANGES = 100;
const server = startChild(process.execPath, [join(import.meta.dirname, '../test/parts/kube-crowd.ts'), String(pods)]);
await untilReady('the crowd', server, async () => /\d+\n/.test(server.printed()));
const url = `https://127.0.0.1:${server.printed().trim()}`;

const ms = (from: NodeJS.CpuUsage): number => {
  const { user, system } = process.threadCpuUsage(from);
  return (user + system) / 1000;
};

/** Bytes in use, once two collections in a row find nothing more to free. */
async function heap(): Promise<number> {
  for (let last = Infinity; ;) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { heapUsed } = process.memoryUsage();
    if (last - heapUsed < 20_000) return heapUsed;
    last = heapUsed;
  }
}

/** CPU of JSON.parse of each object, from bytes as they arrive. */
function parseOnly(): number {
  const texts = [
    ...Array.from({ length: pods }, (_, at) => Buffer.from(JSON.stringify(crowdPod(at)))),
    ...Array.from({ length: pods / 10 }, (_, at) => Buffer.from(JSON.stringify(crowdService(at)))),
    ...Array.from({ length: pods / 10 }, (_, at) => Buffer.from(JSON.stringify(crowdSlice(at)))),
  ];
  const from = process.threadCpuUsage();
  let count = 0;
  for (const text of texts) if (JSON.parse(text.toString()) !== undefined) count++;
  if (count !== texts.length) throw new Error('not all were parsed');
  return ms(from);
}

async function run(): Promise<void> {
  const parseMs = Math.min(parseOnly(), parseOnly(), parseOnly());
  const beforeBytes = await heap();
  const composition = new Composition(DEFAULT_SETTINGS);
  const began = process.threadCpuUsage();
  const beganMs = performance.now();
  let longestMs = 0;
  let last = process.threadCpuUsage();
  const timer = setInterval(() => {
    longestMs = Math.max(longestMs, ms(last));
    last = process.threadCpuUsage();
  }, 1);
  const source = new KubernetesSource({
    server: async () => ({ url, tls: { ca: TLS.cert } }),
    namespaces: [],
    log: { info: () => undefined, warn: (message, fields) => console.error(message, fields) },
    onChange: () => undefined,
    onRefused: ({ findings }) => console.error(findings[0]?.message),
  });
  const over = new AbortController();
  const running = source.run(over.signal);
  await source.synced;
  const listedMs = performance.now() - beganMs;
  const composing = process.threadCpuUsage();
  const { mesh } = composition.make(noObjects(), source.objects);
  const composedMs = ms(composing);
  const cpuMs = ms(began);
  clearInterval(timer);
  const bytes = (await heap()) - beforeBytes;
  const endpoints = [...mesh.endpoints.values()].reduce((sum, own) => sum + own.length, 0);
  const labelled = [...mesh.endpoints.values()].every((own) => own.every(({ labels }) => labels.size > 0));
  if (mesh.services.size !== pods / 10 || endpoints !== pods || !labelled) throw new Error('the mesh is not complete');

  over.abort();
  await running;
  const sorted = changes().toSorted((a, b) => a - b);
  console.log(
    [
      `${pods} pods and ${pods / 10} services with their EndpointSlices: listed in ${(listedMs / 1000).toFixed(2)} s, composed in ${composedMs.toFixed(0)} ms of CPU`,
      `CPU: ${cpuMs.toFixed(0)} ms, ${(cpuMs / parseMs).toFixed(1)} of JSON.parse of the same objects (${parseMs.toFixed(0)} ms); longest turn ${longestMs.toFixed(0)} ms`,
      `memory: ${globalThis.gc === undefined ? '(run with --expose-gc) ' : ''}${(bytes / 1e6).toFixed(1)} MB, ${Math.round(bytes / pods)} bytes a pod with its part of a service`,
      `a change of one pod: ${sorted[CHANGES / 2]?.toFixed(1)} ms of CPU until the mesh is composed (p90 ${sorted[CHANGES * 0.9]?.toFixed(1)} ms)`,
    ].join('\n'),
  );
}

/** Of each change of one pod, which gives its endpoint another label: ms of CPU from its event until the mesh is composed. */
function changes(): number[] {
  const composition = new Composition(DEFAULT_SETTINGS);
  const known = new KubernetesObjects({ onChange: () => undefined, onRefused: () => undefined });
  const sinkOf = (kind: Kind): ResourceSink =>
    known.sink(
      kind,
      VERSIONS[kind][0] ?? '',
      () => true,
      () => undefined,
    );
  const [services, slices, podSink] = [sinkOf('Service'), sinkOf('EndpointSlice'), sinkOf('Pod')];
  for (let at = 0; at < pods / 10; at++) {
    services.put(crowdService(at));
    slices.put(crowdSlice(at));
  }
  for (let at = 0; at < pods; at++) podSink.put(crowdPod(at));
  composition.make(noObjects(), known.objects);
  return Array.from({ length: CHANGES }, (_, at) => {
    const pod = crowdPod(at * 97) as { metadata: { labels: Record<string, string> } };
    pod.metadata.labels['changed'] = String(at);
    const text = JSON.stringify(pod);
    const from = process.threadCpuUsage();
    podSink.put(JSON.parse(text) as object);
    composition.make(noObjects(), known.objects);
    return ms(from);
  });
}
await run();
await run();
await server.stop();
process.exit(0);
