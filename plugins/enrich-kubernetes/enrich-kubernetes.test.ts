import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { KubeObject } from 'sluice/kubernetes';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { startChild, untilReady } from '../../test/parts/child.ts';
import { answers, type FakeKubeApi, type FakeObject, startFakeKubeApi } from '../../test/parts/fake-kube-api.ts';
import { crowdAddress, crowdPod } from '../../test/parts/kube-crowd.ts';
import { loopTurnsOf } from '../../test/parts/loop-turns.ts';
import adapter from './adapter.ts';
import { PodIndex } from './pod-index.ts';
import { ReplicaSetOwners } from './workload.ts';

const TOKEN = 'hunter2';
const CROWD = join(import.meta.dirname, '../../test/parts/kube-crowd.ts');
let api: FakeKubeApi;
let folder = '';
const folders: string[] = [];
const closing: (() => Promise<void>)[] = [];
beforeEach(async () => {
  api = await startFakeKubeApi();
  api.token = TOKEN;
  folder = mkdtempSync(join(tmpdir(), 'enrich-kubernetes-'));
  folders.push(folder);
  writeFileSync(join(folder, 'token'), TOKEN);
  writeFileSync(join(folder, 'ca.crt'), api.ca);
});
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
  await api.stop();
});
afterAll(() => {
  for (const each of folders) rmSync(each, { recursive: true });
});

interface PodParts {
  readonly ip?: string;
  readonly ips?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly owner?: readonly [kind: string, name: string];
  readonly phase?: string;
  readonly node?: string;
  readonly hostNetwork?: boolean;
  readonly startTime?: string;
}
function pod(path: string, parts: PodParts = {}): FakeObject {
  const [namespace = '', name = ''] = path.split('/');
  const { ip, ips = ip === undefined ? [] : [ip], labels, owner, phase = 'Running', node = 'n1', hostNetwork } = parts;
  return {
    metadata: {
      name,
      namespace,
      uid: `uid of ${path}`,
      creationTimestamp: '2026-11-29T00:00:00Z',
      ...(labels === undefined ? {} : { labels }),
      ...(owner === undefined
        ? {}
        : {
            ownerReferences: [
              { kind: 'Other', name: 'x' },
              { kind: owner[0], name: owner[1], uid: owner[1], controller: true },
            ],
          }),
    },
    spec: { serviceAccountName: 'default', nodeName: node, ...(hostNetwork === true ? { hostNetwork } : {}) },
    status: {
      phase,
      hostIP: `10.0.0.${node.slice(1)}`,
      ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((each) => ({ ip: each })) }),
      ...(parts.startTime === undefined ? {} : { startTime: parts.startTime }),
    },
  };
}
const replicaSet = (path: string, owner?: readonly [string, string], hash?: string): FakeObject => ({
  metadata: {
    namespace: path.split('/')[0] ?? '',
    name: path.split('/')[1] ?? '',
    uid: path.split('/')[1] ?? '',
    labels: hash === undefined ? {} : { 'pod-template-hash': hash },
    ...(owner === undefined
      ? {}
      : { ownerReferences: [{ kind: owner[0], name: owner[1], uid: 'o', controller: true }] }),
  },
});

const inCluster = (): Record<string, unknown> => ({ server: api.url, serviceAccount: folder });
async function openOn(config: Record<string, unknown> = {}) {
  const opened = await openForTest(adapter, { config: { ...inCluster(), ...config }, folder });
  closing.push(opened.close);
  const lookup = opened.handler.lookup?.({ rule: 'r', params: undefined });
  const at = (ip: string): unknown => lookup?.({ ip }, testCall());
  const named = (name: string, ip?: string): unknown =>
    lookup?.({ pod: name, ...(ip === undefined ? {} : { ip }) }, testCall());
  return { ...opened, at, named };
}
async function openReady(config: Record<string, unknown> = {}) {
  const opened = await openOn(config);
  await eventually(() => expect(opened.readiness()).toEqual({ ready: true, why: undefined }));
  await eventually(() => expect(api.watching).toBe(new Set(api.lists().map(({ path }) => path)).size));
  return opened;
}
const workloadAt = (opened: { at(ip: string): unknown }, ip: string): unknown => {
  const { workload_kind: kind, workload } = (opened.at(ip) ?? {}) as Record<string, string>;
  return kind === undefined ? undefined : `${kind} ${workload}`;
};

