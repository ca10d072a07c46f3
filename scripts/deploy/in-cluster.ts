/** Creates the rendered manifests in a real kube-apiserver, and installs, upgrades, rolls back and removes the chart there. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { type KubeApiServer, startKubeApiServer } from '../../test/parts/kube-apiserver.ts';
import { type Helm, ok } from './helm.ts';
import { CHART, type Manifest, MESH_NAMESPACE, NAMESPACE } from './manifests.ts';
import { readDefinition } from './schemas.ts';

/** Where a kind is created: its plural, and whether it belongs to a namespace. */
const pathOf = ({ apiVersion, kind, metadata: { namespace = NAMESPACE } }: Manifest): string => {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = kind.endsWith('y') ? `${kind.slice(0, -1)}ies` : `${kind}s`;
  const isCluster = ['Namespace', 'ClusterRole', 'ClusterRoleBinding', 'MutatingWebhookConfiguration'].includes(kind);
  return `${root}${isCluster ? '' : `/namespaces/${namespace}`}/${plural.toLowerCase()}`;
};

export async function checkInCluster(helm: Helm, scratch: string, all: readonly Manifest[]): Promise<void> {
  const server = await startKubeApiServer();
  try {
    const [namespace] = all.filter(({ kind }) => kind === 'Namespace');
    assert.equal(namespace?.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
    await server.call('POST', '/api/v1/namespaces', namespace);
    await server.call('POST', '/api/v1/namespaces', { metadata: { name: MESH_NAMESPACE } });
    for (const kind of ['ServiceMonitor', 'PrometheusRule'])
      await server.call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', readDefinition(kind));
    await served(server, 'servicemonitors');
    await served(server, 'prometheusrules');
    const created = all.filter(({ kind }) => kind !== 'Namespace');
    for (const manifest of created)
      await server.call('POST', `${pathOf(manifest)}?fieldValidation=Strict&dryRun=All`, manifest);
    ok(`a real kube-apiserver accepts ${created.length} manifests, with strict validation of fields`);
    await restrictedPods(server, created);
    await lifeOfARelease(server, helm, scratch);
  } finally {
    await server.stop();
  }
}

/** The namespace of the manifests enforces the restricted Pod Security Standard. */
async function restrictedPods(server: KubeApiServer, all: readonly Manifest[]): Promise<void> {
  const create = async ({ metadata, spec }: PodTemplate): Promise<unknown> =>
    server.call('POST', `/api/v1/namespaces/${NAMESPACE}/pods?dryRun=All`, {
      metadata: { ...metadata, name: 'pod' },
      // Volumes of claims come from the StatefulSet's controller.
      spec: { ...spec, containers: spec.containers.map((one) => ({ ...one, volumeMounts: [] })) },
    });
  const templates = all
    .map(({ spec }) => (spec as { template?: PodTemplate } | undefined)?.template)
    .filter((template) => template !== undefined);
  for (const template of templates) await create(template);
  const [{ metadata, spec }] = templates as [PodTemplate];
  await assert.rejects(create({ metadata, spec: { ...spec, securityContext: {} } }), /violates PodSecurity/);
  ok(`the pods of ${templates.length} manifests satisfy the restricted Pod Security Standard`);
}

interface PodTemplate {
  readonly metadata: object;
  readonly spec: {
    readonly containers: readonly object[];
    readonly [field: string]: unknown;
  };
}

/** A definition is served a moment after it is created. */
async function served(server: KubeApiServer, plural: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await server.call('GET', `/apis/monitoring.coreos.com/v1/namespaces/${NAMESPACE}/${plural}`);
      return;
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(100);
    }
  }
}

async function lifeOfARelease(server: KubeApiServer, helm: Helm, scratch: string): Promise<void> {
  const kubeconfig = join(scratch, 'kubeconfig');
  writeFileSync(
    kubeconfig,
    stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'real', cluster: { server: server.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'admin', user: { token: server.adminToken } }],
      contexts: [{ name: 'real', context: { cluster: 'real', user: 'admin', namespace: NAMESPACE } }],
      'current-context': 'real',
    }),
  );
  const run = (...args: string[]): string => {
    const { status, stdout, stderr } = helm.run(...args, '--kubeconfig', kubeconfig, '-n', NAMESPACE);
    assert.equal(status, 0, `helm ${args.join(' ')}\n${stdout}${stderr}`);
    return stdout;
  };
  const deployment = async (): Promise<{ replicas: number; args: string[] }> => {
    const { spec } = (await server.call('GET', `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/sluice`)) as {
      spec: { replicas: number; template: { spec: { containers: [{ args: string[] }] } } };
    };
    return { replicas: spec.replicas, args: spec.template.spec.containers[0].args };
  };

  const notes = run('install', 'sluice', CHART);
  assert.match(notes, /Envoy's cluster: sluice\.sluice\.svc, port 9091, HTTP\/2\./);
  assert.equal((await deployment()).replicas, 2);
  run('upgrade', 'sluice', CHART, '-f', helm.valuesFile({ workers: 2, hpa: { enabled: true } }));
  assert.ok((await deployment()).args.includes('--workers=2'));
  run('rollback', 'sluice', '1');
  assert.ok((await deployment()).args.includes('--workers=1'));
  run('uninstall', 'sluice');
  await assert.rejects(deployment(), /404/);
  ok('the chart is installed, upgraded, rolled back and removed by Helm in that server');
}
