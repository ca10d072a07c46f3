/** An API server as the source of a mesh: when it is complete, what reaches it, what errors of objects and of the server come to. */
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { encodeEnvoyJson } from '../../../src/envoy-json/encode.ts';
import { resourcesOf } from '../../../src/mesh/envoy/resources.ts';
import { DEFAULT_SETTINGS, type Mesh } from '../../../src/mesh/model/mesh.ts';
import { originText } from '../../../src/mesh/model/model.ts';
import { memberOf } from '../../../src/mesh/resolve/proxy.ts';
import { Composition } from '../../../src/mesh/sources/composition.ts';
import { usedSecrets } from '../../../src/mesh/model/credential-access.ts';
import { type MeshObjects, noObjects, readObjects } from '../../../src/mesh/sources/objects.ts';
import { Findings } from '../../../src/yaml/findings.ts';
import { positionText } from '../../../src/yaml/source-text.ts';
import {
  answers,
  type FakeAnswer,
  type FakeKubeApi,
  type FakeRequest,
  startFakeKubeApi,
} from '../../parts/fake-kube-api.ts';
import {
  bookinfoTexts,
  type FollowedSource,
  follow as followed,
  installIstio,
  ISTIO,
  type Manifest,
  manifestsOf,
  NETWORKING,
  put,
} from '../../parts/mesh/kubernetes.ts';

let api: FakeKubeApi;
const open: FollowedSource[] = [];
beforeEach(async () => {
  api = await startFakeKubeApi();
  installIstio(api);
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.stop()));
  await api.stop();
});

function follow(options: Parameters<typeof followed>[1] = {}): FollowedSource {
  const one = followed(() => api, options);
  open.push(one);
  return one;
}
async function synced(options: Parameters<typeof followed>[1] = {}): Promise<FollowedSource> {
  const one = follow(options);
  await one.source.synced;
  return one;
}

const rule = (name: string, spec: object = {}, metadata: object = {}): Manifest => ({
  apiVersion: NETWORKING,
  kind: 'VirtualService',
  metadata: { name, namespace: 'default', ...metadata },
  spec: { hosts: [name], http: [{ route: [{ destination: { host: name } }] }], ...spec },
});
const service = (name: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { clusterIP: '10.96.0.1', selector: { app: name }, ports: [{ name: 'http', port: 80 }] },
});
const pod = (name: string, ip: string, more: object = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels: { app: 'web' } },
  spec: { serviceAccountName: 'web', containers: [{ name: 'web', image: 'web' }] },
  status: { phase: 'Running', podIP: ip, ...more },
});
const names = (objects: MeshObjects, kind: keyof MeshObjects): string[] =>
  objects[kind].map(({ origin }) => origin.name);
const timeouts = ({ source }: FollowedSource): unknown[] =>
  source.objects.VirtualService.map(({ origin, spec }) => [origin.name, spec.http[0]?.timeout]);

