/** Objects of a mesh in a real API server, and the resources of its proxies. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { eventually } from '../../src/adapters/testing/index.ts';
import { encodeEnvoyJson } from '../../src/envoy-json/encode.ts';
import { resourcesOf } from '../../src/mesh/envoy/resources.ts';
import type { Mesh } from '../../src/mesh/model/mesh.ts';
import { memberOf } from '../../src/mesh/resolve/proxy.ts';
import { VERSIONS } from '../../src/mesh/rules/kinds.ts';
import type { KubeApiServer } from '../../test/parts/kube-apiserver.ts';
import { type Manifest, PLURALS } from '../../test/parts/mesh/kubernetes.ts';

export const WITHIN_MS = 60_000;
export const NETWORKING = 'networking.istio.io/v1';
export const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** Each resource of a proxy of each workload and of the gateway. */
export function bytesOf(mesh: Mesh): Map<string, string> {
  const all = new Map<string, string>();
  const add = (id: string, metadata: Parameters<typeof memberOf>[0]['metadata']): void => {
    const member = memberOf({ id, metadata, identity: undefined }, mesh);
    if ('wrong' in member) throw new Error(member.wrong);
    for (const { typeUrl, name, json } of resourcesOf(mesh, member))
      all.set(`${id} ${typeUrl} ${name}`, hash('sha256', encodeEnvoyJson(typeUrl, json)));
  };
  for (const { spec } of mesh.rules.Sidecar) {
    const LABELS = spec.workloadSelector?.labels ?? {};
    add(`sidecar~${spec.ingress[0]?.bind}~${LABELS['app']}-${LABELS['version']}.default~x`, {
      LABELS,
      INTERCEPTION_MODE: 'NONE',
    });
  }
  add('router~127.0.10.9~gateway.default~x', { LABELS: { istio: 'ingressgateway' } });
  return all;
}

/** Definitions of our own: any fields may stand in an object, since the mesh has schemas. */
export async function define(server: KubeApiServer, version: string): Promise<void> {
  for (const [kind, versions] of Object.entries(VERSIONS)) {
    const plural = PLURALS[kind];
    if (plural === undefined || !versions.some((one) => one.startsWith('networking.istio.io/'))) continue;
    const name = `${plural}.networking.istio.io`;
    const served = (one: string, storage: boolean): object => ({
      name: one,
      served: true,
      storage,
      schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
    });
    if (version === 'v1alpha3')
      await server.call('POST', DEFINITIONS, {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name },
        spec: {
          group: 'networking.istio.io',
          scope: 'Namespaced',
          names: { plural, singular: kind.toLowerCase(), kind },
          versions: [served(version, true)],
        },
      });
    else
      await server.call('PATCH', `${DEFINITIONS}/${name}`, {
        spec: { versions: [served('v1alpha3', true), served(version, false)] },
      });
  }
  await eventually(async () => {
    const { resources } = await server.call('GET', `/apis/networking.istio.io/${version}`);
    assert.equal((resources as { name: string }[]).filter(({ name }) => !name.includes('/')).length, 6);
  }, WITHIN_MS);
}

export async function create(server: KubeApiServer, object: Manifest, version: string): Promise<void> {
  const apiVersion = `networking.istio.io/${version}`;
  const path = `/apis/${apiVersion}/namespaces/${object.metadata.namespace}/${PLURALS[object.kind]}`;
  await eventually(async () => {
    await server.call('POST', path, { ...object, apiVersion });
  }, WITHIN_MS); // a definition takes a moment
}

export function ruleNamed(name: string, namespace = 'default'): Manifest {
  return {
    apiVersion: NETWORKING,
    kind: 'VirtualService',
    metadata: { name, namespace },
    spec: { hosts: [name], http: [{ route: [{ destination: { host: 'web' } }] }] },
  };
}

/** A service, and what its controllers would write. */
export async function workload(server: KubeApiServer): Promise<void> {
  await server.call('POST', '/api/v1/namespaces/default/services', {
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  });
  await server.call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [
      {
        addresses: ['10.1.0.1'],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', name: 'web-v1', namespace: 'default' },
      },
    ],
    ports: [{ name: 'http', port: 8080 }],
  });
  await server.call('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'web-v1', labels: { app: 'web', version: 'v1' } },
    spec: { serviceAccountName: 'web', nodeName: 'node-1', containers: [{ name: 'web', image: 'web' }] },
  });
  await server.call('POST', '/api/v1/nodes', {
    metadata: {
      name: 'node-1',
      labels: { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': 'eu-1', other: 'x' },
    },
  });
  await server.call('PATCH', '/api/v1/namespaces/default/pods/web-v1/status', {
    status: { phase: 'Running', podIP: '10.1.0.1', podIPs: [{ ip: '10.1.0.1' }] },
  });
}

export async function applyRights(server: KubeApiServer): Promise<void> {
  const manifest = await readFile(resolve(import.meta.dirname, '../../deploy/kubernetes/mesh-rbac.yaml'), 'utf8');
  for (const document of parseAllDocuments(manifest)) {
    const object = document.toJS() as { kind: string };
    if (object.kind.startsWith('ClusterRole'))
      await server.call('POST', `/apis/rbac.authorization.k8s.io/v1/${object.kind.toLowerCase()}s`, object);
  }
}