const web = (): FakeObject =>
  pod('shop/web-5d4f9c-x2x', {
    ip: '10.1.0.7',
    labels: { app: 'web', 'pod-template-hash': '5d4f9c' },
    owner: ['ReplicaSet', 'web-5d4f9c'],
  });
const WEB = {
  pod: 'web-5d4f9c-x2x',
  namespace: 'shop',
  workload: 'web',
  workload_kind: 'Deployment',
  labels: { app: 'web', 'pod-template-hash': '5d4f9c' },
  service_account: 'default',
  node: 'n1',
};

describe('enrich-kubernetes by the kit', () => {
  beforeEach(() => api.put('pods', web()));
  testAdapter(adapter, {
    runner: { describe, test },
    in: ['process', 'protocol', 'worker'],
    module: new URL('./adapter.ts', import.meta.url),
    config: () => {
      api.requests.length = 0; // it is opened a thousand times
      return { ...inCluster(), owners: 'names' };
    },
    unreachable: { server: 'https://127.0.0.1:1', serviceAccount: mkdtempAccount() },
    enrich: {
      known: [
        { input: { ip: '10.1.0.7' }, output: WEB },
        { input: { pod: 'shop/web-5d4f9c-x2x' }, output: WEB },
        { input: { ip: '10.0.0.1' }, output: { node: 'n1' } },
      ],
      unknown: [{ ip: '10.1.0.8' }, { pod: 'shop/other' }, { pod: 'nonsense' }, {}],
    },
    badConfigs: [
      { config: { kubeconfig: 'a', server: 'https://b' }, says: /server: the kubeconfig has a server/ },
      { config: { context: 'a' }, says: /context: set kubeconfig, too/ },
      { config: { server: 'http://127.0.0.1:1' }, says: /not an https URL/ },
      { config: {}, says: /KUBERNETES_SERVICE_HOST is not set/ },
      { config: { namespaces: ['Shop'] }, says: /namespaces\.0: a namespace is/ },
      { config: { kubeconfig: '/no/such' }, says: /the kubeconfig \/no\/such cannot be read: ENOENT/ },
      {
        config: { server: 'https://127.0.0.1:1', serviceAccount: '/no/such' },
        says: /\/no\/such\/token cannot be read/,
      },
    ],
  });
});

function mkdtempAccount(): string {
  const made = mkdtempSync(join(tmpdir(), 'enrich-kubernetes-'));
  folders.push(made);
  writeFileSync(join(made, 'token'), TOKEN);
  writeFileSync(join(made, 'ca.crt'), '');
  writeFileSync(join(made, 'ca.crt'), 'none');
  return made;
}

