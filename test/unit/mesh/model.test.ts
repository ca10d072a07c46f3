/** Services and endpoints, as objects of Kubernetes and Istio declare them. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS, type Mesh, meshOf } from '../../../src/mesh/model/mesh.ts';
import { type MeshObjects, readObjects } from '../../../src/mesh/sources/objects.ts';
import { Findings } from '../../../src/yaml/findings.ts';

async function objectsOf(...objects: readonly object[]): Promise<MeshObjects> {
  const findings = new Findings();
  const files = objects.map((object, at) => ({ file: `${at}.yaml`, text: JSON.stringify(object) }));
  const read = await readObjects(files, findings);
  expect(findings.sorted([]).map(({ message }) => message)).toEqual([]);
  return read;
}
const meshFrom = async (...objects: readonly object[]): Promise<Mesh> => meshOf(await objectsOf(...objects));

const HOST = 'web.shop.svc.cluster.local';
const meta = (name: string, labels: object = {}): object => ({ name, namespace: 'shop', labels });
const service = (spec: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: meta('web'),
  spec: { clusterIP: '10.96.0.1', selector: { app: 'web' }, ports: [{ name: 'http', port: 80 }], ...spec },
});
const pod = (name: string, podIP: string, labels: object, more: { spec?: object; status?: object } = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: meta(name, { app: 'web', ...labels }),
  spec: { serviceAccountName: 'web', containers: [], ...more.spec },
  status: { podIP, phase: 'Running', ...more.status },
});
const slice = (name: string, endpoints: readonly object[], more: object = {}): object => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: meta(name, { 'kubernetes.io/service-name': 'web' }),
  addressType: 'IPv4',
  endpoints,
  ports: [{ name: 'http', port: 8080 }],
  ...more,
});
const at = (address: string, podName?: string, more: object = {}): object => ({
  addresses: [address],
  ...(podName === undefined ? {} : { targetRef: { kind: 'Pod', name: podName, namespace: 'shop' } }),
  ...more,
});
/** By address, of the endpoints that are ready. */
const versions = (mesh: Mesh): Record<string, string | undefined> =>
  Object.fromEntries(
    (mesh.endpoints.get(HOST) ?? [])
      .filter(({ isReady }) => isReady)
      .map((one) => [one.address, one.labels.get('version')]),
  );

describe('endpoints of an EndpointSlice', () => {
  test('have the labels of the pod that they name, also where another pod has its address', async () => {
    const mesh = await meshFrom(
      service(),
      slice('a', [at('10.1.0.1', 'one'), at('10.1.0.2')]),
      pod('one', '10.1.0.1', { version: 'v1' }),
      pod('daemon', '10.1.0.1', { version: 'host' }, { spec: { hostNetwork: true } }),
      pod('two', '10.1.0.2', { version: 'v2' }),
    );
    expect(versions(mesh)).toEqual({ '10.1.0.1': 'v1', '10.1.0.2': 'v2' });
    expect(mesh.endpoints.get(HOST)?.[0]).toMatchObject({ serviceAccount: 'web', ports: new Map([[80, 8080]]) });
  });

  test('have no labels until their pod is known', async () => {
    const known = [service(), slice('a', [at('10.1.0.1', 'late')]), pod('other', '10.1.0.1', { version: 'v9' })];
    expect(versions(await meshFrom(...known))).toEqual({ '10.1.0.1': undefined });
    expect(versions(await meshFrom(...known, pod('late', '10.1.0.1', { version: 'v1' })))).toEqual({
      '10.1.0.1': 'v1',
    });
  });

  test('that two slices have count once; those that are not ready, or have no address, do not', async () => {
    const mesh = await meshFrom(
      service(),
      slice('a', [at('10.1.0.1'), at('10.1.0.2', undefined, { conditions: { ready: false } })]),
      slice('b', [at('10.1.0.1'), at('10.1.0.3', undefined, { conditions: {} }), at('not an address')]),
      slice('c', [at('shop.example')], { addressType: 'FQDN' }),
    );
    expect(Object.keys(versions(mesh))).toEqual(['10.1.0.1', '10.1.0.3']);
  });

  test('are those of the first family of the service', async () => {
    const both = [slice('a', [at('10.1.0.1')]), slice('b', [at('fd00::1')], { addressType: 'IPv6' })];
    expect(Object.keys(versions(await meshFrom(service(), ...both)))).toEqual(['10.1.0.1']);
    expect(Object.keys(versions(await meshFrom(service({ clusterIP: 'fd00::99' }), ...both)))).toEqual(['fd00::1']);
    expect(Object.keys(versions(await meshFrom(service({ clusterIP: 'None' }), ...both)))).toEqual(['10.1.0.1']);
  });
});

test('a service without slices has the pods that it selects, unless they have ended or are not ready', async () => {
  const mesh = await meshFrom(
    service(),
    pod('one', '10.1.0.1', {}),
    pod('ended', '10.1.0.2', {}, { status: { phase: 'Succeeded' } }),
    pod('begins', '10.1.0.3', {}, { status: { conditions: [{ type: 'Ready', status: 'False' }] } }),
    pod('ready', '10.1.0.4', {}, { status: { conditions: [{ type: 'Ready', status: 'True' }] } }),
  );
  expect(Object.keys(versions(mesh))).toEqual(['10.1.0.1', '10.1.0.4']);
  const empty = await meshFrom(service(), slice('a', []), pod('one', '10.1.0.1', {}));
  expect(versions(empty)).toEqual({});
});

describe('of a newer mesh', () => {
  test('services and endpoints are the same values, unless their objects changed', async () => {
    const first = await objectsOf(
      service(),
      slice('a', [at('10.1.0.1', 'one')]),
      pod('one', '10.1.0.1', { version: 'v1' }),
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'ServiceEntry',
        metadata: meta('api'),
        spec: { hosts: ['api.example'], ports: [{ number: 443, name: 'tls', protocol: 'TLS' }], resolution: 'DNS' },
      },
    );
    const changed = await objectsOf(pod('one', '10.1.0.1', { version: 'v2' }));
    const settings = { ...DEFAULT_SETTINGS };
    const before = meshOf(first, settings);
    const same = meshOf({ ...first }, settings, before);
    const after = meshOf({ ...first, Pod: changed.Pod }, settings, same);
    for (const host of [HOST, 'api.example']) {
      expect(same.services.get(host)).toBe(before.services.get(host));
      expect(same.endpoints.get(host)).toBe(before.endpoints.get(host));
      expect(after.services.get(host)).toBe(before.services.get(host));
    }
    expect(after.endpoints.get('api.example')).toBe(before.endpoints.get('api.example'));
    expect(versions(before)).toEqual({ '10.1.0.1': 'v1' });
    expect(versions(after)).toEqual({ '10.1.0.1': 'v2' });
    expect(meshOf(first, { ...settings, domain: 'other' }, after).services.has('web.shop.svc.other')).toBe(true);
  });
});