describe('a mesh of an API server', () => {
  test('is byte for byte that of the same objects in files', async () => {
    const texts = bookinfoTexts();
    put(api, ...manifestsOf(texts));
    const { source } = await synced();
    const files = await readObjects(
      texts.map((text, at) => ({ file: `${at}.yaml`, text })),
      new Findings(),
    );
    const fromFiles = new Composition(DEFAULT_SETTINGS).make(files, noObjects());
    const fromServer = new Composition(DEFAULT_SETTINGS).make(noObjects(), source.objects);
    const bytes = (mesh: Mesh): Map<string, string> => {
      const all = new Map<string, string>();
      for (const { spec } of mesh.rules.Sidecar) {
        const LABELS = spec.workloadSelector?.labels ?? {};
        const id = `sidecar~${spec.ingress[0]?.bind}~${LABELS['app']}-${LABELS['version']}.default~x`;
        for (const [type, metadata] of [
          ['sidecar', { LABELS, INTERCEPTION_MODE: 'NONE' }],
          ['router', { LABELS: { istio: 'ingressgateway' } }],
        ] as const) {
          const member = memberOf({ id: id.replace('sidecar', type), metadata, identity: undefined }, mesh);
          if ('wrong' in member) throw new Error(member.wrong);
          for (const { typeUrl, name, json } of resourcesOf(mesh, member))
            all.set(`${id} ${typeUrl} ${name}`, Buffer.from(encodeEnvoyJson(typeUrl, json)).toString('hex'));
        }
      }
      return all;
    };
    const expected = bytes(fromFiles.mesh);
    expect(expected.size).toBeGreaterThan(100);
    expect(bytes(fromServer.mesh)).toEqual(expected);
    expect(fromServer.findings.map(({ message }) => message)).toEqual(fromFiles.findings.map(({ message }) => message));
    expect([...fromServer.mesh.rules.Gateway].map(({ origin }) => originText(origin))).toEqual([
      'Gateway default/bookinfo-gateway (kubernetes)',
    ]);
  });

  test('is complete once every list came; which one is missing, and why, is known and logged once', async () => {
    put(api, service('web'), rule('web'));
    api.always = ({ path }) =>
      path === '/api/v1/pods'
        ? answers(403, 'pods is forbidden: User "sluice" cannot list resource "pods" at the cluster scope')
        : undefined;
    const one = follow();
    await eventually(() => expect(one.source.waitingFor).toEqual([expect.stringMatching(/^\/api\/v1\/pods: .*403/)]));
    await sleep(50);
    expect(one.changes()).toBe(0);
    expect(one.logged).toEqual([
      expect.stringMatching(
        /^the Kubernetes API cannot be listed; proxies are not served until it is \| \/api\/v1\/pods \| .*403.* \| \{"apiGroups":\[""\],"resources":\["pods"\],"verbs":\["get","list","watch"\]\}$/,
      ),
    ]);
    api.always = () => undefined;
    await one.source.synced;
    expect(one.source.waitingFor).toEqual([]);
    expect(names(one.source.objects, 'VirtualService')).toEqual(['web']);
    expect(one.logged.at(-1)).toBe('the Kubernetes API answers again');
  });

  test('follows objects that are added, changed and deleted', async () => {
    put(api, rule('a'));
    const one = await synced();
    put(api, rule('b'), rule('a', { http: [{ timeout: '2s', route: [{ destination: { host: 'a' } }] }] }));
    await eventually(() =>
      expect(timeouts(one)).toEqual([
        ['a', 2000],
        ['b', undefined],
      ]),
    );
    api.remove('virtualservices', rule('a'));
    await eventually(() => expect(names(one.source.objects, 'VirtualService')).toEqual(['b']));
  });

  test('does not change by what it does not read: a heartbeat costs no push', async () => {
    put(api, service('web'), pod('one', '10.1.0.1'), rule('web'));
    const one = await synced();
    const { Pod, VirtualService } = one.source.objects;
    put(
      api,
      { ...pod('one', '10.1.0.1', { conditions: [{ type: 'ContainersReady', lastProbeTime: 'now' }] }) },
      { ...rule('web', {}, { managedFields: [{ manager: 'someone' }], generation: 7 }), status: { ok: true } },
      pod('two', '10.1.0.2'),
    );
    await eventually(() => expect(names(one.source.objects, 'Pod')).toEqual(['one', 'two']));
    expect(one.changes()).toBe(1);
    expect(one.source.objects.Pod[0]).toBe(Pod[0]);
    expect(one.source.objects.VirtualService).toBe(VirtualService);
  });

  test('reads the labels of Nodes alone, and gives pods their locality', async () => {
    const node = (zone: string, more: object = {}): Manifest => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name: 'node-1',
        namespace: '',
        labels: { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': zone, ...more },
      },
      status: { images: ['a', 'b'] },
    });
    const onNode = { ...pod('one', '10.1.0.1'), spec: { nodeName: 'node-1', containers: [] } };
    put(api, service('web'), node('eu-1'), onNode);
    const one = await synced();
    const locality = (): string | undefined =>
      new Composition(DEFAULT_SETTINGS)
        .make(noObjects(), one.source.objects)
        .mesh.endpoints.get('web.default.svc.cluster.local')?.[0]?.locality;
    expect(locality()).toBe('eu/eu-1');
    expect(api.lists('nodes')[0]?.headers.accept).toMatch(/PartialObjectMetadata/);
    put(api, node('eu-1', { 'kubernetes.io/heartbeat': 'now' }), node('eu-2'));
    await eventually(() => expect(locality()).toBe('eu/eu-2'));
    expect(one.changes()).toBe(1);
  });

  test('has the pods and rules of the watched namespaces alone', async () => {
    const elsewhere = rule('other', {}, { namespace: 'other' });
    const shop = rule('shop', {}, { namespace: 'shop' });
    put(api, rule('web'), shop, elsewhere);
    api.always = ({ path }) =>
      path.includes('/namespaces/') || /^\/apis\/[^/]+\/[^/]+$/.test(path) ? undefined : answers(403);
    const one = await synced({ namespaces: ['default', 'shop'] });
    expect(names(one.source.objects, 'VirtualService')).toEqual(['web', 'shop']);
    api.expire();
    api.endWatchers();
    api.remove('virtualservices', shop);
    await eventually(() => expect(names(one.source.objects, 'VirtualService')).toEqual(['web']));
  });
});

