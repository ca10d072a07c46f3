import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { injectorOf } from '../../../src/inject/admission/review.ts';
import type { InjectConfig } from '../../../src/inject/contract.ts';
import type { JsonObject } from '../../../src/text/json-object.ts';
import { startWebhook, type WebhookServer } from '../../../src/serve/webhook/server.ts';
import { type Authority, makeAuthority } from '../../parts/certificates.ts';

let authority: Authority;
let ca: string;
let first: { readonly cert: string; readonly key: string };
let second: { readonly cert: string; readonly key: string };
beforeAll(async () => {
  authority = await makeAuthority();
  ca = await readFile(authority.ca, 'utf8');
  first = await authority.issue('first', 'DNS:sluice-webhook.sluice.svc,IP:127.0.0.1');
  second = await authority.issue('second', 'DNS:sluice-webhook.sluice.svc,IP:127.0.0.1');
});
afterAll(() => authority.remove());

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Running extends WebhookServer {
  readonly folder: string;
  readonly log: readonly string[];
  write(file: string, text: string): Promise<void>;
  metrics(): Promise<string>;
}

const CONFIG = `policy: enabled
template: |
  containers:
  - name: istio-proxy
    image: proxy:[[ .MeshConfig.version ]]
    args: ["--serviceCluster", "[[ index .ObjectMeta.Labels "app" ]]"]
`;

const readObject = async (path: string): Promise<JsonObject> => parse(await readFile(path, 'utf8')) as JsonObject;
const readConfig = async (path: string): Promise<InjectConfig> =>
  ({ ...(await readObject(path)), style: '1.0' }) as unknown as InjectConfig;

async function running(requestMs?: number): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-webhook-'));
  ends.push(() => rm(folder, { recursive: true }));
  const file = (name: string): string => join(folder, name);
  await copyFile(first.cert, file('tls.crt'));
  await copyFile(first.key, file('tls.key'));
  await writeFile(file('config'), CONFIG);
  await writeFile(file('mesh'), 'version: "1"\n');
  const log: string[] = [];
  const note = (message: string, fields: object = {}): void => void log.push(`${message} ${JSON.stringify(fields)}`);
  const server = await startWebhook({
    address: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    tls: { cert: file('tls.crt'), key: file('tls.key') },
    readInjector: async () =>
      injectorOf(await readConfig(file('config')), { ...(await readObject(file('mesh'))), defaultConfig: {} }),
    files: [file('config'), file('mesh')],
    log: { debug: () => undefined, info: note, warn: note, error: note },
    graceMs: 2000,
    everyMs: 20,
    ...(requestMs === undefined ? {} : { requestMs }),
  });
  ends.push(() => server.drain());
  return {
    ...server,
    folder,
    log,
    write: (name, text) => writeFile(file(name), text),
    metrics: async () => (await fetch(`http://127.0.0.1:${server.admin.port}/metrics`)).text(),
  };
}

interface Answer {
  readonly status: number;
  readonly text: string;
  /** Of the certificate, where the connection is new. */
  readonly serial: string;
}

interface Sent {
  readonly body?: string | Buffer;
  readonly method?: string;
  readonly path?: string;
  readonly type?: string;
  readonly agent?: Agent;
}

/** As a kube-apiserver that trusts the authority and knows the webhook by its service. */
function post(
  { address }: WebhookServer,
  { body = review(), method = 'POST', path = '/inject?timeout=10s', type, agent }: Sent = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port: address.port,
        servername: 'sluice-webhook.sluice.svc',
        ca,
        method,
        path,
        headers: { 'content-type': type ?? 'application/json' },
        ...(agent === undefined ? { agent: false } : { agent }),
      },
      (response) => {
        const socket = response.socket as TLSSocket;
        const serial = agent === undefined ? socket.getPeerCertificate().serialNumber : '';
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text, serial }));
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const review = (uid = 'u', labels: object = { app: 'web' }): string =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid,
      kind: { group: '', version: 'v1', kind: 'Pod' },
      namespace: 'shop',
      operation: 'CREATE',
      object: { metadata: { generateName: 'web-', labels }, spec: { containers: [{ name: 'web', image: 'w' }] } },
    },
  });

