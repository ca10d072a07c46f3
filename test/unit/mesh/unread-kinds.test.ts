/** Objects of an API server without effect: each is reported once, whatever definitions and rights are missing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { eventually } from '../../../src/adapters/testing/index.ts';
import type { OwnLog } from '../../../src/log/log.ts';
import { DEFAULT_SETTINGS } from '../../../src/mesh/model/mesh.ts';
import { UNREAD_KINDS } from '../../../src/mesh/sources/unread-kinds.ts';
import { MeshLoader } from '../../../src/serve/mesh/mesh-loader.ts';
import { MeshMeters } from '../../../src/serve/mesh/meters.ts';
import { UnreadLog } from '../../../src/serve/mesh/unread-log.ts';
import { positionText } from '../../../src/yaml/source-text.ts';
import { answers, type FakeKubeApi, startFakeKubeApi } from '../../parts/fake-kube-api.ts';
import { installIstio, type Manifest, put, SECURITY } from '../../parts/mesh/kubernetes.ts';

let api: FakeKubeApi;
const ends: (() => PromiseLike<void>)[] = [];
beforeEach(async () => {
  api = await startFakeKubeApi();
  installIstio(api);
  api.served.set('networking.istio.io/v1alpha3', { EnvoyFilter: 'envoyfilters' });
  api.served.set(SECURITY, {
    RequestAuthentication: 'requestauthentications',
    AuthorizationPolicy: 'authorizationpolicies',
  });
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await api.stop();
});

type Lines = string[];
const logTo = (lines: Lines): OwnLog => {
  const line = (
    message: string,
    { object, objects, kind, grant }: Readonly<Record<string, string | undefined>> = {},
  ): void => void lines.push([message, object, objects, kind, grant].filter((part) => part !== undefined).join(' | '));
  return { info: () => undefined, debug: () => undefined, warn: line, error: line } as never;
};

async function load(settings = DEFAULT_SETTINGS) {
  const lines: Lines = [];
  const loader = new MeshLoader({
    paths: [],
    kubernetes: {
      server: () => async () => ({ url: api.url, tls: { ca: api.ca } }),
      namespaces: [],
      watch: { backoff: { firstMs: 4, mostMs: 20 } },
      discoverEveryMs: 30,
    },
    settings,
    log: logTo(lines),
  });
  ends.push(() => loader[Symbol.asyncDispose]());
  await loader.open();
  await loader.first(new AbortController().signal, () => undefined);
  const found = (): string[] => loader.loading.findings.map(({ position }) => positionText(position)).toSorted();
  return { loader, lines, found };
}

const object = (kind: string, name: string, spec: object = {}, metadata: object = {}): Manifest => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, namespace: 'shop', ...metadata },
  spec,
});
const NO_EFFECT = 'an object of the Kubernetes API has no effect';

describe('an object without effect', () => {
  test('is logged once, at the start or when it appears, and found until it is gone', async () => {
    api.put('envoyfilters', object('EnvoyFilter', 'old'));
    const { lines, found, loader } = await load();
    await eventually(() => expect(lines).toEqual([`${NO_EFFECT} | EnvoyFilter shop/old (kubernetes)`]));
    api.put('authorizationpolicies', object('AuthorizationPolicy', 'new'));
    await eventually(() => expect(found()).toHaveLength(2));
    api.put('envoyfilters', object('EnvoyFilter', 'old', { priority: 2 }));
    api.put('requestauthentications', object('RequestAuthentication', 'tokens'));
    await eventually(() => expect(found()).toHaveLength(3));
    expect(lines.slice(1)).toEqual([
      `${NO_EFFECT} | AuthorizationPolicy shop/new (kubernetes)`,
      `${NO_EFFECT} | RequestAuthentication shop/tokens (kubernetes)`,
    ]);
    expect(loader.loading.findings.map(({ severity, code, message }) => ({ severity, code, message }))).toContainEqual({
      severity: 'warning',
      code: 'MESH_KIND',
      message: expect.stringMatching(
        /^the control plane does not know EnvoyFilter of networking.istio.io\/v1alpha3; .* proxies take no patches$/,
      ),
    });
    const page = (): unknown[] =>
      new MeshMeters()
        .families({ proxies: () => [], plane: {} as never, loading: () => loader.loading })
        .filter(({ name }) => name === 'sluice_mesh_kubernetes_objects_without_effect')
        .flatMap((family) =>
          (family.read() as { labels: { kind: string }; value: number }[]).filter(({ value }) => value > 0),
        )
        .map(({ labels, value }) => `${labels.kind} ${value}`);
    expect(page()).toEqual(['EnvoyFilter 1', 'AuthorizationPolicy 1', 'RequestAuthentication 1']);
    api.remove('envoyfilters', object('EnvoyFilter', 'old'));
    await eventually(() => expect(page()).toEqual(['AuthorizationPolicy 1', 'RequestAuthentication 1']));
  });

  test('is known by its metadata alone where these tell enough', async () => {
    const { lines } = await load();
    api.put('envoyfilters', object('EnvoyFilter', 'old'));
    await eventually(() => expect(lines).toHaveLength(1));
    await eventually(() => expect(api.watches('envoyfilters').length).toBeGreaterThan(0));
    const accepts = [...api.lists('envoyfilters'), ...api.watches('envoyfilters')].map(({ headers }) => headers.accept);
    for (const accept of accepts) expect(accept).toContain('as=PartialObjectMetadata');
  });

  test('of Kubernetes is one only if Istio would read it', async () => {
    api.served.set('networking.k8s.io/v1', { Ingress: 'ingresses' });
    api.served.set('gateway.networking.k8s.io/v1', { Gateway: 'gatewaysofkubernetes', HTTPRoute: 'httproutes' });
    for (const className of ['istio', 'nginx']) {
      api.put('ingresses', object('Ingress', className, { ingressClassName: className }));
      api.put('gatewaysofkubernetes', object('Gateway', className, { gatewayClassName: className }));
    }
    api.put('ingresses', object('Ingress', 'a', {}, { annotations: { 'kubernetes.io/ingress.class': 'istio' } }));
    api.put('ingresses', object('Ingress', 'b', { ingressClassName: null }));
    api.put('httproutes', object('HTTPRoute', 'mesh', { parentRefs: [{ group: '', kind: 'Service', name: 'web' }] }));
    api.put('httproutes', object('HTTPRoute', 'edge', { parentRefs: [{ name: 'istio' }, null] }));
    const { found } = await load();
    await eventually(() =>
      expect(found()).toEqual([
        'Gateway shop/istio (kubernetes)',
        'HTTPRoute shop/mesh (kubernetes)',
        'Ingress shop/a (kubernetes)',
        'Ingress shop/istio (kubernetes)',
      ]),
    );
    api.put('ingresses', object('Ingress', 'istio', { ingressClassName: 'nginx' }));
    await eventually(() => expect(found()).toHaveLength(3));
  });

  test('of a namespace that does not belong to the mesh is none, until it does', async () => {
    const namespace = (labels: object): Manifest => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', namespace: '', labels },
    });
    put(api, namespace({}));
    api.put('envoyfilters', object('EnvoyFilter', 'old'));
    const discoverySelectors = [{ matchLabels: { mesh: 'yes' }, matchExpressions: [] }];
    const { lines, found } = await load({ ...DEFAULT_SETTINGS, discoverySelectors });
    await eventually(() => expect(api.watches('envoyfilters')).toHaveLength(1));
    expect([lines, found()]).toEqual([[], []]);
    put(api, namespace({ mesh: 'yes' }));
    await eventually(() => expect(lines).toEqual([`${NO_EFFECT} | EnvoyFilter shop/old (kubernetes)`]));
  });
});

describe('a kind without effect', () => {
  test('may be listed by the rights of the manifest', () => {
    const manifest = join(import.meta.dirname, '../../../deploy/kubernetes/mesh-rbac.yaml');
    const rules = parseAllDocuments(readFileSync(manifest, 'utf8')).flatMap(
      (document) => (document.toJS() as { rules?: { apiGroups: string[]; resources: string[] }[] }).rules ?? [],
    );
    const granted = rules.flatMap(({ apiGroups, resources }) =>
      apiGroups.flatMap((group) => resources.map((resource) => `${group}/${resource}`)),
    );
    for (const [kind, { versions }] of Object.entries(UNREAD_KINDS)) {
      const plural = kind
        .toLowerCase()
        .replace(/s$/, 'se')
        .replace(/cy$|ry$/, (end) => `${end[0]}ie`);
      expect(granted).toContain(`${versions[0]?.split('/')[0]}/${plural}s`);
    }
  });

  test('that may not be listed holds up nothing; one line names the rule that is missing', async () => {
    api.put('envoyfilters', object('EnvoyFilter', 'old'));
    api.always = ({ path }) => (path.endsWith('/envoyfilters') ? answers(403, 'forbidden') : undefined);
    const { lines, found, loader } = await load();
    await eventually(() => expect(api.lists('envoyfilters').length).toBeGreaterThan(3));
    expect(loader.loading.kubernetes?.isSynced).toBe(true);
    expect(lines).toEqual([
      'a kind without effect in the mesh cannot be listed, so its objects are not reported | EnvoyFilter | ' +
        '{"apiGroups":["networking.istio.io"],"resources":["envoyfilters"],"verbs":["get","list","watch"]}',
    ]);
    api.always = () => undefined;
    await eventually(() => expect(found()).toEqual(['EnvoyFilter shop/old (kubernetes)']));
  });

  test('may be installed later', async () => {
    api.served.delete('networking.istio.io/v1alpha3');
    const { found, lines } = await load();
    api.put('envoyfilters', object('EnvoyFilter', 'old'));
    api.served.set('networking.istio.io/v1alpha3', { EnvoyFilter: 'envoyfilters' });
    await eventually(() => expect(found()).toEqual(['EnvoyFilter shop/old (kubernetes)']));
    expect(lines).toHaveLength(1);
  });
});

test('more than a hundred lines a minute are one', () => {
  vi.useFakeTimers();
  try {
    const lines: Lines = [];
    using log = new UnreadLog(logTo(lines));
    const take = (count: number): void => {
      for (let at = 0; at < count; at++)
        log.take({
          kind: 'EnvoyFilter',
          namespace: 'shop',
          finding: {
            severity: 'warning',
            code: '',
            message: '',
            excerpt: undefined,
            position: { file: `${at}`, line: 0, column: 0 },
          },
        });
    };
    take(250);
    expect(lines).toHaveLength(100);
    vi.advanceTimersByTime(60_000);
    expect(lines.slice(100)).toEqual(['more objects of the Kubernetes API have no effect; /mesh lists them | 150']);
    take(1);
    expect(lines).toHaveLength(102);
  } finally {
    vi.useRealTimers();
  }
});