describe('the workload of a pod', () => {
  const cases: readonly (readonly [
    owner: readonly [string, string] | undefined,
    labels: Record<string, string>,
    workload: string,
  ])[] = [
    [['ReplicaSet', 'web-5d4f9c'], { 'pod-template-hash': '5d4f9c' }, 'Deployment web'],
    [['ReplicaSet', 'web-b-5d4f9c'], { 'pod-template-hash': '5d4f9c' }, 'Deployment web-b'],
    [['ReplicaSet', 'by-hand'], {}, 'ReplicaSet by-hand'],
    [['ReplicaSet', '5d4f9c'], { 'pod-template-hash': '5d4f9c' }, 'ReplicaSet 5d4f9c'],
    [['StatefulSet', 'db'], {}, 'StatefulSet db'],
    [['DaemonSet', 'agent'], {}, 'DaemonSet agent'],
    [['Job', 'migrate'], {}, 'Job migrate'],
    [['Job', 'migrate-20261129'], {}, 'Job migrate-20261129'],
    [['Job', 'nightly-29712345'], {}, 'CronJob nightly'],
    [['Game', 'chess'], {}, 'Game chess'],
    [undefined, {}, 'Pod lonely'],
  ];
  for (const owners of ['watch', 'names'])
    test(`is named by its controllers (owners: ${owners})`, async () => {
      for (const [at, [owner, labels]] of cases.entries())
        api.put(
          'pods',
          pod(`shop/${owner === undefined ? 'lonely' : `p${at}`}`, {
            ip: `10.1.0.${at}`,
            labels,
            ...(owner === undefined ? {} : { owner }),
          }),
        );
      const opened = await openReady({ owners });
      expect(cases.map((_, at) => workloadAt(opened, `10.1.0.${at}`))).toEqual(cases.map(([, , workload]) => workload));
      expect(api.lists('replicasets')).toHaveLength(owners === 'watch' ? 1 : 0);
    });

  test('is what the API says of its ReplicaSet, also when that changes', async () => {
    const labels = { 'rollouts-pod-template-hash': 'abc' };
    api.put('pods', pod('shop/r-abc-1', { ip: '10.1.0.1', labels, owner: ['ReplicaSet', 'r-abc'] }));
    api.put('pods', web());
    api.put('replicasets', replicaSet('shop/r-abc', ['Rollout', 'r']));
    api.put('replicasets', replicaSet('shop/web-5d4f9c', ['Deployment', 'web'], '5d4f9c'));
    const opened = await openReady();
    expect([workloadAt(opened, '10.1.0.1'), workloadAt(opened, '10.1.0.7')]).toEqual(['Rollout r', 'Deployment web']);
    api.put('replicasets', replicaSet('shop/r-abc', ['Rollout', 'renamed']));
    await eventually(() => expect(workloadAt(opened, '10.1.0.1')).toBe('Rollout renamed'));
    api.put('replicasets', replicaSet('shop/web-5d4f9c', undefined, '5d4f9c'));
    await eventually(() => expect(workloadAt(opened, '10.1.0.7')).toBe('ReplicaSet web-5d4f9c'));
    api.isFrozen = true;
    api.remove('replicasets', replicaSet('shop/r-abc'));
    api.put('replicasets', replicaSet('shop/web-5d4f9c', ['Deployment', 'web'], '5d4f9c'));
    api.expire();
    api.isFrozen = false;
    api.cutWatchers();
    await eventually(() =>
      expect([workloadAt(opened, '10.1.0.1'), workloadAt(opened, '10.1.0.7')]).toEqual([
        'ReplicaSet r-abc',
        'Deployment web',
      ]),
    );
  });
});

