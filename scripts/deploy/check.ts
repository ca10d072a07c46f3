/**
 * `npm run deploy:check [-- --write]`: lints the Dockerfile, renders the chart with every combination of renderings.ts, checks the
 * manifests against the schemas of Kubernetes, and creates them in a real kube-apiserver if it has been built (`npm run kube:real`).
 * `--write` renews deploy/kubernetes. Helm is built by Go into .cache on first use, which takes minutes.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { registrationOf } from '../../src/inject/admission/registration.ts';
import { CONTROL_PLANE } from '../../src/inject/configs.ts';
import { type Style, STYLES } from '../../src/inject/contract.ts';
import { hadolintProgram } from '../../test/parts/fetch-deploy-tools.ts';
import { isKubernetesBuilt } from '../../test/parts/fetch-kubernetes.ts';
import { onPath } from '../../test/parts/fetch.ts';
import { ok, openHelm } from './helm.ts';
import { checkInCluster } from './in-cluster.ts';
import { CHART, type Manifest, manifestsOf, MESH, PLAIN, plainManifests, ROOT, WEBHOOK } from './manifests.ts';
import { REFUSALS, RENDERINGS } from './renderings.ts';
import { schemaChecker } from './schemas.ts';

/** The oldest that Chart.yaml allows, and the newest with schemas. */
const VERSIONS = ['1.31.0', '1.37.0'];

/** Of `sluice mesh`. */
const ADMIN_PORT = 15020;
const DOCKERFILES = ['Dockerfile', 'Dockerfile.proxy'];
execFileSync(
  await hadolintProgram(),
  DOCKERFILES.map((name) => join(ROOT, 'deploy/docker', name)),
  { stdio: 'inherit' },
);
ok('hadolint has no finding in deploy/docker');

const scratch = mkdtempSync(join(tmpdir(), 'sluice-deploy-'));
const helm = openHelm(scratch);
try {
  const rendered = RENDERINGS.map((rendering) => ({ ...rendering, manifests: helm.render(rendering.values) }));
  for (const { name, kinds, manifests } of rendered)
    assert.deepEqual(manifests.map(({ kind }) => kind).toSorted(), kinds, name);
  ok(`helm lint --strict passes and the expected kinds are rendered, with ${rendered.length} combinations of values`);

  for (const [values, says] of REFUSALS) {
    const { status, stderr } = helm.run('template', 'sluice', CHART, '-f', helm.valuesFile(values));
    assert.notEqual(status, 0, `accepted: ${JSON.stringify(values)}`);
    assert.match(stderr, says);
  }
  ok(`${REFUSALS.length} combinations that cannot work are refused`);

  const plain = plainManifests(helm.template({}));
  if (process.argv.includes('--write')) writeFileSync(PLAIN, plain);
  assert.equal(
    readFileSync(PLAIN, 'utf8'),
    plain,
    'deploy/kubernetes/sluice.yaml is stale: npm run deploy:check -- --write',
  );
  const all = [
    ...rendered.flatMap(({ manifests }) => manifests),
    ...kustomized(),
    ...[WEBHOOK, ...MESH].flatMap((file) => manifestsOf(readFileSync(file, 'utf8'))),
    ...STYLES.map(registration),
  ];
  namesOfSidecars(all);
  for (const version of VERSIONS) {
    const check = await schemaChecker(version);
    assert.deepEqual(all.flatMap(check), [], `against the schemas of Kubernetes ${version}`);
    const [first] = all.filter(({ kind }) => kind === 'Deployment');
    assert.notDeepEqual(check({ ...first, spec: { ...(first?.['spec'] as object), replica: 1 } } as Manifest), []);
    ok(`${all.length} manifests are valid by the schemas of Kubernetes ${version}`);
  }

  if (!isKubernetesBuilt()) skipped('a real kube-apiserver: npm run kube:real builds it, in 15 minutes and more');
  else await checkInCluster(helm, scratch, all);
} finally {
  rmSync(scratch, { recursive: true });
}

/** Sidecars of today's style call a Service of the mesh, and its certificate is for the name that they call it by. */
function namesOfSidecars(all: readonly Manifest[]): void {
  const [host = '', port = ''] = CONTROL_PLANE.today.split(':');
  const found = all.find(
    ({ kind, metadata }) => kind === 'Service' && host === `${metadata.name}.${metadata.namespace}.svc`,
  );
  const { ports } = (found?.['spec'] ?? { ports: [] }) as { readonly ports: readonly { readonly port: number }[] };
  assert.ok(
    ports.some((one) => one.port === Number(port)),
    CONTROL_PLANE.today,
  );
  assert.ok(!ports.some((one) => one.port === ADMIN_PORT), 'the admin port is exposed');
  const deployment = all.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === found?.metadata.name);
  const names = /--secure-names=([^"]*)/.exec(JSON.stringify(deployment))?.[1] ?? '';
  assert.ok(names.split(',').includes(host), names);
  ok(`the Service and the certificate of the mesh have the name of the sidecars, ${CONTROL_PLANE.today}`);
}

/** As `sluice webhook --print-config` prints it. */
function registration(style: Style): Manifest {
  const at = { service: 'sluice-webhook', namespace: 'sluice', port: 443 };
  const ca = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
  return registrationOf({
    name: `sluice-webhook-${style}`,
    style,
    at,
    ca,
    allNamespaces: false,
  }) as unknown as Manifest;
}

function kustomized(): Manifest[] {
  const kubectl = onPath('kubectl');
  if (kubectl === undefined) {
    skipped('kustomize: kubectl is not on PATH');
    return manifestsOf(readFileSync(PLAIN, 'utf8'));
  }
  return manifestsOf(execFileSync(kubectl, ['kustomize', join(ROOT, 'deploy/kubernetes')], { encoding: 'utf8' }));
}

function skipped(text: string): void {
  console.log(`--  not run: ${text}`);
}
