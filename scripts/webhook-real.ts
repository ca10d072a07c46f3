/**
 * `npm run webhook:real`: `sluice webhook` behind a real kube-apiserver, and 10 000 reviews at once. The first run builds Kubernetes, in 15
 * minutes and more; later ones take a minute.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { eventually } from '../src/adapters/testing/index.ts';
import { PROXY_CONTAINER } from '../src/inject/contract.ts';
import { PROBERS_VARIABLE } from '../src/inject/probes.ts';
import { makeAuthority } from '../test/parts/certificates.ts';
import { type Part, startChild, untilReady } from '../test/parts/child.ts';
import { freePort } from '../test/parts/free-port.ts';
import { startKubeApiServer } from '../test/parts/kube-apiserver.ts';

const BIN = resolve(import.meta.dirname, '../src/cli/bin.ts');
const WITHIN_MS = 30_000;
const REVIEWS = 10_000;

interface PodObject {
  readonly metadata: { readonly annotations?: Record<string, string> };
  readonly spec: Readonly<Record<string, readonly { readonly name: string; readonly [field: string]: unknown }[]>>;
}

const folder = await mkdtemp(join(tmpdir(), 'sluice-webhook-real-'));
const file = (name: string): string => join(folder, name);
const authority = await makeAuthority();
const began = performance.now();
const server = await startKubeApiServer();
say(`kube-apiserver answers after ${Math.round(performance.now() - began)} ms`);
const [httpsPort, adminPort] = [await freePort(), await freePort()];
let webhook: Part | undefined;
try {
  await main();
} finally {
  await webhook?.stop();
  await server.stop();
  await authority.remove();
  await rm(folder, { recursive: true });
}

async function main(): Promise<void> {
  await useCertificate('first');
  webhook = await start();
  for (const [name, labels] of [
    ['shop', { 'istio-injection': 'enabled' }],
    ['plain', {}],
    ['closed', { 'istio-injection': 'disabled' }],
  ] as const)
    await server.call('POST', '/api/v1/namespaces', { metadata: { name, labels } });
  await register();

  const injected = await injectedPod('web');
  assert.deepEqual(names(injected, 'containers'), ['web', 'istio-proxy']);
  assert.deepEqual(names(injected, 'initContainers'), ['istio-init']);
  assert.ok(
    injected.spec['containers']?.every((container) => container['terminationMessagePath'] === '/dev/termination-log'),
  );
  ok('a pod in a labelled namespace comes back injected, with the defaults of the server');

  assert.deepEqual(probesOf(injected), {
    livenessProbe: '/app-health/web/livez',
    readinessProbe: '/app-health/web/readyz',
    startupProbe: '/app-health/web/startupz',
  });
  assert.deepEqual(JSON.parse(variableOf(injected)), {
    '/app-health/web/livez': { httpGet: { path: '/live', port: 8080, scheme: 'HTTP' }, timeoutSeconds: 2 },
    '/app-health/web/readyz': { tcpSocket: { port: 8080 }, timeoutSeconds: 1 },
    '/app-health/web/startupz': { grpc: { port: 8081, service: '' }, timeoutSeconds: 1 },
  });
  ok('its probes go to the agent, which gets them as the server has completed them');

  assert.deepEqual(names(await pod('plain', 'web'), 'containers'), ['web']);
  assert.deepEqual(names(await pod('plain', 'asks', { 'sidecar.istio.io/inject': 'true' }), 'containers'), [
    'web',
    'istio-proxy',
  ]);
  assert.deepEqual(names(await pod('closed', 'asks', { 'sidecar.istio.io/inject': 'true' }), 'containers'), ['web']);
  assert.deepEqual(names(await pod('shop', 'refuses', { 'sidecar.istio.io/inject': 'false' }), 'containers'), ['web']);
  ok('labels of namespaces and pods decide');

  const { annotations } = injected.metadata;
  const again = await create('shop', { ...injected, metadata: { name: 'again', labels: { app: 'web' }, annotations } });
  assert.deepEqual(comparable(again), comparable(injected));
  ok('a pod that is created from an injected one is the same');

  const wrong = pod('shop', 'wrong', {}, { 'sidecar.istio.io/interceptionMode': 'MAYBE' });
  await assert.rejects(wrong, /400 .*denied the request: .*sidecar\.istio\.io\/interceptionMode/);
  ok('a pod with a wrong annotation is refused, and its author reads why');

  await useCertificate('second');
  await eventually(() => assert.match(webhook?.printed() ?? '', /the certificate was renewed/), WITHIN_MS);
  await injectedPod('after-renewal');
  ok('after a renewal of the certificate pods are injected');

  await webhook.stop();
  await assert.rejects(pod('shop', 'lost'), /500 .*failed calling webhook/);
  webhook = await start();
  await injectedPod('back');
  ok('while the webhook is away no pod starts without its proxy, and it is asked again once it is back');

  await webhook.stop();
  webhook = await start('1.0');
  const ofOld = await injectedPod('of-1-0');
  assert.ok(ofOld.spec['volumes']?.some(({ name }) => name === 'istio-certs'));
  ok('a pod with the containers of Istio 1.0 is accepted');

  await crowd();
}

async function useCertificate(name: string): Promise<void> {
  const { cert, key } = await authority.issue(name, 'IP:127.0.0.1');
  await copyFile(key, file('tls.key'));
  await copyFile(cert, file('tls.crt'));
}

async function start(style = 'today'): Promise<Part> {
  const ports = ['--https', `127.0.0.1:${httpsPort}`, '--admin', `127.0.0.1:${adminPort}`];
  const certificate = ['--tls-cert', file('tls.crt'), '--tls-key', file('tls.key')];
  const part = startChild(process.execPath, [BIN, 'webhook', '--style', style, ...ports, ...certificate]);
  await untilReady('sluice webhook', part, async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok);
  return part;
}

/** As `kubectl apply` of what the command prints. */
async function register(): Promise<void> {
  const args = [
    'webhook',
    '--print-config',
    '--style',
    'today',
    '--url',
    `https://127.0.0.1:${httpsPort}/inject`,
    '--ca',
    authority.ca,
  ];
  const { stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8' });
  assert.equal(stderr, '');
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?fieldValidation=Strict';
  await server.call('POST', path, parse(stdout) as object);
}

/** The server takes a moment to use a new registration. */
async function injectedPod(name: string): Promise<PodObject> {
  let made: PodObject | undefined;
  let tries = 0;
  await eventually(async () => {
    made = await pod('shop', `${name}-${(tries += 1)}`);
    assert.deepEqual(names(made, 'containers'), ['web', 'istio-proxy']);
  }, WITHIN_MS);
  return made as PodObject;
}

function names({ spec }: PodObject, list: string): readonly string[] {
  return (spec[list] ?? []).map(({ name }) => name);
}

function comparable({ metadata, spec }: PodObject): unknown {
  return { annotations: metadata.annotations, spec };
}

function pod(namespace: string, name: string, labels: object = {}, annotations: object = {}): Promise<PodObject> {
  return create(namespace, {
    metadata: { name, labels: { app: 'web', ...labels }, annotations },
    spec: {
      serviceAccountName: 'web',
      containers: [
        {
          name: 'web',
          image: 'web:1',
          ports: [{ name: 'http', containerPort: 8080 }],
          livenessProbe: { httpGet: { path: '/live', port: 'http' }, timeoutSeconds: 2 },
          readinessProbe: { tcpSocket: { port: 8080 } },
          startupProbe: { grpc: { port: 8081 } },
        },
      ],
    },
  });
}

/** Paths at the agent, by the probe. */
function probesOf({ spec }: PodObject): unknown {
  const web = spec['containers']?.find(({ name }) => name === 'web') as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    ['livenessProbe', 'readinessProbe', 'startupProbe'].map((probe) => {
      const { httpGet } = web[probe] as { readonly httpGet: { readonly path: string; readonly port: number } };
      assert.equal(httpGet.port, 15_020);
      return [probe, httpGet.path];
    }),
  );
}

