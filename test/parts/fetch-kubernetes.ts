/** Builds kube-apiserver and etcd with Go, from the module proxy; neither is in a registry as a program. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onPath } from './fetch.ts';

const KUBERNETES = 'v1.37.2';
/** The modules that Kubernetes' own go.mod replaces by folders of its repository are published under this version. */
const STAGING = 'v0.37.2';
const ETCD = 'v3.7.3';
const FOLDER = join(import.meta.dirname, '../../.cache/parts', `kubernetes-${KUBERNETES}`);

export interface KubernetesPrograms {
  readonly apiServer: string;
  readonly etcd: string;
}

const PROGRAMS: KubernetesPrograms = { apiServer: join(FOLDER, 'kube-apiserver'), etcd: join(FOLDER, 'etcd') };
export const isKubernetesBuilt = (): boolean => existsSync(PROGRAMS.apiServer) && existsSync(PROGRAMS.etcd);

export async function kubernetesPrograms(): Promise<KubernetesPrograms> {
  const programs = PROGRAMS;
  if (isKubernetesBuilt()) return programs;
  if (onPath('go') === undefined) throw new Error('go is missing: install Go 1.26; it builds kube-apiserver and etcd');
  await mkdir(FOLDER, { recursive: true });
  if (!existsSync(programs.etcd)) {
    say(`building etcd ${ETCD} (a minute)`);
    await build('etcd', `require go.etcd.io/etcd/server/v3 ${ETCD}`, 'go.etcd.io/etcd/server/v3');
  }
  say(`building kube-apiserver ${KUBERNETES} (15 minutes and more, 5 GB)`);
  await build(
    'kube-apiserver',
    `require k8s.io/kubernetes ${KUBERNETES}\n${await replacements()}`,
    'k8s.io/kubernetes/cmd/kube-apiserver',
    ['-ldflags', `-s -w -X k8s.io/component-base/version.gitVersion=${KUBERNETES}`],
  );
  return programs;
}

/** Of the modules that are folders of Kubernetes' repository: a line each. */
async function replacements(): Promise<string> {
  const { stdout } = go(['mod', 'download', '-json', `k8s.io/kubernetes@${KUBERNETES}`], FOLDER, 'pipe');
  const { GoMod } = JSON.parse(stdout) as { GoMod: string };
  const names = [...(await readFile(GoMod, 'utf8')).matchAll(/(\S+) => \.\/staging\//g)].map(([, name]) => name);
  return names.map((name) => `replace ${name} => ${name} ${STAGING}`).join('\n');
}

async function build(program: string, requires: string, from: string, flags: readonly string[] = []): Promise<void> {
  const folder = join(FOLDER, `${program}.module`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'go.mod'), `module sluice.test/${program}\n\ngo 1.26.0\n\n${requires}\n`);
  const unfinished = join(folder, program);
  go(['build', '-mod=mod', '-p', '1', ...flags, '-o', unfinished, from], folder, 'inherit');
  await rename(unfinished, join(FOLDER, program));
  await rm(folder, { recursive: true, force: true });
}

function go(args: readonly string[], cwd: string, stdout: 'pipe' | 'inherit'): { readonly stdout: string } {
  const {
    status,
    error,
    stdout: printed,
  } = spawnSync('nice', ['-n', '19', 'go', ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', stdout, 'inherit'],
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false' },
  });
  if (status === 0) return { stdout: printed ?? '' };
  throw new Error(`go ${args.join(' ')} failed; its output is above`, { cause: error });
}

const say = (text: string): void => {
  process.stderr.write(`parts: ${text}\n`);
};