function imageIn({ text }: Answer): string {
  const { response } = JSON.parse(text) as { response: { patch: string } };
  const [operation] = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as [{ value: { image: string } }];
  return operation.value.image;
}

test('a review is answered, over HTTPS alone', async () => {
  const server = await running();
  const answer = await post(server);
  expect(answer.status).toBe(200);
  expect(imageIn(answer)).toBe('proxy:1');
  await expect(fetch(`http://127.0.0.1:${server.address.port}/inject`)).rejects.toThrow('fetch failed');
  expect(await server.metrics()).toMatch(/^sluice_webhook_injected_total 1$/m);
});

test('what is no review is refused by an HTTP status', async () => {
  const server = await running();
  const statusOf = async (sent: Sent): Promise<number> => (await post(server, sent)).status;
  expect(await statusOf({ type: 'application/yaml' })).toBe(415);
  expect(await statusOf({ type: 'application/json; charset=utf-8' })).toBe(200);
  expect(await statusOf({ body: '' })).toBe(400);
  expect(await statusOf({ body: Buffer.from([0, 1, 2, 3]) })).toBe(400);
  expect(await statusOf({ method: 'GET', body: '' })).toBe(405);
  expect(await statusOf({ path: '/other' })).toBe(404);
  expect(await statusOf({ body: `${' '.repeat(3 * 1024 * 1024)}{}` })).toBe(413);
  const page = await server.metrics();
  for (const status of [400, 404, 405, 413, 415])
    expect(page).toContain(`sluice_webhook_refused_requests_total{status="${status}"}`);
  // One line a minute, whoever calls.
  expect(server.log.filter((line) => line.startsWith('refused a request'))).toHaveLength(1);
});

test('a pod that is left alone or cannot be injected is counted, and the answer says why', async () => {
  const server = await running();
  expect(JSON.parse((await post(server, { body: review('s').replace('"shop"', '"kube-system"') })).text)).toMatchObject(
    {
      response: { uid: 's', allowed: true },
    },
  );
  await server.write('config', CONFIG.replace('[[ index .ObjectMeta.Labels "app" ]]', '[[ index 7 "app" ]]'));
  await eventually(() => expect(server.log.join('\n')).toContain('the injection configuration was loaded'));
  const failed = JSON.parse((await post(server)).text) as { response: { status: { message: string } } };
  expect(failed).toMatchObject({ response: { allowed: false, status: { code: 500 } } });
  expect(server.log.join('\n')).toContain('refused a pod, which cannot be injected {"pod":"shop/web-?","why":');
  const page = await server.metrics();
  expect(page).toMatch(/^sluice_webhook_skipped_total\{reason="system_namespace"\} 1$/m);
  expect(page).toMatch(/^sluice_webhook_failed_total 1$/m);
  expect(page).toMatch(/^sluice_webhook_duration_seconds_count 2$/m);
});

test('a changed configuration is loaded whole or not at all', async () => {
  const server = await running();
  await server.write('mesh', 'version: "2"\n');
  await eventually(async () => expect(imageIn(await post(server))).toBe('proxy:2'));
  await server.write('mesh', 'version: "3"\n');
  await server.write('config', 'policy: enabled\ntemplate: "[[ if ]]"\n');
  await eventually(() => expect(server.log.join('\n')).toContain('the last good one stays'));
  expect(imageIn(await post(server))).toBe('proxy:2');
  await server.write('config', CONFIG);
  await eventually(async () => expect(imageIn(await post(server))).toBe('proxy:3'));
  await server.write('config', CONFIG.replace('enabled', 'sometimes'));
  await eventually(() => expect(server.log.join('\n')).toContain('neither enabled nor disabled'));
});

