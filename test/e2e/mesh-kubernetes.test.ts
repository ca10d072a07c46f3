/** `sluice mesh --kubeconfig` with a real Envoy and a fake API server, which is away, slow, or sends bursts while calls go on. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { Agent, createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../src/adapters/testing/index.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { answers, type FakeKubeApi, startFakeKubeApi } from '../parts/fake-kube-api.ts';
import { freeNet, freePort } from '../parts/free-port.ts';
import { installIstio, type Manifest, NETWORKING, put } from '../parts/mesh/kubernetes.ts';
import { bootstrap } from '../parts/xds-envoy.ts';
import { type Program, program, run } from './command.ts';
import { untilHolds as until } from './sluice.ts';

const NET = await freeNet();
/** Where the Envoy of the client listens. */
const OUT = `${NET}.101`;
const PORT = 9080;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });

const ofIstio = (kind: string, name: string, spec: object): Manifest => ({
  apiVersion: NETWORKING,
  kind,
  metadata: { name, namespace: 'default' },
  spec,
});
const service: Manifest = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default' },
  spec: { clusterIP: '10.96.0.1', selector: { app: 'web' }, ports: [{ name: 'http', port: PORT }] },
};
const pod = (version: string, more: object = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `web-${version}`, namespace: 'default', labels: { app: 'web', version } },
  spec: { serviceAccountName: 'web', containers: [{ name: 'web', image: 'web' }] },
  status: { phase: 'Running', podIP: '127.0.0.1', ...more },
});
const slice = (version: string, port: number): Manifest => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: `web-${version}`, namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints: [
    {
      addresses: [version === 'v1' ? `${NET}.1` : `${NET}.2`],
      conditions: { ready: true },
      targetRef: { kind: 'Pod', name: `web-${version}`, namespace: 'default' },
    },
  ],
  ports: [{ name: 'http', port }],
});
const rule = (route: object): Manifest => ofIstio('VirtualService', 'web', { hosts: ['web'], http: [route] });
const to = (subset: string): object => ({ route: [{ destination: { host: 'web', subset } }] });

function call(): Promise<string> {
  return new Promise((resolve, reject) => {
    httpRequest({ host: OUT, port: PORT, agent, headers: { host: `web:${PORT}` } }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve(response.statusCode === 200 ? body : String(response.statusCode)));
      response.on('error', reject);
    })
      .on('error', reject)
      .end();
  });
}

async function startApp(host: string, port: number, name: string): Promise<Server> {
  const server = createServer((_request, response) => response.end(name));
  server.listen(port, host);
  await once(server, 'listening');
  return server;
}