describe('an object with an error', () => {
  const broken = (name: string): Manifest => rule(name, { http: [{ timeuot: '1s' }] });

  test('is used as it was before, and others are not held up', async () => {
    put(api, rule('a', { http: [{ timeout: '1s', route: [{ destination: { host: 'a' } }] }] }), rule('b'));
    const one = await synced();
    put(api, broken('a'), rule('b', { http: [{ timeout: '3s', route: [{ destination: { host: 'b' } }] }] }));
    await eventually(() =>
      expect(timeouts(one)).toEqual([
        ['a', 1000],
        ['b', 3000],
      ]),
    );
    expect(
      one.findings().map(({ position, code, message }) => `${positionText(position)} ${code} ${message}`),
    ).toContain(
      'VirtualService default/a (kubernetes) MESH_FIELD VirtualService default/a, http.0.timeuot: unknown key; did you mean timeout?',
    );
    expect(one.refused.map(({ hasGood }) => hasGood)).toEqual([true]);

    put(api, { ...broken('a'), status: { more: 1 } }); // the same spec again is not reported again
    put(api, rule('a', { http: [{ timeout: '5s', route: [{ destination: { host: 'a' } }] }] }));
    await eventually(() => expect(timeouts(one)[0]).toEqual(['a', 5000]));
    expect(one.findings()).toEqual([]);
    expect(one.refused).toHaveLength(1);
  });

  test('is left out if it was never good, and forgotten once it is deleted', async () => {
    put(api, broken('a'), rule('b'));
    const one = await synced();
    expect(names(one.source.objects, 'VirtualService')).toEqual(['b']);
    expect(one.refused.map(({ hasGood }) => hasGood)).toEqual([false]);
    api.remove('virtualservices', broken('a'));
    await eventually(() => expect(one.findings()).toEqual([]));
  });

  test('may have fields of any type', async () => {
    put(
      api,
      { ...service('web'), spec: 'none' },
      { ...pod('one', '10.1.0.1'), status: [], spec: { containers: { a: 1 } } },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'a', namespace: 'default' },
        endpoints: 7,
      },
      { ...rule('a'), spec: null as unknown as object },
      rule('b', {}, { labels: 'none', creationTimestamp: 7 }),
    );
    const one = await synced();
    expect(one.refused).toHaveLength(5);
    expect(Object.values(one.source.objects).flat()).toEqual([]);
  });

  test('that files have, too, is a finding; that of the files holds', async () => {
    put(api, rule('a'), rule('b'));
    const { source } = await synced();
    const text = JSON.stringify(rule('a', { http: [{ timeout: '9s', route: [{ destination: { host: 'a' } }] }] }));
    const files = await readObjects([{ file: 'mesh.yaml', text }], new Findings());
    const { mesh, findings } = new Composition(DEFAULT_SETTINGS).make(files, source.objects);
    expect(mesh.rules.VirtualService.map(({ origin, spec }) => [origin.name, spec.http[0]?.timeout])).toEqual([
      ['a', 9000],
      ['b', undefined],
    ]);
    expect(
      findings
        .filter(({ severity }) => severity === 'error')
        .map(({ position, message }) => [positionText(position), message]),
    ).toEqual([
      [
        'VirtualService default/a (kubernetes)',
        expect.stringMatching(/^VirtualService default\/a stands at mesh\.yaml:1:\d+, too$/),
      ],
    ]);
  });
});

