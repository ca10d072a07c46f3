/**
 * `npm run kube:real`: enrich-kubernetes and its client against a real kube-apiserver and etcd, which Go builds into .cache on first use
 * (15 minutes and more). Takes three minutes, most of which it waits for bookmarks.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import { resolveOwnModules } from '../src/adapters/loading/own-modules.ts';
import type { Adapter } from '../src/adapters/contract.ts';
import { eventually, fakeClock, type OpenedForTest, openForTest, testCall } from '../src/adapters/testing/index.ts';
import { startLink } from '../test/parts/link.ts';
import { startKubeApiServer } from '../test/parts/kube-apiserver.ts';

resolveOwnModules();
const { default: adapter } = (await import('../plugins/enrich-kubernetes/adapter.ts')) as { default: Adapter };
const WITHIN_MS = 60_000;
const realClock = { ...fakeClock(), nowMs: () => Date.now(), monotonicMs: () => performance.now() };

const began = performance.now();
const server = await startKubeApiServer();
say(`kube-apiserver answers after ${Math.round(performance.now() - began)} ms`);
const link = await startLink(server.port);
const folder = await mkdtemp(join(tmpdir(), 'sluice-kube-real-'));
let opened: OpenedForTest | undefined;
try {
  await main();
} finally {
  await opened?.close();
  await link.stop();
  await server.stop();
  await rm(folder, { recursive: true });
}

async function main(): Promise<void> {
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'sluice' } });
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
  await server.call('POST', '/api/v1/namespaces/sluice/serviceaccounts', { metadata: { name: 'sluice' } });
  await rotateToken();
  await writeFile(join(folder, 'ca.crt'), server.ca);
  opened = await openForTest(adapter, {
    config: {
      server: `https://127.0.0.1:${link.port}`,
      serviceAccount: folder,
      pageSize: 2,
      silentAfterMs: 10_000,
      staleAfterMs: 9000,
    },
    clock: realClock,
  });
  const pods = opened;
  await eventually(
    () => assert.match(pods.readiness().why ?? '', /403: .*is forbidden.*grant get, list and watch/),
    WITHIN_MS,
  );
  ok('without rights: not ready, with the cause');

  await applyRights();
  await ready(pods);
  ok('the rights of deploy/kubernetes/rbac.yaml are enough');

  const set = await replicaSet('web-5d4f9c', 'Deployment', 'web', '5d4f9c');
  const rollout = await replicaSet('canary-77', 'Rollout', 'canary');
  await pod('web-5d4f9c-1', ['10.1.0.1', 'fd00::1'], { 'pod-template-hash': '5d4f9c' }, set);
  await pod('canary-77-1', ['10.1.0.2'], {}, rollout);
  await pod('lonely', ['10.1.0.3']);
  await pod('host', ['10.0.0.1'], {}, undefined, { hostNetwork: true });
  await known('10.1.0.1', 'Deployment web');
  await known('fd00::1', 'Deployment web');
  await known('10.1.0.2', 'Rollout canary');
  await known('10.1.0.3', 'Pod lonely');
  assert.deepEqual(at('10.0.0.1'), { node: 'node-1' });
  ok('pods are known by both families of addresses, workloads by the metadata of ReplicaSets');

  await status('lonely', { phase: 'Succeeded' });
  await known('10.1.0.3', undefined);
  await server.call('DELETE', `/api/v1/namespaces/shop/pods/canary-77-1?gracePeriodSeconds=0`);
  await known('10.1.0.2', undefined);
  ok('a pod that ends or is deleted frees its address');

  await rotateToken();
  link.cut();
  await server.call('DELETE', `/api/v1/namespaces/shop/pods/host?gracePeriodSeconds=0`);
  await pod('late', ['10.1.0.4']);
  await eventually(
    () => assert.match(pods.readiness().why ?? '', /pods are as of \d+ s ago: .*silent: nothing arrived for 10000 ms/),
    WITHIN_MS,
  );
  link.mend();
  await known('10.1.0.4', 'Pod late');
  await known('10.0.0.1', undefined, 'node-1');
  ok('a network that swallows everything is found by its silence; what was missed is caught up');

  const lists = await counted('lists');
  link.cut();
  await server.kill();
  await server.restart();
  await pod('after', ['10.1.0.5']);
  await server.call('DELETE', `/api/v1/namespaces/shop/pods/late?gracePeriodSeconds=0`);
  await server.compact();
  await server.kill();
  await server.restart();
  link.mend();
  await known('10.1.0.5', 'Pod after');
  await known('10.1.0.4', undefined);
  assert.ok((await counted('lists')) > lists, 'nothing was listed again');
  ok('a server that was killed, and has compacted our version away, is listed again');

  const bookmarks = idleWatch(150_000);
  await crowd(1000);
  await eventually(() => assert.notEqual(at('10.2.3.231'), undefined), WITHIN_MS);
  const all = await openForTest(adapter, {
    config: { server: server.url, serviceAccount: folder, pageSize: 100 },
    clock: realClock,
  });
  await ready(all);
  assert.notEqual(all.handler.lookup?.({ rule: 'r', params: undefined })({ ip: '10.2.3.231' }, testCall()), undefined);
  await all.close();
  ok('a list in pages is complete');

  await rawFacts();
  const times = await bookmarks;
  say(`bookmarks of a watch without events: after ${times.map((ms) => `${Math.round(ms / 1000)} s`).join(', ')}`);
  assert.ok(times.length >= 2, 'bookmarks do not come once a minute');
  ok('a watch without events of its own is not silent for 150 s');
}

/** What the server does in cases that the client has rules for. */
async function rawFacts(): Promise<void> {
  const first = await server.call('GET', '/api/v1/pods?limit=2');
  const { continue: token, resourceVersion } = first['metadata'] as { continue: string; resourceVersion: string };
  await pod('moves-on', ['10.1.0.9']);
  await server.compact();
  const next = await server.call('GET', `/api/v1/pods?limit=2&continue=${encodeURIComponent(token)}`).then(
    () => 'is served',
    (error: unknown) => String(error).slice(0, 200),
  );
  say(`the next page of a list after a compaction: ${next}`);
  say(`a watch from version 1: ${await firstLine(`/api/v1/pods?watch=1&resourceVersion=1`, 5000)}`);
  say(
    `a watch from a future version: ${await firstLine(`/api/v1/pods?watch=1&resourceVersion=${Number(resourceVersion) + 1_000_000}`, 5000)}`,
  );
}

