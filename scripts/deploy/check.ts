/**
 * `npm run deploy:check [-- --write]`: lints the Dockerfile, renders the chart with every combination of renderings.ts, checks the manifests
 * against the schemas of Kubernetes, and creates them in a real kube-apiserver if it has been built (`npm run kube:real`).
 * `--write` renews deploy/kubernetes. Helm is built by Go into .cache on first use, which takes minutes.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { hadolintProgram, helmProgram } from '../../test/parts/fetch-deploy-tools.ts';
import { isKubernetesBuilt } from '../../test/parts/fetch-kubernetes.ts';
import { onPath } from '../../test/parts/fetch.ts';
import { checkInCluster } from './in-cluster.ts';
import { CHART, type Manifest, manifestsOf, NAMESPACE, PLAIN, plainManifests, ROOT } from './manifests.ts';
import { REFUSALS, RENDERINGS } from './renderings.ts';
import { schemaChecker } from './schemas.ts';

/** The oldest that Chart.yaml allows, and the newest with schemas. */
const VERSIONS = ['1.31.0', '1.37.0'];

execFileSync(await hadolintProgram(), [join(ROOT, 'deploy/docker/Dockerfile')], { stdio: 'inherit' });
ok('hadolint has no finding in deploy/docker/Dockerfile');

const helm = helmProgram();
const scratch = mkdtempSync(join(tmpdir(), 'sluice-deploy-'));
try {
  const rendered = RENDERINGS.map((rendering) => ({ ...rendering, manifests: lintAndRender(rendering.values) }));
  for (const { name, kinds, manifests } of rendered)
    assert.deepEqual(manifests.map(({ kind }) => kind).toSorted(), kinds, name);
  ok(`helm lint --strict passes and the expected kinds are rendered, with ${rendered.length} combinations of values`);

  for (const [values, says] of REFUSALS) {
    const { status, stderr } = runHelm(['template', 'sluice', CHART, '-f', valuesFile(values)]);
    assert.notEqual(status, 0, `accepted: ${JSON.stringify(values)}`);
    assert.match(stderr, says);
  }
  ok(`${REFUSALS.length} combinations that cannot work are refused`);

  const plain = plainManifests(template({}));
  if (process.argv.includes('--write')) writeFileSync(PLAIN, plain);
  assert.equal(
    readFileSync(PLAIN, 'utf8'),
    plain,
    'deploy/kubernetes/sluice.yaml is stale: npm run deploy:check -- --write',
  );
  const all = [...rendered.flatMap(({ manifests }) => manifests), ...kustomized()];
  for (const version of VERSIONS) {
    const check = await schemaChecker(version);
    assert.deepEqual(all.flatMap(check), [], `against the schemas of Kubernetes ${version}`);
    const [first] = all.filter(({ kind }) => kind === 'Deployment');
    assert.notDeepEqual(check({ ...first, spec: { ...(first?.['spec'] as object), replica: 1 } } as Manifest), []);
    ok(`${all.length} manifests are valid by the schemas of Kubernetes ${version}`);
  }

  if (!isKubernetesBuilt()) skipped('a real kube-apiserver: npm run kube:real builds it, in 15 minutes and more');
  else await checkInCluster({ helm, scratch, all, valuesFile, ok });
} finally {
  rmSync(scratch, { recursive: true });
}

function lintAndRender(values: object): Manifest[] {
  const { status, stdout, stderr } = runHelm(['lint', '--strict', CHART, '-f', valuesFile(values)]);
  assert.equal(status, 0, `${JSON.stringify(values)}\n${stdout}${stderr}`);
  return manifestsOf(template(values));
}

function template(values: object): string {
  const apis = ['-a', 'monitoring.coreos.com/v1'];
  const { status, stdout, stderr } = runHelm([
    'template',
    'sluice',
    CHART,
    '-n',
    NAMESPACE,
    '--kube-version',
    '1.31.0',
    ...apis,
    '-f',
    valuesFile(values),
  ]);
  assert.equal(status, 0, `${JSON.stringify(values)}\n${stderr}`);
  return stdout;
}

function kustomized(): Manifest[] {
  const kubectl = onPath('kubectl');
  if (kubectl === undefined) {
    skipped('kustomize: kubectl is not on PATH');
    return manifestsOf(readFileSync(PLAIN, 'utf8'));
  }
  return manifestsOf(execFileSync(kubectl, ['kustomize', join(ROOT, 'deploy/kubernetes')], { encoding: 'utf8' }));
}

function valuesFile(values: object): string {
  const file = join(scratch, 'values.yaml');
  writeFileSync(file, stringify(values));
  return file;
}

function runHelm(args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(helm, args, { encoding: 'utf8' });
}

function ok(text: string): void {
  console.log(`ok  ${text}`);
}
function skipped(text: string): void {
  console.log(`--  not run: ${text}`);
}