describe('custom resources', () => {
  test('that are not installed are no error, and are noticed once they are', async () => {
    api.served.clear();
    put(api, service('web'), rule('web'));
    const one = await synced();
    expect([names(one.source.objects, 'Service'), names(one.source.objects, 'VirtualService')]).toEqual([['web'], []]);
    expect(one.logged).toEqual([]);
    api.served.set(NETWORKING, ISTIO);
    await eventually(() => expect(names(one.source.objects, 'VirtualService')).toEqual(['web']));
    expect(one.changes()).toBe(1);
  });

  test('of a server that is not ready yet are waited for', async () => {
    api.served.clear();
    put(api, rule('web'));
    api.always = ({ path }) => (path === '/readyz' ? answers(500, 'crd-informer-synced failed') : undefined);
    const one = follow();
    await eventually(() =>
      expect(one.source.waitingFor).toEqual([
        expect.stringMatching(/^\/apis: the API server is not ready: .*crd-informer/),
      ]),
    );
    installIstio(api);
    api.always = ({ path }) => (path === '/readyz' ? answers(403) : undefined); // it may not be asked
    await one.source.synced;
    expect(names(one.source.objects, 'VirtualService')).toEqual(['web']);
  });

  test('are read in the version that the server has, and followed to another', async () => {
    api.served.clear();
    api.served.set('networking.istio.io/v1alpha3', ISTIO);
    put(api, rule('web'));
    const one = await synced();
    expect(one.source.objects.VirtualService.map(({ origin }) => origin.apiVersion)).toEqual([
      'networking.istio.io/v1alpha3',
    ]);
    api.served.clear();
    api.served.set(NETWORKING, ISTIO);
    await eventually(() =>
      expect(one.source.objects.VirtualService.map(({ origin }) => origin.apiVersion)).toEqual([NETWORKING]),
    );
    await eventually(() => expect(api.watches('v1alpha3/virtualservices')).toHaveLength(1));
    put(api, rule('later'));
    await eventually(() => expect(names(one.source.objects, 'VirtualService')).toEqual(['later', 'web']));
  });

  test('that the server does not know for a while keep their objects', async () => {
    put(api, rule('web'));
    const one = await synced();
    api.served.clear();
    await eventually(() => expect(api.watching).toBe(4)); // of built-in kinds
    expect(names(one.source.objects, 'VirtualService')).toEqual(['web']);
    put(api, rule('later'));
    api.served.set(NETWORKING, ISTIO);
    await eventually(() => expect(names(one.source.objects, 'VirtualService')).toEqual(['later', 'web']));
  });
});

describe('Secrets', () => {
  const secret = (namespace: string, name: string): Manifest => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    data: { 'tls.crt': 'Y2VydA==' },
  });
  const gateway = (name: string, tls: object): Manifest => ({
    apiVersion: NETWORKING,
    kind: 'Gateway',
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { istio: 'ingressgateway' },
      servers: [{ port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['*'], tls }],
    },
  });
  const gatewayPod = (namespace: string): Manifest => {
    const { metadata, ...others } = pod('gateway', '10.1.0.9');
    return {
      ...others,
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, namespace, labels: { istio: 'ingressgateway' } },
    };
  };
  const known = ({ source }: FollowedSource): string[] =>
    source.objects.Secret.map(({ origin }) => `${origin.namespace}/${origin.name}`);

  test('are read only if a Gateway names them, in the namespaces of its pods', async () => {
    put(api, secret('edge', 'site'), secret('edge', 'site-cacert'), secret('edge', 'other'), secret('default', 'site'));
    put(api, gateway('site', { mode: 'MUTUAL', credentialName: 'site' }), gatewayPod('edge'), pod('web', '10.1.0.1'));
    const one = await synced();
    expect(api.requests.filter(({ path }) => path.includes('secrets'))).toEqual([]);
    expect([...usedSecrets(one.source.objects)]).toEqual(['edge/site', 'edge/site-cacert']);
    await one.source.watchSecrets(usedSecrets(one.source.objects));
    expect(known(one)).toEqual(['edge/site', 'edge/site-cacert']);
    for (const { path, query } of api.requests.filter((request) => request.path.includes('secrets')))
      expect(`${path} ${query['fieldSelector']}`).toMatch(
        /^\/api\/v1\/namespaces\/edge\/secrets metadata\.name=site(-cacert)?$/,
      );

    put(api, { ...secret('edge', 'site'), data: { 'tls.crt': 'bmV3' } });
    await eventually(() => expect(one.source.objects.Secret[0]?.spec.data).toEqual({ 'tls.crt': 'bmV3' }));
    api.remove('secrets', secret('edge', 'site-cacert'));
    await eventually(() => expect(known(one)).toEqual(['edge/site']));

    await one.source.watchSecrets(new Set());
    expect(known(one)).toEqual([]);
    put(api, { ...secret('edge', 'site'), data: {} });
    await eventually(() => expect(api.watches('secrets').length).toBeGreaterThan(0));
    expect(known(one)).toEqual([]);
  });

  test('that are refused hold nothing up, and the log names the rule', async () => {
    const one = await synced();
    api.always = ({ path }) => (path.endsWith('/secrets') ? answers(403, 'secrets is forbidden') : undefined);
    await one.source.watchSecrets(new Set(['edge/site']));
    expect(one.logged).toEqual([
      expect.stringMatching(
        /^the Kubernetes API cannot be watched.*"resources":\["secrets"\],"resourceNames":\["site"\],"verbs":\["get","list","watch"\]\}$/,
      ),
    ]);
  });

  test('of a server that is busy are waited for', async () => {
    put(api, secret('edge', 'site'));
    const one = await synced();
    let refusals = 0;
    api.always = ({ path }) => (path.endsWith('/secrets') && ++refusals < 4 ? answers(500) : undefined);
    await one.source.watchSecrets(new Set(['edge/site']));
    expect(known(one)).toEqual(['edge/site']);
  });
});

