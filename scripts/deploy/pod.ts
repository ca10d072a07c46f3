/** Runs the pod of a rendered chart in a container, with volumes and probes as the kubelet makes them. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../src/adapters/testing/index.ts';
import { projectFiles } from '../../test/parts/projected-volume.ts';
import type { Image } from './build-image.ts';
import { type Container, POD_IP, startContainer } from './container.ts';
import { type Manifest, ROOT } from './manifests.ts';

type Probe = {
  readonly grpc?: { readonly port: number };
  readonly httpGet?: { readonly path: string; readonly port: string };
  readonly exec?: { readonly command: readonly string[] };
  readonly tcpSocket?: { readonly port: string };
};
type Kind = 'startupProbe' | 'readinessProbe' | 'livenessProbe';
interface PodSpec {
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: { readonly runAsUser: number; readonly runAsGroup: number; readonly fsGroup: number };
  readonly containers: readonly [
    {
      readonly command?: readonly string[];
      readonly args?: readonly string[];
      readonly env?: readonly { readonly name: string; readonly value: string }[];
      readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
      readonly volumeMounts: readonly {
        readonly name: string;
        readonly mountPath: string;
        readonly readOnly?: boolean;
      }[];
    } & Readonly<Record<Kind, Probe>>,
  ];
}

export interface Pod extends Container {
  probe(kind: Kind): boolean;
  /** Waits until a probe succeeds. */
  becomes(kind: Kind): Promise<void>;
  portOf(name: string): number;
  /** Replaces the files of a volume, as the kubelet does with a changed ConfigMap. */
  project(volume: string, files: Readonly<Record<string, string>>): void;
  readonly terminationMs: number;
}

/** `files`: those of Secrets, by volume; a ConfigMap's are in the manifests. `folder` keeps the volumes. */
export async function startPod(
  image: Image,
  manifests: readonly Manifest[],
  folder: string,
  files: Readonly<Record<string, Readonly<Record<string, string>>>> = {},
): Promise<Pod> {
  const workload = manifests.find(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');
  if (workload === undefined) throw new Error('no Deployment and no StatefulSet');
  const { template } = workload['spec'] as { template: { spec: PodSpec } };
  const { securityContext, terminationGracePeriodSeconds, containers } = template.spec;
  const [container] = containers;
  const config = manifests.find(({ kind }) => kind === 'ConfigMap')?.['data'] as Record<string, string>;
  const given: Readonly<Record<string, Readonly<Record<string, string>>>> = { config, ...files };
  const mounts: Record<string, string> = {};
  const project: Pod['project'] = (volume, texts) => projectFiles(join(folder, volume), texts);
  for (const { name, mountPath, readOnly } of container.volumeMounts) {
    if (mountPath === '/tmp') continue; // an emptyDir
    const place = join(folder, name);
    mkdirSync(place, { recursive: true });
    if (given[name] !== undefined) project(name, given[name]);
    if (readOnly !== true) {
      chownSync(place, 0, securityContext.fsGroup); // as a volume's root belongs to fsGroup
      chmodSync(place, 0o2775);
    }
    mounts[mountPath] = readOnly === true ? place : `${place}:rw`;
  }
  const started = await startContainer(image, {
    command: container.command,
    args: container.args,
    env: Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value])),
    user: { uid: securityContext.runAsUser, gid: securityContext.runAsGroup },
    mounts,
  });
  const portOf = (name: string): number => container.ports.find((port) => port.name === name)?.containerPort ?? 0;
  const probe = (kind: Kind): boolean => {
    const { grpc, httpGet, exec, tcpSocket } = container[kind];
    if (exec !== undefined) return started.exec(exec.command).code === 0;
    if (grpc !== undefined) return started.beside(sluice('health', '--to', `${POD_IP}:${grpc.port}`)).code === 0;
    if (tcpSocket !== undefined) return started.beside(connects(portOf(tcpSocket.port))).code === 0;
    return (
      httpGet !== undefined &&
      started.beside(gets(`http://${POD_IP}:${portOf(httpGet.port)}${httpGet.path}`)).code === 0
    );
  };
  return {
    ...started,
    probe,
    portOf,
    project,
    becomes: (kind) => eventually(() => assert.ok(probe(kind), `${kind} fails\n${started.printed()}`), 30_000),
    terminationMs: terminationGracePeriodSeconds * 1000,
  };
}

export const sluice = (...args: readonly string[]): string[] => [
  process.execPath,
  join(ROOT, 'src/cli/bin.ts'),
  ...args,
];
export const gets = (url: string): string[] => [
  process.execPath,
  '-e',
  `fetch('${url}').then(async (got) => { console.log(await got.text()); process.exit(got.ok ? 0 : 1); }, () => process.exit(2))`,
];
const connects = (port: number): string[] => [
  process.execPath,
  '-e',
  `require('net').connect(${port}, '${POD_IP}').on('connect', () => process.exit(0)).on('error', () => process.exit(1))`,
];