function get(path: string, onLine: (line: string) => void): () => void {
  const sent = request(
    `${server.url}${path}`,
    { rejectUnauthorized: false, headers: { authorization: `Bearer ${server.adminToken}` } },
    (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('error', () => undefined);
      response.on('data', (chunk: string) => {
        const lines = (text + chunk).split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) onLine(`${response.statusCode} ${line}`);
      });
    },
  );
  sent.on('error', () => undefined);
  sent.end();
  return () => sent.destroy();
}

async function firstLine(path: string, withinMs: number): Promise<string> {
  return new Promise((done) => {
    const end = get(path, (line) => {
      end();
      done(line.slice(0, 260));
    });
    setTimeout(() => {
      end();
      done('silence');
    }, withinMs);
  });
}

/** When bookmarks come on a watch of a namespace without pods, while pods of others change; in ms since its start. */
async function idleWatch(forMs: number): Promise<number[]> {
  const times: number[] = [];
  const from = performance.now();
  const { metadata } = await server.call('GET', '/api/v1/namespaces/default/pods');
  const version = (metadata as { resourceVersion: string }).resourceVersion;
  const end = get(
    `/api/v1/namespaces/default/pods?watch=1&allowWatchBookmarks=true&resourceVersion=${version}`,
    (line) => {
      if (line.includes('BOOKMARK')) times.push(performance.now() - from);
    },
  );
  await sleep(forMs);
  end();
  return times;
}