describe('the API server', () => {
  const settled = async (one: FollowedSource): Promise<void> => {
    const expected = api
      .all('virtualservices')
      .map(({ metadata, spec }) => `${metadata.name} ${(spec as { http: { timeout?: string }[] }).http[0]?.timeout}`)
      .toSorted();
    await eventually(
      () =>
        expect(
          one.source.objects.VirtualService.map(
            ({ origin, spec: { http } }) =>
              `${origin.name} ${http[0]?.timeout === undefined ? undefined : `${http[0].timeout / 1000}s`}`,
          ).toSorted(),
        ).toEqual(expected),
      10_000,
    );
  };
  /** One of a few rules is put, changed or deleted. */
  const change = (at: number): void => {
    const name = `r${(at * 7) % 10}`;
    if (at % 3 === 0) api.remove('virtualservices', rule(name));
    else put(api, rule(name, { http: [{ timeout: `${at}s`, route: [{ destination: { host: name } }] }] }));
  };

  test('that cuts each watch loses no event', async () => {
    put(api, rule('a'));
    const one = await synced();
    for (let round = 0; round < 20; round++) {
      await eventually(() => expect(api.watches('virtualservices').length).toBeGreaterThan(round));
      for (let at = 1; at <= 15; at++) {
        change(round * 15 + at);
        if (at === 7 && round % 2 === 0) api.endWatchers();
        if (at === 7 && round % 2 === 1) api.cutWatchers();
      }
    }
    await settled(one);
    expect(api.lists('virtualservices')).toHaveLength(1); // nothing had to be listed again
  });

  test('that is away never empties the mesh; what was deleted meanwhile is gone after', async () => {
    put(api, rule('a'), rule('b'), service('web'));
    const one = await synced();
    const { port } = api;
    await api.stop();
    await eventually(() => expect(one.logged.at(-1)).toMatch(/^the Kubernetes API cannot be watched; the last known/));
    expect(one.logged).toHaveLength(1);
    expect(names(one.source.objects, 'VirtualService')).toEqual(['a', 'b']);
    expect(one.changes()).toBe(0);
    api.remove('virtualservices', rule('a'));
    api.expire();
    await api.listen(port);
    await eventually(() => expect(names(one.source.objects, 'VirtualService')).toEqual(['b']));
    expect(names(one.source.objects, 'Service')).toEqual(['web']);
  });

  const isWatch = ({ query }: FakeRequest): boolean => query['watch'] === '1';
  const always = (answer: (request: FakeRequest) => FakeAnswer | undefined): void => {
    api.always = answer;
  };
  /** Never answered, until the test is over. */
  const hangs: FakeAnswer = (response) => hung.push(response);
  const hung: ServerResponse[] = [];

  test.for<readonly [string, () => void]>([
    ['410 in an event', () => api.expire()],
    ['410 as a status', () => always((request) => (isWatch(request) ? answers(410) : undefined))],
    ['429 with Retry-After', () => always(() => answers(429, 'slow down', { 'retry-after': '0.01' }))],
    ['500', () => always(() => answers(500))],
    ['the page of a proxy', () => always(() => (response) => response.writeHead(503).end('<html>'))],
    ['garbage lines', () => api.toWatchers('{"type":"ADDED","object":{"meta\n')],
    [
      'half a list',
      () => always((request) => (isWatch(request) ? answers(410) : (response) => response.end('{"items":['))),
    ],
    ['silence in place of a list', () => always((request) => (isWatch(request) ? answers(410) : hangs))],
  ])('that answers with %s keeps the mesh, and is followed again after', async ([, fault]) => {
    for (let at = 1; at < 20; at++) change(at);
    const one = await synced();
    const before = names(one.source.objects, 'VirtualService');
    fault();
    api.endWatchers();
    await sleep(60);
    expect(names(one.source.objects, 'VirtualService')).toEqual(before);
    for (let at = 20; at < 30; at++) change(at);
    api.always = () => undefined;
    api.cutWatchers();
    for (const response of hung.splice(0)) response.destroy();
    await settled(one);
    change(40);
    await settled(one);
  });

  test('whose watch hangs without a bookmark is found by its silence', async () => {
    put(api, rule('a'));
    const one = await synced({ watch: { backoff: { firstMs: 4, mostMs: 20 }, silentAfterMs: 100 } });
    api.isFrozen = true; // lists are answered, watches are opened, and no event comes
    put(api, rule('b'));
    await eventually(() => expect(names(one.source.objects, 'VirtualService')).toEqual(['a', 'b']));
  });

  test('that was restored from a backup is listed again, though its versions are older', async () => {
    for (let at = 0; at < 50; at++)
      put(api, rule('a', { http: [{ timeout: `${at + 1}s`, route: [{ destination: { host: 'a' } }] }] }));
    put(api, rule('b'));
    const one = await synced({ watch: { backoff: { firstMs: 4, mostMs: 20 }, silentAfterMs: 300 } });
    api.rewind(100);
    api.remove('virtualservices', rule('b'));
    api.cutWatchers();
    await eventually(() => expect(names(one.source.objects, 'VirtualService')).toEqual(['a']));
    // The version that the last list had already.
    for (let at = 0; at < 60; at++)
      put(api, rule('c', { http: [{ timeout: `${at + 1}s`, route: [{ destination: { host: 'c' } }] }] }));
    await settled(one);
  });

  test('is counted by kind: lists, watches, failures; those of the question which kinds it has as well', async () => {
    const counts = new Map<string, number>();
    const count = (name: string) => () => void counts.set(name, (counts.get(name) ?? 0) + 1);
    await synced({
      meters: (kind) => ({
        list: count(`${kind} list`),
        watch: count(`${kind} watch`),
        failure: count(`${kind} failure`),
      }),
    });
    await eventually(() => expect(counts.get('VirtualService watch')).toBe(1));
    expect(counts.get('Pod list')).toBe(1);
    expect([...counts.keys()].filter((name) => name.endsWith('failure'))).toEqual([]);
    api.always = ({ path }) => (path.startsWith('/apis/') || path === '/apis' ? answers(500) : undefined);
    await eventually(() => expect(counts.get('discovery failure')).toBeGreaterThan(0));
    expect(counts.get('Pod failure')).toBeUndefined();
  });

  test('may rotate tokens', async () => {
    api.token = 'first';
    put(api, rule('a'));
    const one = await synced();
    api.token = 'second';
    api.cutWatchers();
    put(api, rule('b'));
    await eventually(() => expect(names(one.source.objects, 'VirtualService')).toEqual(['a', 'b']));
    expect(api.requests.at(-1)?.headers.authorization).toBe('Bearer second');
  });

  test('is left at once, also during a list', async () => {
    api.always = ({ query }) => (query['watch'] === '1' ? undefined : () => undefined);
    const one = followed(() => api);
    await eventually(() => expect(api.requests.length).toBeGreaterThan(2));
    const began = performance.now();
    await one.stop();
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(one.logged).toEqual([]);
  });
});
