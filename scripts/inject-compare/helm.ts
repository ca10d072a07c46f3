/**
 * Golden files of the webhook by the template of Istio's Helm chart: TestHelmInject of Istio 1.0.2.
 * **In**: a checkout. **Out**: a line per run that differs; how many are equal. **Fails**: with an Error if Helm does not render the chart.
 */
import { applyPatch } from 'rfc6902';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answerReview, injectorOf } from '../../src/inject/admission/review.ts';
import { defaultMeshConfig, readInjectConfig } from '../../src/inject/configs.ts';
import { type InjectConfig } from '../../src/inject/contract.ts';
import { isObject, type JsonObject } from '../../src/text/json-object.ts';
import { helmProgram } from '../../test/parts/fetch-deploy-tools.ts';
import { type Compared, difference, documentsIn, plain } from './documents.ts';
import { injectedFile } from './inject-file.ts';

const CHART = 'install/kubernetes/helm/istio';
const MAP = 'templates/sidecar-injector-configmap.yaml';
const FILES = 'pilot/pkg/kube/inject/testdata/webhook';
const RUNS: readonly (readonly [golden: string, input: string])[] = [
  'hello-probes',
  'frontend',
  'hello-multi',
  'multi-init',
  'statefulset',
  'daemonset',
  'job',
  'replicaset',
  'replicationcontroller',
  'list',
  'list-frontend',
  'deploymentconfig',
  'deploymentconfig-multi',
  'traffic-annotations',
  'traffic-annotations-wildcards',
  'traffic-annotations-empty-includes',
]
  .map((name) => [name, name] as const)
  .concat([['hello-config-map-name', 'hello']]);

export async function compareHelm(checkout: string): Promise<Compared> {
  const config = configByHelm(join(checkout, CHART));
  let equal = 0;
  for (const [golden, input] of RUNS) {
    const read = (name: string): unknown[] => documentsIn(readFileSync(join(checkout, FILES, name), 'utf8'));
    const theirs = read(`${golden}.yaml.injected`);
    const manifests = documentsIn(await injectedFile(join(checkout, FILES, `${input}.yaml`), config));
    const webhook = read(`${input}.yaml`).map((object) => throughWebhook(object, config));
    const found =
      difference(plain(manifests), plain(theirs), 'manifest') ??
      difference(plain(withoutDefaults(webhook)), plain(withoutDefaults(theirs)), 'webhook');
    if (found === undefined) equal++;
    else console.log(`${golden}.yaml.injected by Helm's template: ${found}`);
  }
  return { equal, runs: RUNS.length };
}

/** The ConfigMap alone: the chart has requirements that no longer load. */
function configByHelm(chart: string): InjectConfig {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-inject-compare-'));
  try {
    mkdirSync(join(folder, 'templates'));
    writeFileSync(join(folder, 'Chart.yaml'), 'apiVersion: v2\nname: istio\nversion: 1.0.2\n');
    for (const file of ['values.yaml', 'templates/_helpers.tpl', MAP]) cpSync(join(chart, file), join(folder, file));
    const set = ['--set', 'global.hub=docker.io/istio', '--set', 'global.tag=unittest'];
    const rendered = execFileSync(helmProgram(), ['template', 'istio', folder, '--show-only', MAP, ...set], {
      encoding: 'utf8',
    });
    return readInjectConfig(rendered, MAP, '1.0');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** With each template of pods as the pod of a review. */
function throughWebhook(object: unknown, config: InjectConfig): unknown {
  if (!isObject(object)) return object;
  const { items, spec } = object;
  if (Array.isArray(items)) return { ...object, items: items.map((item) => throughWebhook(item, config)) };
  if (!isObject(spec) || !isObject(spec['template'])) return object;
  const request = { uid: 'u', operation: 'CREATE', namespace: 'default', object: spec['template'] };
  const { body } = answerReview(
    JSON.stringify({ apiVersion: 'admission.k8s.io/v1beta1', kind: 'AdmissionReview', request }),
    injectorOf(config, defaultMeshConfig('1.0')),
  );
  const { patch = '' } = (JSON.parse(body) as { readonly response: { readonly patch?: string } }).response;
  const template = structuredClone(spec['template']);
  applyPatch(template, JSON.parse(Buffer.from(patch, 'base64').toString()) as never);
  return { ...object, spec: { ...spec, template } };
}

/** What the webhook adds as a server would; Istio's test leaves it out, too. */
const OF_SERVER = ['defaultMode', 'terminationMessagePath', 'terminationMessagePolicy', 'protocol'];

function withoutDefaults(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDefaults);
  if (!isObject(value)) return value;
  const { fieldRef } = value;
  const own: JsonObject = isObject(fieldRef) ? { ...value, fieldRef: { ...fieldRef, apiVersion: undefined } } : value;
  return Object.fromEntries(
    Object.entries(own)
      .filter(([key]) => !OF_SERVER.includes(key))
      .map(([key, inner]) => [key, withoutDefaults(inner)]),
  );
}