async function applyRights(): Promise<void> {
  const paths: Readonly<Record<string, string>> = {
    ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  };
  const manifest = await readFile(resolve(import.meta.dirname, '../deploy/kubernetes/rbac.yaml'), 'utf8');
  for (const document of parseAllDocuments(manifest)) {
    const object = document.toJS() as { kind: string };
    const path = paths[object.kind];
    if (path !== undefined) await server.call('POST', path, object);
  }
}

async function rotateToken(): Promise<void> {
  const made = await server.call('POST', '/api/v1/namespaces/sluice/serviceaccounts/sluice/token', {
    spec: { expirationSeconds: 600 },
  });
  await writeFile(join(folder, 'token'), (made['status'] as { token: string }).token);
}

interface Owner {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}
function referenceTo({ kind, name, uid }: Owner): object {
  return { apiVersion: 'apps/v1', kind, name, uid, controller: true };
}

async function replicaSet(name: string, kind: string, owner: string, hash?: string): Promise<Owner> {
  const labels = { app: owner, ...(hash === undefined ? {} : { 'pod-template-hash': hash }) };
  const made = await server.call('POST', '/apis/apps/v1/namespaces/shop/replicasets', {
    metadata: { name, labels, ownerReferences: [referenceTo({ kind, name: owner, uid: `uid-of-${owner}` })] },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    },
  });
  return { kind: 'ReplicaSet', name, uid: (made['metadata'] as { uid: string }).uid };
}

async function pod(
  name: string,
  ips: readonly string[],
  labels: object = {},
  owner?: Owner,
  spec: object = {},
): Promise<void> {
  await server.call('POST', '/api/v1/namespaces/shop/pods', {
    metadata: { name, labels, ...(owner === undefined ? {} : { ownerReferences: [referenceTo(owner)] }) },
    spec: { nodeName: 'node-1', serviceAccountName: 'web', containers: [{ name: 'c', image: 'i' }], ...spec },
  });
  await status(name, {
    phase: 'Running',
    podIP: ips[0],
    podIPs: ips.map((ip) => ({ ip })),
    hostIP: '10.0.0.1',
    hostIPs: [{ ip: '10.0.0.1' }],
  });
}

async function status(name: string, part: object): Promise<void> {
  await server.call('PATCH', `/api/v1/namespaces/shop/pods/${name}/status`, { status: part });
}

async function crowd(count: number): Promise<void> {
  const left = Array.from({ length: count }, (_, at) => at);
  const work = async (): Promise<void> => {
    for (let at = left.pop(); at !== undefined; at = left.pop())
      await pod(`crowd-${at}`, [`10.2.${at >> 8}.${at & 255}`]);
  };
  await Promise.all(Array.from({ length: 20 }, work));
}

function at(ip: string): unknown {
  return opened?.handler.lookup?.({ rule: 'r', params: undefined })({ ip }, testCall());
}

async function known(ip: string, workload: string | undefined, node?: string): Promise<void> {
  await eventually(() => {
    const values = at(ip) as Record<string, string> | undefined;
    const found = values?.['workload'] === undefined ? undefined : `${values['workload_kind']} ${values['workload']}`;
    assert.equal(found, workload);
    if (node !== undefined) assert.equal(values?.['node'], node);
  }, WITHIN_MS);
}

async function ready({ readiness }: OpenedForTest): Promise<void> {
  await eventually(() => assert.deepEqual(readiness(), { ready: true, why: undefined }), WITHIN_MS);
}

async function counted(name: string): Promise<number> {
  const page = (await opened?.metrics()) ?? '';
  return Number(new RegExp(`sluice_plugin_kubernetes_${name}_total\\{[^}]*\\} (\\d+)`).exec(page)?.[1] ?? 0);
}

function ok(what: string): void {
  say(what, 'ok');
}
function say(what: string, mark = '  '): void {
  console.log(`${mark}  ${what}`);
}
