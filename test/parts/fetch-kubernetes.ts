/** Builds kube-apiserver and etcd with Go, from the module proxy; neither is in a registry as a program. */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { say } from './fetch.ts';
import { go, goBuild } from './go-build.ts';

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
  await mkdir(FOLDER, { recursive: true });
  if (!existsSync(programs.etcd)) {
    say(`building etcd ${ETCD} (a minute)`);
    await goBuild({
      folder: FOLDER,
      program: 'etcd',
      requires: `require go.etcd.io/etcd/server/v3 ${ETCD}`,
      from: 'go.etcd.io/etcd/server/v3',
    });
  }
  say(`building kube-apiserver ${KUBERNETES} (15 minutes and more, 5 GB)`);
  await goBuild({
    folder: FOLDER,
    program: 'kube-apiserver',
    requires: `require k8s.io/kubernetes ${KUBERNETES}\n${await replacements()}`,
    from: 'k8s.io/kubernetes/cmd/kube-apiserver',
    flags: ['-ldflags', `-s -w -X k8s.io/component-base/version.gitVersion=${KUBERNETES}`],
  });
  return programs;
}

/** Of the modules that are folders of Kubernetes' repository: a line each. */
async function replacements(): Promise<string> {
  const { stdout } = go(['mod', 'download', '-json', `k8s.io/kubernetes@${KUBERNETES}`], FOLDER, 'pipe');
  const { GoMod } = JSON.parse(stdout) as { GoMod: string };
  const names = [...(await readFile(GoMod, 'utf8')).matchAll(/(\S+) => \.\/staging\//g)].map(([, name]) => name);
  return names.map((name) => `replace ${name} => ${name} ${STAGING}`).join('\n');
}