describe('an address', () => {
  test('is answered at once with the same object, by either family, and by name', async () => {
    api.put('pods', pod('shop/two', { ips: ['10.1.0.2', 'fd00:0:0::00a2'] }));
    const opened = await openReady();
    const values = opened.at('10.1.0.2');
    expect(values).toMatchObject({ pod: 'two', workload_kind: 'Pod', labels: {} });
    for (const other of [
      opened.at('10.1.0.2'),
      opened.at('fd00::a2'),
      opened.named('shop/two'),
      opened.named('kubernetes://two.shop'),
    ])
      expect(other).toBe(values);
    expect(opened.named('kubernetes://three.shop', '10.1.0.2'), 'the address is asked where the name is unknown').toBe(
      values,
    );
    expect(opened.named('kubernetes://two.other')).toBeUndefined();
  });

  test('is free when its pod ends, or is deleted', async () => {
    for (const [at, phase] of ['Running', 'Succeeded', 'Failed', 'Pending'].entries())
      api.put('pods', pod(`shop/p${at}`, { ip: `10.1.0.${at}`, phase }));
    const opened = await openReady();
    const known = () => [0, 1, 2, 3].filter((at) => opened.at(`10.1.0.${at}`) !== undefined);
    expect(known()).toEqual([0, 3]);
    api.put('pods', pod('shop/p3', { ip: '10.1.0.3', phase: 'Succeeded' }));
    api.remove('pods', pod('shop/p0'));
    await eventually(() => expect(known()).toEqual([]));
  });

  test('is free when its pod ends, although the server ignores the selector', async () => {
    const opened = await openReady();
    const event = (type: string, phase: string, version: number): void => {
      const object = pod('shop/p', { ip: '10.1.0.1', phase });
      api.toWatchers(
        `${JSON.stringify({ type, object: { ...object, metadata: { ...object.metadata, resourceVersion: `${version}` } } })}\n`,
      );
    };
    event('ADDED', 'Running', 101);
    await eventually(() => expect(opened.at('10.1.0.1')).toBeDefined());
    event('MODIFIED', 'Failed', 102);
    await eventually(() => expect(opened.at('10.1.0.1')).toBeUndefined());
  });

  test('that another pod has by now is that of the later one, while the deletion of the first is late', async () => {
    const [early, late] = ['2026-11-29T10:00:00Z', '2026-11-29T10:05:00Z'];
    const old = pod('shop/old', { ip: '10.1.0.1', startTime: early });
    const opened = await openReady();
    const who = (): unknown => (opened.at('10.1.0.1') as { pod?: string } | undefined)?.pod;
    api.put('pods', old);
    await eventually(() => expect(who()).toBe('old'));
    api.put('pods', pod('shop/new', { ip: '10.1.0.1', startTime: late }));
    await eventually(() => expect(who()).toBe('new'));
    api.put('pods', { ...old, metadata: { ...old.metadata, deletionTimestamp: late } });
    api.put('pods', pod('shop/mark', { ip: '10.1.0.9' }));
    await eventually(() => expect(opened.at('10.1.0.9')).toBeDefined());
    expect(who(), 'a change of the old one gives it nothing back').toBe('new');
    api.remove('pods', old);
    api.put('pods', pod('shop/mark2', { ip: '10.1.0.10' }));
    await eventually(() => expect(opened.at('10.1.0.10')).toBeDefined());
    expect(who()).toBe('new');
    api.remove('pods', pod('shop/new'));
    await eventually(() => expect(who()).toBeUndefined());
  });

  test('of a node is that of no pod, whichever pods use its network', async () => {
    api.put('pods', pod('kube-system/proxy', { ip: '10.0.0.1', hostNetwork: true, owner: ['DaemonSet', 'proxy'] }));
    api.put('pods', pod('shop/odd', { ip: '10.0.0.2', node: 'n2' })); // its node's address, without saying so
    const opened = await openReady();
    expect(opened.at('10.0.0.1')).toEqual({ node: 'n1' });
    expect(opened.at('10.0.0.2')).toEqual({ node: 'n2' });
    expect(opened.named('kube-system/proxy')).toMatchObject({ workload: 'proxy', workload_kind: 'DaemonSet' });
    api.remove('pods', pod('kube-system/proxy'));
    await eventually(() => expect(opened.at('10.0.0.1')).toBeUndefined());
  });

  test('moves with its pod: a StatefulSet makes it anew by the same name', async () => {
    api.put('pods', pod('shop/db-0', { ip: '10.1.0.1' }));
    const opened = await openReady();
    api.put('pods', pod('shop/db-0', { ip: '10.1.0.2' }));
    await eventually(() => expect(opened.at('10.1.0.2')).toMatchObject({ pod: 'db-0' }));
    expect(opened.at('10.1.0.1')).toBeUndefined();
  });
});

