/**
 * The control planes of bench/mesh.ts, with the same objects: Sluice's in a process of its own, and istiod with a Kubernetes API server.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startIstiod } from '../test/parts/istiod.ts';
import { startKubeApiServer } from '../test/parts/kube-apiserver.ts';
import {
  crowdNamespace,
  crowdObjects,
  crowdRule,
  crowdSlice,
  type CrowdSize,
  type KubernetesObject,
} from '../test/parts/mesh/crowd.ts';
import { cpuUsOf } from './process.ts';

export interface Plane {
  readonly port: number;
  /** Milliseconds that it took to read the change and make a mesh of it, where that is known. */
  change(kind: 'endpoint' | 'rule', service: number, count: number): Promise<number>;
  /** When all proxies have accepted all. */
  settledCpuMs(): Promise<number>;
  /** `undefined`: the process does not tell. */
  longestTurnMs(): Promise<number | undefined>;
  memory(): Promise<{ readonly usedMb: number | undefined; readonly rssMb: number }>;
  stop(): Promise<void>;
}

export async function startSluice(size: CrowdSize, profileFolder: string | undefined): Promise<Plane> {
  const child = fork(join(import.meta.dirname, 'mesh-server.ts'), [JSON.stringify(size)], {
    execArgv: [
      '--expose-gc',
      '--max-semi-space-size=4', // as the command has it
      ...(profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]),
    ],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let port = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    port = Number(/listens at (\d+)/.exec(chunk.toString())?.[1]);
    if (port > 0) break;
  }
  let last = 0;
  const waiting = new Map<number, (result: never) => void>();
  child.on('message', ({ id, result }: { id: number; result: never }) => {
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  const ask = <T>(name: string, args: unknown = []): Promise<T> =>
    new Promise<T>((resolve) => {
      waiting.set(++last, resolve as (result: never) => void);
      child.send({ id: last, name, args });
    });
  return {
    port,
    change: (kind, service, count) => ask('change', [kind, service, count]),
    longestTurnMs: () => ask('longestTurn'),
    memory: () => ask('memory'),
    async settledCpuMs() {
      for (;;) {
        const figures = await ask<{ cpuMs: number; proxies: number; synced: number }>('figures');
        if (figures.synced === figures.proxies) return figures.cpuMs;
        await pause(20);
      }
    },
    async stop() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

const RESOURCES: Readonly<Record<string, string>> = {
  Service: 'services',
  EndpointSlice: 'endpointslices',
  DestinationRule: 'destinationrules',
  VirtualService: 'virtualservices',
};
const pathOf = ({ apiVersion, kind, metadata }: KubernetesObject): string =>
  `${apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`}/namespaces/${metadata.namespace}/${RESOURCES[kind]}`;
const AT_ONCE = 16;
/** A program in Go tells no other end of its work than that it rests. */
const RESTS_MS = 500;

export async function startIstiodPlane(size: CrowdSize): Promise<Plane> {
  const server = await startKubeApiServer();
  const istiod = await startIstiod(server, { meshConfig: 'enableAutoMtls: false\n' });
  for (let at = 0; at < size.namespaces; at++)
    await server.call('POST', '/api/v1/namespaces', { metadata: { name: crowdNamespace(at, size) } });
  const left = [...crowdObjects(size)];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let one = left.shift(); one !== undefined; one = left.shift()) await server.call('POST', pathOf(one), one);
    }),
  );
  const cpuMs = (): number => cpuUsOf(istiod.pid) / 1000;
  const settledCpuMs = async (): Promise<number> => {
    for (let last = cpuMs(); ;) {
      await pause(RESTS_MS);
      const now = cpuMs();
      if (now - last < RESTS_MS / 50) return now;
      last = now;
    }
  };
  await settledCpuMs();
  return {
    port: istiod.adsPort,
    settledCpuMs,
    async change(kind, service, count) {
      const object = kind === 'endpoint' ? crowdSlice(service, size, count) : crowdRule(service, size, count);
      await server.call('PATCH', `${pathOf(object)}/${object.metadata.name}`, object);
      return Number.NaN;
    },
    longestTurnMs: async () => undefined,
    async memory() {
      const status = readFileSync(`/proc/${istiod.pid}/status`, 'utf8');
      return { usedMb: undefined, rssMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1000 };
    },
    async stop() {
      await istiod.stop();
      await server.stop();
    },
  };
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