describe('a mesh of a cluster', () => {
  const ends: (() => unknown)[] = [];
  let api: FakeKubeApi;
  let envoy: EnvoyPart;
  let plane: Program;
  let xdsPort: number;
  let adminPort: number;
  let kubeconfig: string;
  let appPort: number;
  const flags = (): string[] => [
    'mesh',
    '--kubeconfig',
    kubeconfig,
    '--xds',
    `127.0.0.1:${xdsPort}`,
    '--admin',
    `127.0.0.1:${adminPort}`,
  ];
  const page = async <T>(path: string): Promise<T> =>
    (await (await fetch(`http://127.0.0.1:${adminPort}${path}`)).json()) as T;
  const version = async (): Promise<string> => (await page<{ version: string }>('/mesh')).version;
  const answered = (body: string): Promise<true> => until(async () => (await call().catch(() => '')) === body);

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-mesh-kube-'));
    ends.push(() => rm(folder, { recursive: true, force: true }));
    api = await startFakeKubeApi();
    ends.push(() => api.stop());
    api.token = 'first';
    await writeFile(join(folder, 'token'), 'first');
    kubeconfig = join(folder, 'kubeconfig.yaml');
    await writeFile(
      kubeconfig,
      JSON.stringify({
        'current-context': 'fake',
        contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'sluice' } }],
        clusters: [
          {
            name: 'fake',
            cluster: { server: api.url, 'certificate-authority-data': Buffer.from(api.ca).toString('base64') },
          },
        ],
        users: [{ name: 'sluice', user: { tokenFile: 'token' } }],
      }),
    );
    const one = await startApp(`${NET}.1`, 0, 'v1');
    appPort = (one.address() as AddressInfo).port;
    const other = await startApp(`${NET}.2`, appPort, 'v2');
    for (const server of [one, other])
      ends.push(() => {
        server.closeAllConnections();
        server.close();
      });
    installIstio(api);
    const subsets = ['v1', 'v2'].map((name) => ({ name, labels: { version: name } }));
    put(api, service, pod('v1'), pod('v2'), slice('v1', appPort), slice('v2', appPort));
    put(api, ofIstio('DestinationRule', 'web', { host: 'web', subsets }), rule(to('v1')));
    put(
      api,
      ofIstio('Sidecar', 'client', {
        egress: [
          {
            port: { number: PORT, name: 'http', protocol: 'HTTP' },
            bind: OUT,
            captureMode: 'NONE',
            hosts: ['*/*'],
          },
        ],
      }),
    );
    [xdsPort, adminPort] = [await freePort(), await freePort()];
    const envoyAdmin = await freePort();
    const config = bootstrap({
      id: `sidecar~${NET}.9~client.default~default.svc.cluster.local`,
      xdsPort,
      adminPort: envoyAdmin,
    }) as { node: object };
    Object.assign(config.node, { metadata: { INTERCEPTION_MODE: 'NONE', NAMESPACE: 'default' } });
    // The plane starts while a list is refused: Envoy waits for it.
    api.always = ({ path }) => (path.endsWith('/endpointslices') ? answers(403, 'not for you') : undefined);
    plane = await program(flags(), /cannot be listed/);
    ends.push(() => plane.stop());
    const starting = startEnvoy({ config, adminPort: envoyAdmin });
    await eventually(async () =>
      expect(await page('/readyz')).toEqual({
        ready: false,
        waitingFor: [expect.stringMatching(/^\/apis\/discovery\.k8s\.io\/v1\/endpointslices: .*403: not for you/)],
      }),
    );
    api.always = () => undefined;
    envoy = await starting;
    ends.push(() => envoy.stop());
    await plane.said(/serves 1 service of/);
  });
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test('sends calls where its rules say, and follows them', async () => {
    await answered('v1');
    expect(await page('/readyz')).toEqual({ ready: true });
    put(api, rule(to('v2')));
    await answered('v2');
  });

  test('goes on by the last good version of a rule with an error, and names it', async () => {
    put(api, rule({ rout: [] }));
    const findings = async (): Promise<readonly { at: string; message: string }[]> =>
      (await page<{ findings: readonly { at: string; message: string }[] }>('/mesh')).findings;
    await until(async () => (await findings()).length > 0);
    expect((await findings()).map(({ at, message }) => `${at} ${message}`)).toContain(
      'VirtualService default/web (kubernetes) VirtualService default/web, http.0.rout: unknown key; did you mean route?',
    );
    await plane.said(/an object of the Kubernetes API has errors; its last good version stays in use/);
    put(api, service, slice('v1', appPort)); // the others are followed
    expect(await call()).toBe('v2');
    put(api, rule(to('v1')));
    await answered('v1');
    expect(await findings()).toEqual([]);
  });

  test('loses no call while the API server is away, and while the plane is away, too', async () => {
    const shortLived = { ...service, metadata: { name: 'short-lived', namespace: 'default' } };
    put(api, shortLived);
    const hosts = async (): Promise<readonly string[]> =>
      (await page<{ services: { host: string }[] }>('/mesh')).services.map(({ host }) => host.split('.')[0] ?? '');
    await until(async () => (await hosts()).length === 2);
    let isOver = false;
    const seen = new Map<string, number>();
    const load = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!isOver) {
          const answer = await call().catch((error: unknown) => String(error));
          seen.set(answer, (seen.get(answer) ?? 0) + 1);
          await sleep(1);
        }
      }),
    );
    const { port } = api;
    await api.stop();
    await plane.said(/the last known mesh stays in force/);
    await sleep(500);
    expect(plane.err().match(/the last known mesh stays in force/g)).toHaveLength(1);
    expect(await hosts()).toEqual(['short-lived', 'web']);
    // A plane that starts now has no mesh, and must not show proxies an empty one.
    await plane.stop();
    plane = await program(flags(), /cannot be listed/);
    await sleep(500);
    put(api, rule(to('v2')));
    api.remove('services', shortLived);
    await api.listen(port);
    await answered('v2');
    expect(await hosts()).toEqual(['web']);
    isOver = true;
    await load;
    expect([...seen.keys()].toSorted()).toEqual(['v1', 'v2']);
    expect(seen.get('v1')).toBeGreaterThan(100);
  });

  test('makes few pushes of ten thousand events', async () => {
    const before = Number(await version());
    for (let at = 0; at < 10_000; at++)
      put(api, pod(`crowd-${at % 100}`, { podIP: `10.1.${at >> 8}.${at & 255}`, startTime: String(at) }));
    put(api, rule(to('v1')));
    await answered('v1');
    const pushes = Number(await version()) - before;
    expect(pushes).toBeGreaterThan(0);
    expect(pushes).toBeLessThan(40);
  });

  test('is stopped while it waits for a list, with exit code 0', async () => {
    await plane.stop();
    // A list that is never answered.
    api.always = ({ path }) => (path.endsWith('/pods') ? () => undefined : undefined);
    plane = await program(flags(), /^/);
    const ready = async (): Promise<object> => page<object>('/readyz').catch(() => ({}));
    await until(async () => JSON.stringify(await ready()) === '{"ready":false,"waitingFor":["/api/v1/pods"]}');
    const began = performance.now();
    expect(await plane.stop()).toBe(0);
    expect(performance.now() - began).toBeLessThan(20_000); // the list itself is never answered
    expect(plane.err()).toMatch(/stopping during start/);
    api.always = () => undefined;
    expect(await call()).toBe('v1');
  });
});

test.for([
  [['--kubeconfig', '/nowhere'], 3, /^CLI_KUBERNETES the kubeconfig \/nowhere cannot be read: ENOENT/],
  [['--in-cluster'], 3, /^CLI_KUBERNETES KUBERNETES_SERVICE_HOST is not set/],
  [['--in-cluster', '--kubeconfig', 'a'], 2, /^CLI_USAGE --kubeconfig and --in-cluster exclude each other/],
  [['--context', 'a', 'mesh.yaml'], 2, /^CLI_USAGE --context needs --kubeconfig/],
  [[], 2, /^CLI_USAGE name the files of a mesh, or an API server/],
] as const)('sluice mesh %j ends with %i and says why', async ([args, code, says]) => {
  const ran = await run(['mesh', ...args]);
  expect([ran.code, ran.err]).toEqual([code, expect.stringMatching(says)]);
});