function variableOf({ spec }: PodObject): string {
  const proxy = spec['containers']?.find(({ name }) => name === PROXY_CONTAINER);
  const variables = (proxy?.['env'] ?? []) as readonly { readonly name: string; readonly value?: string }[];
  return variables.find(({ name }) => name === PROBERS_VARIABLE)?.value ?? '';
}

async function create(namespace: string, object: object): Promise<PodObject> {
  return (await server.call('POST', `/api/v1/namespaces/${namespace}/pods`, object)) as unknown as PodObject;
}

/** Each is answered, in its own uid, however many come at once. */
async function crowd(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 200 });
  const ca = await readFile(authority.ca, 'utf8');
  const object = {
    metadata: { generateName: 'web-', labels: { app: 'web' } },
    spec: { containers: [{ name: 'web', image: 'web:1' }] },
  };
  const reviewOf = (uid: string): string =>
    JSON.stringify({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: { uid, kind: { group: '', version: 'v1', kind: 'Pod' }, namespace: 'shop', operation: 'CREATE', object },
    });
  const uidAnswered = (uid: string): Promise<unknown> =>
    new Promise((done, fail) => {
      const headers = { 'content-type': 'application/json' };
      const sent = request(
        { host: '127.0.0.1', port: httpsPort, ca, agent, method: 'POST', path: '/inject', headers },
        (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => {
            const { uid: answered, patch } = (JSON.parse(text) as { response: { uid: string; patch?: string } })
              .response;
            done(patch === undefined ? undefined : answered);
          });
        },
      );
      sent.on('error', fail);
      sent.end(reviewOf(uid));
    });
  const from = performance.now();
  const uids = Array.from({ length: REVIEWS }, (_, at) => `uid-${at}`);
  assert.deepEqual(await Promise.all(uids.map(uidAnswered)), uids);
  const tookS = (performance.now() - from) / 1000;
  const page = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  const sumS = Number(/^sluice_webhook_duration_seconds_sum (\S+)/m.exec(page)?.[1]);
  const count = Number(/^sluice_webhook_duration_seconds_count (\S+)/m.exec(page)?.[1]);
  const rssMb = Number(/^process_resident_memory_bytes (\S+)/m.exec(page)?.[1]) / 1024 ** 2;
  ok(
    `${REVIEWS} reviews at once are answered in ${tookS.toFixed(1)} s; ${((sumS / count) * 1e6).toFixed(0)} us of them each, ${Math.round(rssMb)} MB`,
  );
  agent.destroy();
}

function ok(what: string): void {
  say(what, 'ok');
}
function say(what: string, mark = '  '): void {
  console.log(`${mark}  ${what}`);
}