test('a certificate is renewed under load without a failed review', async () => {
  const server = await running();
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  ends.push(async () => agent.destroy());
  const serials = new Set<string>();
  let count = 0;
  let isOver = false;
  const load = Array.from({ length: 8 }, async (_, at) => {
    // Half of the callers keep their connections, the others make a new one for each review.
    while (!isOver) {
      const answer = await post(server, at % 2 === 0 ? { agent } : {});
      expect(answer.status).toBe(200);
      if (at % 2 === 1) serials.add(answer.serial);
      count += 1;
    }
  });
  await eventually(() => expect(count).toBeGreaterThan(50));
  // The key is there before its certificate; the pair does not match for a moment.
  await copyFile(second.key, join(server.folder, 'tls.key'));
  await sleep(100);
  await copyFile(second.cert, join(server.folder, 'tls.crt'));
  await eventually(() => expect(serials.size).toBe(2), 10_000);
  isOver = true;
  await Promise.all(load);
  expect(server.log.join('\n')).toContain('the certificate was renewed');
});

test('four hundred reviews at once are all answered, each in its own uid', async () => {
  const server = await running();
  const agent = new Agent({ keepAlive: true, maxSockets: 100 });
  ends.push(async () => agent.destroy());
  const uids = Array.from({ length: 400 }, (_, at) => `uid-${at}`);
  const answers = await Promise.all(uids.map((uid) => post(server, { agent, body: review(uid) })));
  const answered = answers.map(({ text }) => (JSON.parse(text) as { response: { uid: string } }).response.uid);
  expect(answered).toEqual(uids);
  expect(await server.metrics()).toMatch(/^sluice_webhook_injected_total 400$/m);
});

test('clients that hang hold up nobody, and are cut off', async () => {
  const server = await running(1000);
  const hung = await Promise.all(
    Array.from({ length: 50 }, async (_, at) => {
      const socket = connect({
        port: server.address.port,
        host: '127.0.0.1',
        ca,
        servername: 'sluice-webhook.sluice.svc',
      });
      await once(socket, 'secureConnect');
      // Some say nothing, others promise a body and send a part of it.
      if (at % 2 === 0)
        socket.write(
          'POST /inject HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"kind":',
        );
      return socket;
    }),
  );
  const closed = Promise.all(hung.map((socket) => once(socket.resume(), 'close')));
  const beganAtMs = performance.now();
  expect((await post(server)).status).toBe(200);
  expect(performance.now() - beganAtMs).toBeLessThan(5000);
  await closed;
});

test('large bodies that do not end are refused above a bound, and free it when they go', async () => {
  const server = await running();
  const part = Buffer.alloc(3 * 1024 * 1024 - 1, 0x20);
  const head = `POST /inject HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${part.length + 1}\r\n\r\n`;
  const sockets: TLSSocket[] = [];
  let refused = '';
  while (refused === '' && sockets.length < 60) {
    const socket = connect({
      port: server.address.port,
      host: '127.0.0.1',
      ca,
      servername: 'sluice-webhook.sluice.svc',
    });
    socket.setEncoding('utf8').on('data', (chunk: string) => (refused += chunk));
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    socket.write(head);
    await new Promise((sent) => socket.write(part, sent));
    sockets.push(socket);
  }
  await eventually(() => expect(refused).toMatch(/^HTTP\/1\.1 503 /));
  expect(refused).toContain('too many reviews at once');
  expect(sockets.length).toBeGreaterThan(40);
  for (const socket of sockets) socket.destroy();
  await eventually(async () => expect((await post(server)).status).toBe(200));
});

test('a drain answers what has begun, and takes no more', async () => {
  const server = await running();
  const body = review('late');
  const socket = connect({
    port: server.address.port,
    host: '127.0.0.1',
    ca,
    servername: 'sluice-webhook.sluice.svc',
  });
  await once(socket, 'secureConnect');
  socket.write(
    `POST /inject HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  socket.write(body.slice(0, 10));
  await sleep(50);
  const drained = server.drain();
  await eventually(() => expect(post(server)).rejects.toThrow('ECONNREFUSED'));
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  socket.write(body.slice(10));
  await once(socket, 'close');
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(text).toMatch(/connection: close/i);
  expect(text).toContain('"uid":"late"');
  await drained;
});
