/**
 * Runs one container of an image by runc as Kubernetes' restricted standard says: a user without capabilities, a read-only root, no new
 * privileges, a network of its own. There is no seccomp filter, and no limit on memory or CPU.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Part, startChild, untilReady } from '../../test/parts/child.ts';
import { containerProgram } from '../../test/parts/fetch-deploy-tools.ts';
import type { Image } from './build-image.ts';

/** The address of the container beside 127.0.0.1, as that of a pod. */
export const POD_IP = '10.254.0.1';

export interface ContainerSpec {
  /** In place of the image's entry point and arguments. */
  readonly command?: readonly string[] | undefined;
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Folders of this machine by path in the container; a value ending in `:rw` may be written. */
  readonly mounts?: Readonly<Record<string, string>>;
  readonly hasTmp?: boolean;
  /** Shares the network of another container, as those of one pod do. */
  readonly besides?: Container;
}

export interface Container extends Part {
  /** Of its first process. */
  readonly firstPid: number;
  /** Runs a program in the container. `as`: another user with these capabilities, as an init container of the same pod and image. */
  exec(command: readonly string[], as?: ExecUser): Ran;
  /** Runs a program of this machine in the container's network. */
  beside(command: readonly string[]): Ran;
  /** A process beside it, until it is stopped. */
  spawnBeside(command: readonly string[]): Part;
}

export interface ExecUser {
  readonly uid: number;
  readonly gid: number;
  readonly capabilities: readonly string[];
}

interface Ran {
  readonly code: number | null;
  readonly out: string;
}

interface Config {
  process: Record<string, unknown>;
  root: object;
  mounts: { destination: string; type: string; source: string; options: string[] }[];
  linux: { namespaces: { type: string; path?: string }[]; resources?: unknown };
}

export async function startContainer(image: Image, spec: ContainerSpec): Promise<Container> {
  const runc = await containerProgram('runc');
  const bundle = mkdtempSync(join(tmpdir(), 'sluice-container-'));
  const state = ['--root', join(bundle, 'state')];
  const name = `sluice-${process.pid}-${bundle.slice(-6)}`;
  mkdirSync(join(bundle, 'state'));
  execFileSync(runc, ['spec', '--bundle', bundle]);
  const file = join(bundle, 'config.json');
  writeFileSync(file, JSON.stringify(configOf(image, spec, JSON.parse(readFileSync(file, 'utf8')) as Config)));

  const part = startChild(runc, [...state, 'run', '--bundle', bundle, name]);
  const pid = async (): Promise<number> => {
    let found = 0;
    await untilReady('runc', part, async () => {
      const { status, pid: running } = JSON.parse(run([runc, ...state, 'state', name]).out) as {
        status: string;
        pid: number;
      };
      if (status === 'running') found = running;
      return found > 0;
    });
    return found;
  };
  const ownPid = await pid();
  const within = ['nsenter', '-t', String(ownPid), '-n'];
  if (spec.besides === undefined) run([...within, 'ip', 'addr', 'add', `${POD_IP}/32`, 'dev', 'lo']);
  return {
    ...part,
    firstPid: ownPid,
    exec: (command, as) => run([runc, ...state, 'exec', ...(as === undefined ? [] : flagsOf(as)), name, ...command]),
    beside: (command) => run([...within, ...command]),
    spawnBeside: ([program = '', ...args]) => startChild('nsenter', [...within.slice(1), program, ...args]),
    stop: async (graceMs) => {
      await part.stop(graceMs);
      rmSync(bundle, { recursive: true, force: true });
    },
  };
}

const flagsOf = ({ uid, gid, capabilities }: ExecUser): readonly string[] => [
  '--user',
  `${uid}:${gid}`,
  ...capabilities.flatMap((name) => ['--cap', `CAP_${name}`]),
];

function run([program = '', ...args]: readonly string[]): Ran {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 30_000 });
  return { code: status, out: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}` };
}

function configOf({ rootfs, config }: Image, spec: ContainerSpec, from: Config): Config {
  const [uid = 0, gid = 0] = config.User.split(':').map(Number);
  const entry = spec.command ?? config.Entrypoint;
  const rest = spec.args ?? (spec.command === undefined ? config.Cmd : []);
  const mounts = Object.entries(spec.mounts ?? {}).map(([destination, place]) => ({
    destination,
    type: 'bind',
    source: place.replace(/:rw$/, ''),
    options: ['rbind', place.endsWith(':rw') ? 'rw' : 'ro'],
  }));
  const tmp = {
    destination: '/tmp',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', 'mode=1777', 'size=64m'],
  };
  const { resources: _, ...linux } = from.linux;
  return {
    ...from,
    root: { path: rootfs, readonly: true },
    process: {
      ...from.process,
      terminal: false,
      user: spec.user ?? { uid, gid },
      args: [...entry, ...rest],
      cwd: config.WorkingDir,
      env: [...config.Env, ...Object.entries(spec.env ?? {}).map(([key, value]) => `${key}=${value}`)],
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
      noNewPrivileges: true,
    },
    mounts: [
      ...from.mounts.filter(({ type }) => type !== 'cgroup'),
      ...mounts,
      ...(spec.hasTmp === false ? [] : [tmp]),
    ],
    linux: {
      ...linux,
      namespaces: linux.namespaces
        .filter(({ type }) => type !== 'cgroup')
        .map((one) =>
          one.type === 'network' && spec.besides !== undefined
            ? { ...one, path: `/proc/${spec.besides.firstPid}/ns/net` }
            : one,
        ),
    },
  };
}