describe('what is asked of the API server', () => {
  test('all pods that have not ended, and the metadata of ReplicaSets', async () => {
    await openReady();
    expect(api.lists('pods')[0]).toMatchObject({
      path: '/api/v1/pods',
      query: { limit: '500', fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' },
    });
    expect(api.lists('replicasets')[0]).toMatchObject({ path: '/apis/apps/v1/replicasets', query: { limit: '500' } });
  });

  test('namespaces each with a watch, pods of one node and with some labels', async () => {
    api.put('pods', pod('shop/a', { ip: '10.1.0.1', labels: { app: 'web' } }));
    api.put('pods', pod('bank/b', { ip: '10.1.0.2', labels: { app: 'web' } }));
    api.put('pods', pod('other/c', { ip: '10.1.0.3', labels: { app: 'web' } }));
    api.put('pods', pod('shop/d', { ip: '10.1.0.4', labels: { app: 'db' } }));
    api.put('pods', pod('shop/e', { ip: '10.1.0.5', labels: { app: 'web' }, node: 'n2' }));
    const opened = await openReady({ namespaces: ['shop', 'bank', 'shop'], labelSelector: 'app=web', node: 'n1' });
    const known = () => [1, 2, 3, 4, 5].filter((at) => opened.at(`10.1.0.${at}`) !== undefined);
    expect(known()).toEqual([1, 2]);
    expect(api.requests.every(({ path }) => /^\/api\/v1\/namespaces\/(shop|bank)\/pods$/.test(path))).toBe(true);
    api.isFrozen = true; // all is listed again, each namespace by itself
    api.remove('pods', pod('shop/a'));
    api.expire();
    api.isFrozen = false;
    api.cutWatchers();
    await eventually(() => expect(known()).toEqual([2]));
  });
});

describe('readiness', () => {
  test('a lookup is Unavailable with the cause until the first list is complete, and open needs no server', async () => {
    api.put('pods', web());
    api.always = () => answers(403, 'pods is forbidden');
    const opened = await openOn({ owners: 'names' });
    expect(opened.readiness().ready).toBe(false);
    await eventually(() =>
      expect(opened.readiness().why).toBe(
        'pods are not listed yet: the API server answers 403: pods is forbidden; grant get, list and watch on this resource to this account',
      ),
    );
    expect(() => opened.at('10.1.0.7')).toThrow(Unavailable);
    expect(() => opened.at('10.1.0.8')).toThrow(/403/);
    api.always = () => undefined;
    await eventually(() => expect(opened.at('10.1.0.7')).toEqual(WEB));
    expect(opened.at('10.1.0.8')).toBeUndefined();
    await eventually(() => expect(opened.readiness().ready).toBe(true));
    expect(opened.logged.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'warn the Kubernetes API cannot be watched; the last known state stays in use',
      'info the Kubernetes API answers again',
      'info pods are listed and watched',
    ]);
  });

  test('open waits for the first list, and no longer than three seconds', async () => {
    api.put('pods', web());
    expect((await openOn()).at('10.1.0.7')).toEqual(WEB);
    api.always = () => () => undefined; // never answers
    const began = performance.now();
    const opened = await openOn();
    expect(performance.now() - began).toBeGreaterThan(2500);
    expect(opened.readiness().why).toBe('pods are not listed yet');
    expect(() => opened.at('10.1.0.7')).toThrow(Unavailable);
  });

  test('after a long silence the handler is not ready, and what is known is still answered', async () => {
    api.put('pods', web());
    const opened = await openReady({ staleAfterMs: 60_000 });
    await api.stop();
    opened.clock.advance(61_000);
    await eventually(() => expect(opened.readiness().why).toMatch(/^pods are as of 6\d s ago: .*ECONNREFUSED/));
    expect(opened.at('10.1.0.7')).toEqual(WEB);
    api = await startFakeKubeApi(api.port);
    for (let at = 0; at < 9; at++) api.expire(); // versions of the other server are too old
    await eventually(() => expect(opened.readiness().ready).toBe(true));
    await eventually(() => expect(opened.at('10.1.0.7'), 'the new server does not know it').toBeUndefined());
  });

  test('more pods than maxPods are dropped and counted, and the handler says so until there is room', async () => {
    for (let at = 0; at < 5; at++) api.put('pods', pod(`shop/p${at}`, { ip: `10.1.0.${at}` }));
    const opened = await openOn({ maxPods: 3 });
    await eventually(() => expect(opened.readiness().why).toBe('there are more than 3 pods; raise maxPods'));
    expect(await opened.metrics()).toMatch(/sluice_plugin_kubernetes_pods_dropped_total\{handler="tested"\} 2/);
    api.isFrozen = true;
    api.remove('pods', pod('shop/p0'));
    api.remove('pods', pod('shop/p1'));
    api.expire();
    api.isFrozen = false;
    api.cutWatchers();
    await eventually(() => expect(opened.readiness().ready).toBe(true));
    expect(opened.at('10.1.0.4')).toBeDefined();
  });
});

