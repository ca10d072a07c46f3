/** The ConfigMap with the roots in each namespace: when it is written, what others do to it, and an API server that is away or refuses. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { RootConfigMaps, type RootConfigMapsOptions } from '../../../src/serve/mesh/root-config-maps.ts';
import { answers, type FakeKubeApi, type FakeRequest, startFakeKubeApi } from '../../parts/fake-kube-api.ts';

const NAME = 'istio-ca-root-cert';
const [OLD, BOTH, NEW] = [['old\n'], ['old\n', 'new\n'], ['new\n']];
const FAST = { firstMs: 20, mostMs: 200 };

let api: FakeKubeApi;
let logged: string[];
const open: RootConfigMaps[] = [];
beforeEach(async () => {
  api = await startFakeKubeApi();
  logged = [];
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one[Symbol.asyncDispose]()));
  await api.stop();
});

function start(options: Partial<RootConfigMapsOptions> = {}): RootConfigMaps {
  const line = (message: string, fields: Readonly<Record<string, unknown>>): void => {
    const { where, error, grant } = fields;
    logged.push(
      [message, where, error, grant]
        .filter((part) => part !== undefined)
        .map(String)
        .join(' | '),
    );
  };
  const one = new RootConfigMaps({
    server: () => Promise.resolve({ url: api.url, tls: { ca: api.ca } }),
    namespaces: [],
    roots: OLD,
    log: { info: line, warn: line, error: line },
    watch: { backoff: FAST },
    backoff: FAST,
    ...options,
  });
  open.push(one);
  return one;
}

const namespace = (name: string, more: object = {}): void =>
  api.put('namespaces', { metadata: { name, namespace: '', ...more } });
const remove = (name: string): void => api.remove('configmaps', { metadata: { name: NAME, namespace: name } });
const rewrite = (name: string, data: object, metadata: object = {}): void =>
  api.put('configmaps', { metadata: { name: NAME, namespace: name, ...metadata }, data });
const held = (): Record<string, unknown> =>
  Object.fromEntries(
    api
      .all('configmaps')
      .filter(({ metadata }) => metadata.name === NAME)
      .map((object) => [object.metadata.namespace, (object['data'] as Record<string, unknown>)['root-cert.pem']]),
  );
const refuses =
  (status: number, message: string, holds: (request: FakeRequest) => boolean = () => true) =>
  (request: FakeRequest) =>
    request.method === 'PATCH' && holds(request) ? answers(status, message) : undefined;
const of =
  (name: string) =>
  ({ path }: FakeRequest): boolean =>
    path.includes(`/namespaces/${name}/`);

describe('the ConfigMap of the roots', () => {
  test('is in each namespace but those of the system, in new ones at once, with the label of istiod', async () => {
    for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) namespace(name);
    const one = start();
    await eventually(() => expect(held()).toEqual({ default: 'old\n' }));
    namespace('shop');
    await eventually(() => expect(held()).toEqual({ default: 'old\n', shop: 'old\n' }));
    expect(api.all('configmaps').map(({ metadata }) => metadata['labels'])).toEqual([
      { 'istio.io/config': 'true' },
      { 'istio.io/config': 'true' },
    ]);
    await eventually(() => expect(one.state).toEqual({ namespaces: 2, current: 2, failing: [] }));
    expect(api.applies()).toHaveLength(2);
    expect(logged).toEqual([]);
  });

  test('is only in namespaces of the mesh; one that leaves it keeps what it has, and nobody corrects it', async () => {
    namespace('shop', { labels: { mesh: 'a' } });
    namespace('other', { labels: { mesh: 'b' } });
    namespace('bare');
    const one = start({ isOfMesh: (labels) => labels.get('mesh') === 'a' });
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
    namespace('bare', { labels: { mesh: 'a' } });
    namespace('shop', { labels: { mesh: 'b' } });
    await eventually(() => expect(held()).toEqual({ shop: 'old\n', bare: 'old\n' }));
    await eventually(() => expect(one.state).toEqual({ namespaces: 1, current: 1, failing: [] }));
    rewrite('shop', { 'root-cert.pem': 'of b\n' });
    one.use(BOTH);
    await eventually(() => expect(held()).toEqual({ shop: 'of b\n', bare: 'old\nnew\n' }));
    namespace('shop', { labels: { mesh: 'a' } });
    await eventually(() => expect(held()).toEqual({ shop: 'old\nnew\n', bare: 'old\nnew\n' }));
    expect(logged).toEqual([]);
  });

  test('is not written where the roots stand already: a restart writes nothing', async () => {
    for (let at = 0; at < 20; at++) {
      namespace(`n${at}`);
      rewrite(`n${at}`, { 'root-cert.pem': 'old\n' });
    }
    const one = start();
    await eventually(() => expect(one.state).toMatchObject({ namespaces: 20, current: 20 }));
    await sleep(50);
    expect(api.applies()).toEqual([]);
  });

  test('is corrected when anybody changes or deletes it, and what others keep in it stays', async () => {
    namespace('shop');
    rewrite('shop', { 'root-cert.pem': 'theirs', more: 'x' }, { labels: { owner: 'team' }, annotations: { a: 'b' } });
    start();
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
    expect(api.all('configmaps')[0]).toMatchObject({
      metadata: { labels: { owner: 'team', 'istio.io/config': 'true' }, annotations: { a: 'b' } },
      data: { more: 'x' },
    });
    remove('shop');
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
    rewrite('shop', {});
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
  });

  test('has all roots of a rotation, step by step', async () => {
    for (const name of ['default', 'shop']) namespace(name);
    const one = start();
    await eventually(() => expect(held()).toEqual({ default: 'old\n', shop: 'old\n' }));
    one.use(BOTH);
    await eventually(() => expect(held()).toEqual({ default: 'old\nnew\n', shop: 'old\nnew\n' }));
    one.use(NEW);
    await eventually(() => expect(held()).toEqual({ default: 'new\n', shop: 'new\n' }));
    expect(api.applies()).toHaveLength(6);
  });

  test('has the newest roots when they change before the lists are complete, and while it is written', async () => {
    namespace('shop');
    let go: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      api.always = ({ method }) =>
        method === 'PATCH'
          ? (response) => {
              api.always = () => undefined;
              go = () => void response.writeHead(200).end('{}');
              resolve();
            }
          : undefined;
    });
    const one = start();
    one.use(BOTH);
    await asked;
    one.use(NEW);
    go();
    await eventually(() => expect(held()).toEqual({ shop: 'new\n' }));
    expect(api.applies()).toHaveLength(2);
  });

  test('is only in the namespaces that are named, without a right to list namespaces; a missing one gets it once it exists', async () => {
    for (const name of ['default', 'shop', 'kube-system']) namespace(name);
    api.always = ({ path }) =>
      /^\/api\/v1\/(namespaces|configmaps)$/.test(path) ? answers(403, 'forbidden') : undefined;
    const one = start({ namespaces: ['shop', 'later', 'kube-system'] });
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
    await eventually(() => expect(one.state).toEqual({ namespaces: 2, current: 1, failing: ['later'] }));
    namespace('later');
    await eventually(() => expect(held()).toEqual({ shop: 'old\n', later: 'old\n' }));
    await eventually(() => expect(logged).toHaveLength(2));
    expect(logged).toEqual([
      expect.stringMatching(
        /^the ConfigMap istio-ca-root-cert cannot be written; .* \| later \| .*namespaces "later" not found$/,
      ),
      'the ConfigMaps istio-ca-root-cert are written again',
    ]);
  });

  test('is left to a namespace that is being deleted, without a word, and is in the next one of that name', async () => {
    namespace('shop');
    start();
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
    const before = api.applies().length;
    namespace('shop', { deletionTimestamp: '2026-01-01T00:00:00Z' });
    remove('shop');
    await sleep(300);
    expect(api.applies()).toHaveLength(before);
    api.remove('namespaces', { metadata: { name: 'shop', namespace: '' } });
    namespace('shop');
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));

    // The server knows it earlier than the watch.
    api.always = refuses(
      403,
      'unable to create new content in namespace late because it is being terminated',
      of('late'),
    );
    namespace('late');
    await eventually(() => expect(api.applies().filter(of('late')).length).toBeGreaterThan(1));
    expect(logged).toEqual([]);
  });

  test('another program that writes other roots for ever is met with ever longer pauses, and named once', async () => {
    namespace('shop');
    const one = start({ backoff: { firstMs: 20, mostMs: 400 } });
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
    const other = setInterval(() => held()['shop'] === 'old\n' && rewrite('shop', { 'root-cert.pem': 'theirs' }), 1);
    try {
      await sleep(1500);
    } finally {
      clearInterval(other);
    }
    const writes = api.applies().length;
    expect(writes).toBeGreaterThan(4);
    expect(writes).toBeLessThan(16);
    expect(logged).toEqual([
      expect.stringMatching(/^another program changes the ConfigMap istio-ca-root-cert again and again/),
    ]);
    await eventually(() => expect(one.state.current).toBe(1));
  });

  test('two control planes with one root agree at once', async () => {
    for (let at = 0; at < 50; at++) namespace(`n${at}`);
    const both = [start(), start()];
    await eventually(() => expect(both.map(({ state }) => state.current)).toEqual([50, 50]));
    for (const one of both) one.use(NEW);
    await eventually(() => expect(both.map(({ state }) => state.current)).toEqual([50, 50]));
    await sleep(100);
    expect(new Set(Object.values(held()))).toEqual(new Set(['new\n']));
    expect(api.applies().length).toBeLessThanOrEqual(200);
    expect(logged).toEqual([]);
  });
});

describe('an API server that does not write it', () => {
  test('without rights: one line with all rules that are missing, and it is written once they are there', async () => {
    for (let at = 0; at < 100; at++) namespace(`n${at}`);
    const forbidden = 'configmaps "istio-ca-root-cert" is forbidden: User "sluice" cannot patch resource "configmaps"';
    api.always = refuses(403, forbidden);
    const one = start();
    await eventually(() => expect(one.state.failing).toHaveLength(10));
    await eventually(() => expect(api.applies().length).toBeGreaterThan(100));
    expect(logged).toEqual([expect.stringMatching(/cannot be written; .*403: configmaps .* is forbidden/)]);
    expect(logged[0]).toContain(
      '[{"apiGroups":[""],"resources":["namespaces"],"verbs":["list","watch"]},' +
        '{"apiGroups":[""],"resources":["configmaps"],"resourceNames":["istio-ca-root-cert"],"verbs":["list","watch","create","patch"]}]',
    );
    api.always = () => undefined;
    await eventually(() => expect(one.state).toEqual({ namespaces: 100, current: 100, failing: [] }));
    expect(logged.slice(1)).toEqual(['the ConfigMaps istio-ca-root-cert are written again']);
  });

  test('lists that are refused are one line as well; nothing is written until they came', async () => {
    namespace('shop');
    api.always = ({ method }) => (method === 'GET' ? answers(403, 'forbidden') : undefined);
    start();
    await eventually(() => expect(api.requests.length).toBeGreaterThan(4));
    expect(logged).toEqual([expect.stringMatching(/^ConfigMaps istio-ca-root-cert cannot be watched; .*"namespaces"/)]);
    expect(api.applies()).toEqual([]);
    api.always = () => undefined;
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
    await eventually(() => expect(logged[1]).toBe('the ConfigMaps istio-ca-root-cert are written again'));
  });

  test('one namespace whose policy refuses it holds up no other, whatever the status', async () => {
    namespace('bad');
    for (let at = 0; at < 50; at++) namespace(`n${at}`);
    for (const status of [403, 422, 500]) {
      api.always = refuses(status, 'admission webhook "policy" denied the request', of('bad'));
      const one = start({ roots: [`of ${status}\n`] });
      await eventually(() => expect(one.state).toEqual({ namespaces: 51, current: 50, failing: ['bad'] }));
      namespace(`new-${status}`);
      await eventually(() => expect(held()[`new-${status}`]).toBe(`of ${status}\n`));
      api.remove('namespaces', { metadata: { name: `new-${status}`, namespace: '' } });
      await one[Symbol.asyncDispose]();
    }
    expect(logged).toHaveLength(3);
  });

  test('a server that asks for less gets one request at a time, not before it said', async () => {
    for (let at = 0; at < 100; at++) namespace(`n${at}`);
    const atMs: number[] = [];
    api.always = ({ method }) => {
      if (method !== 'PATCH') return undefined;
      atMs.push(performance.now());
      return answers(429, 'too many requests', { 'retry-after': '1' });
    };
    const one = start();
    await eventually(() => expect(atMs.length).toBeGreaterThan(8), 5000);
    expect((atMs[8] as number) - (atMs[0] as number)).toBeGreaterThan(990);
    await sleep(500);
    expect(atMs.length).toBeLessThan(11);
    api.always = () => undefined;
    await eventually(() => expect(one.state.current).toBe(100), 5000);
    expect(logged).toHaveLength(2);
  });

  test('a server that goes away in the middle of a thousand namespaces, and comes back', async () => {
    for (let at = 0; at < 1000; at++) namespace(`n${at}`);
    let most = 0;
    let now = 0;
    api.always = ({ method }) => {
      if (method === 'PATCH') most = Math.max(most, ++now);
      return undefined;
    };
    api.onApplied = () => now--;
    const one = start();
    await eventually(() => expect(api.applies().length).toBeGreaterThan(300), 5000);
    await api.stop();
    const before = api.applies().length;
    await sleep(300);
    expect(one.state.current).toBeGreaterThan(250);
    await api.listen(api.port);
    await eventually(() => expect(one.state).toEqual({ namespaces: 1000, current: 1000, failing: [] }), 10_000);
    expect(most).toBeLessThanOrEqual(8);
    expect(api.applies().length - before).toBeLessThan(750);
    expect(logged.filter((line) => line.includes('cannot be written'))).toHaveLength(1);
  });

  test('a stop in the middle of writing ends at once, also when the server is hung', async () => {
    for (let at = 0; at < 20; at++) namespace(`n${at}`);
    api.always = ({ method }) => (method === 'PATCH' ? () => undefined : undefined);
    const one = start();
    await eventually(() => expect(api.applies()).toHaveLength(8));
    const beganMs = performance.now();
    await one[Symbol.asyncDispose]();
    expect(performance.now() - beganMs).toBeLessThan(5000);
    await sleep(100);
    expect(api.applies()).toHaveLength(8);
    expect(logged).toEqual([]);
  });

  test('a token that has ended is read again', async () => {
    namespace('shop');
    let token = 'first';
    api.token = 'first';
    start({ server: () => Promise.resolve({ url: api.url, token, tls: { ca: api.ca } }) });
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
    api.token = token = 'second';
    remove('shop');
    await eventually(() => expect(held()).toEqual({ shop: 'old\n' }));
    expect(logged).toEqual([]);
  });
});