describe('credentials', () => {
  test('a kubeconfig is relative to the policy, and a rotated token is read for the next connection', async () => {
    writeFileSync(
      join(folder, 'config.yaml'),
      `current-context: here
contexts: [{ name: here, context: { cluster: c, user: u } }]
clusters: [{ name: c, cluster: { server: "${api.url}", certificate-authority: ca.crt } }]
users: [{ name: u, user: { tokenFile: token } }]
`,
    );
    const opened = await openForTest(adapter, { config: { kubeconfig: 'config.yaml' }, folder });
    closing.push(opened.close);
    await eventually(() => expect(api.watching).toBe(2));
    api.token = 'rotated';
    writeFileSync(join(folder, 'token'), 'rotated');
    api.endWatchers();
    await eventually(() => expect(api.watches('pods')).toHaveLength(2));
    expect(api.watches('pods')[1]?.headers.authorization).toBe('Bearer rotated');
  });

  test('are in no log line, no error and no metric', async () => {
    api.token = 'other';
    const opened = await openOn();
    await eventually(() => expect(opened.readiness().why).toMatch(/401/));
    const shown = [
      opened.logged.map(({ message, fields }) => [message, String(fields['error']), JSON.stringify(fields)]),
      opened.readiness(),
      await opened.metrics(),
    ];
    expect(JSON.stringify(shown)).not.toContain(TOKEN);
  });
});

describe('many pods', () => {
  test('of a large list block the event loop for no longer than a slice and a garbage collection', async () => {
    const server = startChild(process.execPath, [CROWD, '10000']);
    await untilReady('the crowd', server, async () => /\d+\n/.test(server.printed()));
    const config = { server: `https://127.0.0.1:${server.printed().trim()}`, pageSize: 10_000 };
    let opened: Awaited<ReturnType<typeof openOn>> | undefined;
    const { longestCpuMs } = await loopTurnsOf(async () => {
      opened = await openOn(config);
      await eventually(() => expect(opened?.readiness().ready).toBe(true), 60_000);
    });
    await server.stop();
    expect(opened?.at(crowdAddress(9999))).toMatchObject({ workload: 'store-999', workload_kind: 'StatefulSet' });
    expect(longestCpuMs, 'to parse the page of 45 MB as a whole takes 300 ms').toBeLessThan(60);
  });

  test('come and go, and nothing is left of them', () => {
    const index = new PodIndex({ owners: new ReplicaSetOwners(), maxPods: 1_000_000, onDropped: () => undefined });
    const sink = index.sink();
    for (let round = 0; round < 3; round++) {
      sink.listing();
      for (let at = 0; at < 5000; at++) sink.put(crowdPod(at));
      for (const _ of sink.listed());
      expect(index.size).toBe(5000);
      for (let at = 0; at < 5000; at += 2) sink.remove(crowdPod(at) as KubeObject);
    }
    sink.listing();
    for (const _ of sink.listed());
    expect([index.size, index.sizes]).toEqual([
      0,
      { addresses: 0, rivals: 0, nodeAddresses: 0, namespaces: 0, templates: 0, nodes: 0 },
    ]);
  });

  test('with fields of any shape are no error', () => {
    const index = new PodIndex({ owners: new ReplicaSetOwners(), maxPods: 1000, onDropped: () => undefined });
    const [sink, owners] = [index.sink(), new ReplicaSetOwners().sink()];
    fc.assert(
      fc.property(anyObject, (object) => {
        for (const one of [sink, owners]) {
          one.listing();
          one.put(object as KubeObject);
          one.remove(object as KubeObject);
        }
      }),
    );
    expect(index.size).toBe(0);
  });
});

const anyField = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('10.1.0.1', 'a', true, null));
const anyPart = (...names: string[]) =>
  fc.oneof(anyField, fc.record(Object.fromEntries(names.map((name) => [name, anyField])), { requiredKeys: [] }));
const anyObject = fc.record(
  {
    metadata: anyPart('name', 'namespace', 'uid', 'labels', 'ownerReferences', 'creationTimestamp'),
    spec: anyPart('nodeName', 'serviceAccountName', 'hostNetwork'),
    status: anyPart('phase', 'podIP', 'podIPs', 'hostIP', 'hostIPs', 'startTime'),
  },
  { requiredKeys: [] },
);
