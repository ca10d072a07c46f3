/** A gateway, a real Envoy, whose certificates come from Secrets. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SILENT } from '../../src/log/log.ts';
import { ControlPlane } from '../../src/mesh/control-plane.ts';
import { startMeshAdmin, TYPES } from '../../src/serve/mesh/admin.ts';
import { dialGrpc, listen, type Transport } from '../../src/transport/index.ts';
import { XdsServer } from '../../src/xds/index.ts';
import { type Authority, makeAuthority } from '../parts/certificates.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { readMesh } from '../parts/mesh/read-mesh.ts';
import { ADS, SDS, secretsOf } from '../parts/secret-client.ts';
import { type Arrived, startUpstream, type Upstream } from '../parts/upstream.ts';
import { bootstrap } from '../parts/xds-envoy.ts';
import { until } from './sluice.ts';

interface Pair {
  readonly certificate: string;
  readonly key: string;
}

const ends: (() => Promise<unknown>)[] = [];
let authority: Authority;
let ca: string;
let port: number;
let plane: ControlPlane;
let server: XdsServer;
let envoy: EnvoyPart;
let adminUrl: string;
let app: Upstream;
let transport: Transport;
const pairs = new Map<string, Pair>();
const refusals: string[] = [];
const ID = 'router~127.0.0.1~gateway.istio-system~istio-system.svc.cluster.local';
const idOf = (account: string): string => `spiffe://cluster.local/ns/istio-system/sa/${account}`;

async function issue(name: string, names: string): Promise<Pair> {
  const { cert, key } = await authority.issue(name, names);
  const pair = { certificate: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
  pairs.set(name, pair);
  return pair;
}

const secret = (name: string, { certificate, key }: Pair, others: Readonly<Record<string, string>> = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'istio-system' },
    stringData: { 'tls.crt': certificate, 'tls.key': key, ...others },
  });

interface Selection {
  readonly selector: string;
  /** Of the gateway's workload. */
  readonly labels: string;
}
const SELECTED: Selection = { selector: 'istio: ingressgateway', labels: 'istio: ingressgateway' };

const mesh = ({ selector, labels }: Selection): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop }
spec:
  hosts: [shop.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${app.httpPort} } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: ["*.example.com"]
  gateways: [istio-system/front]
  http: [{ route: [{ destination: { host: shop } }] }]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: gateway, namespace: istio-system }
spec: { address: 127.0.0.1, serviceAccount: gateway, labels: { ${labels} } }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: istio-system, labels: { app: web } }
spec: { serviceAccountName: web, containers: [] }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front, namespace: istio-system }
spec:
  selector: { ${selector} }
  servers: ${JSON.stringify(
    [
      ['shop', 'SIMPLE'],
      ['bank', 'MUTUAL'],
      ['gone', 'SIMPLE'],
    ].map(([name, mode]) => ({
      port: { number: port, name: `https-${name}`, protocol: 'HTTPS' },
      bind: '127.0.0.1',
      hosts: [`${name}.example.com`],
      tls: { mode, credentialName: name },
    })),
  )}
`;

let version = 0;
const apply = (...secrets: readonly string[]): Promise<void> => applySelected(SELECTED, ...secrets);
async function applySelected(selection: Selection, ...secrets: readonly string[]): Promise<void> {
  const { mesh: next, findings } = await readMesh(
    { 'mesh.yaml': [mesh(selection), ...secrets].join('\n---\n') },
    { identities: { trustDomain: 'cluster.local', trustDomainAliases: [] } },
  );
  expect(findings).toEqual([]);
  plane.use(next, String(++version));
  server.changed();
  await until('the gateway to have the newest state', () =>
    server.proxies().some((one) => one.isSynced && one.version === String(version)),
  );
}

const tlsOf = (name: string, own?: Pair): ConnectionOptions => ({
  host: '127.0.0.1',
  port,
  servername: `${name}.example.com`,
  ca,
  ...(own === undefined ? {} : { cert: own.certificate, key: own.key }),
});

/** The certificate of the server, by a handshake of its own. */
async function certificateOf(name: string): Promise<string> {
  const socket = connect(tlsOf(name));
  await once(socket, 'secureConnect');
  const { raw } = socket.getPeerCertificate();
  socket.destroy();
  return new X509Certificate(raw).toString();
}

const call = (
  name: string,
  options: {
    readonly own?: Pair;
    readonly agent?: Agent;
    readonly headers?: Readonly<Record<string, string>>;
    readonly path?: string;
  } = {},
): Promise<Arrived> =>
  new Promise((resolve, reject) => {
    const { own, agent = new Agent(), headers = {}, path = '/' } = options;
    request({ ...tlsOf(name, own), agent, path, headers: { host: `${name}.example.com`, ...headers } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text) as Arrived);
        else reject(new Error(`status ${response.statusCode}: ${text}`));
      });
    })
      .on('error', reject)
      .end();
  });

beforeAll(async () => {
  authority = await makeAuthority();
  ends.push(() => authority.remove());
  ca = await readFile(authority.ca, 'utf8');
  app = await startUpstream();
  ends.push(() => app.stop());
  port = await freePort();
  const adminPort = await freePort();
  const first = await readMesh({ 'mesh.yaml': mesh(SELECTED) });
  plane = new ControlPlane(first.mesh, '0', {
    onCredentialsRefused: ({ identity }, refused) =>
      refusals.push(...refused.map(({ credential, why }) => `${identity} ${credential}: ${why}`)),
  });
  // The gateway proves what it is by its connection; others name their service account.
  server = new XdsServer({
    source: plane,
    authenticate: async (context) => idOf(context.metadata('account') ?? 'gateway'),
  });
  transport = await listen(server.methods, {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  ends.push(() => transport.drain(200));
  const admin = await startMeshAdmin({
    host: '127.0.0.1',
    port: 0,
    plane,
    proxies: () => server.proxies(),
    loading: () => ({
      atMs: 0,
      waitingFor: [],
      findings: [],
      refusal: undefined,
      loads: { loaded: 1, refused: 0 },
      kubernetes: undefined,
    }),
    families: [],
    log: SILENT,
  });
  ends.push(() => admin.close());
  adminUrl = `http://127.0.0.1:${admin.port}`;
  const config = bootstrap({
    id: ID,
    xdsPort: transport.port,
    adminPort,
  }) as { node: object };
  // No service here takes mutual TLS, so the gateway needs no certificate of its own.
  Object.assign(config.node, { metadata: { LABELS: { istio: 'ingressgateway' }, NAMESPACE: 'istio-system' } });
  envoy = await startEnvoy({ config, adminPort });
  ends.push(() => envoy.stop());
});
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

test('each server has the certificate of its Secret; one without a Secret is left out, and the others serve', async () => {
  const shop = await issue('shop', 'DNS:shop.example.com');
  await apply(
    secret('shop', shop),
    secret('bank', await issue('bank', 'DNS:bank.example.com'), { 'ca.crt': ca }),
    secret('gone', { ...shop, key: 'of no use' }),
  );
  expect((await call('shop')).headers['host']).toBe('shop.example.com');
  expect(await certificateOf('shop')).toBe(shop.certificate);
  await expect(call('gone')).rejects.toThrow(/ECONNRESET|socket disconnected/);
});

test('MUTUAL asks for a certificate of its CA; the application knows the client by what the gateway has verified alone', async () => {
  await expect(call('bank')).rejects.toThrow(/certificate required|ECONNRESET|socket hang up/);
  const forged = { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/default/sa/admin' };
  const arrived = await call('bank', {
    own: await issue('client', 'URI:spiffe://example.com/client'),
    headers: forged,
  });
  expect(arrived.headers['x-forwarded-client-cert']).toMatch(
    /^Hash=[0-9a-f]{64};Subject="CN=client";URI=spiffe:\/\/example\.com\/client$/,
  );
  expect((await call('shop', { headers: forged })).headers['x-forwarded-client-cert']).toBeUndefined();
});

test('a changed Secret is in force for the next handshake, and connections that are open go on', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await call('shop', { agent });
  const [socket] = Object.values(agent.freeSockets).flat();
  const slow = call('shop', { agent, path: '/?ms=1500' });
  const next = await issue('shop-2', 'DNS:shop.example.com');
  const bank = pairs.get('bank') as Pair;
  await apply(secret('shop', next), secret('bank', bank, { 'ca.crt': ca }));
  await until('the new certificate', async () => (await certificateOf('shop')) === next.certificate);
  await slow;
  await call('shop', { agent });
  expect(Object.values(agent.freeSockets).flat()).toEqual([socket]);
  agent.destroy();
  const stats = await envoy.stats();
  expect(stats['listener_manager.total_filter_chains_draining'] ?? 0).toBe(0);
  expect(stats['listener_manager.listener_modified']).toBe(0);
});

test('a Secret that goes bad takes its server away, and only that', async () => {
  await apply(secret('bank', pairs.get('bank') as Pair, { 'ca.crt': ca }));
  await until('no server for shop', () =>
    call('shop').then(
      () => false,
      () => true,
    ),
  );
  expect((await call('bank', { own: pairs.get('client') as Pair })).headers['host']).toBe('bank.example.com');
});

/** Names of the secrets that this service account gets, which says that it is the gateway. */
async function secretsFor(account: string, path: string): Promise<readonly string[]> {
  const client = dialGrpc(`127.0.0.1:${transport.port}`);
  const over = new AbortController();
  try {
    const first = secretsOf(client, {
      path,
      names: ['kubernetes://shop'],
      id: ID,
      metadata: { account },
      nodeMetadata: { LABELS: { istio: 'ingressgateway' }, NAMESPACE: 'istio-system' },
      signal: over.signal,
    }).next();
    const got = await Promise.race([first, sleep(500, undefined)]);
    return got?.value === undefined ? [] : (got.value as readonly { name: string }[]).map(({ name }) => name);
  } finally {
    over.abort();
    client.close();
  }
}

test.for([ADS, SDS])(
  'an impostor of the same namespace that says it is the gateway gets no secret: %s',
  async (path) => {
    await apply(secret('shop', pairs.get('shop') as Pair));
    refusals.length = 0;
    expect(await secretsFor('gateway', path)).toEqual(['kubernetes://shop']);
    expect(refusals).toEqual([]);
    expect(await secretsFor('web', path)).toEqual([]);
    expect(await secretsFor('stranger', path)).toEqual([]);
    const of = (account: string): string | undefined =>
      refusals.find((line) => line.startsWith(`${idOf(account)} istio-system/shop`));
    expect(of('web')).toContain('none has the labels istio=ingressgateway (Gateway istio-system/front)');
    expect(of('stranger')).toContain('no Pod or WorkloadEntry in the namespace istio-system has the service account');
  },
);

test('a gateway keeps its credential while its labels and its Gateway change, and loses it with the last selection', async () => {
  const own = secret('shop', pairs.get('shop') as Pair);
  await apply(own);
  await call('shop');
  refusals.length = 0;
  const labels = 'istio: ingressgateway, tier: "2"';
  await applySelected({ selector: 'istio: ingressgateway', labels }, own);
  await call('shop');
  await applySelected({ selector: '', labels }, own);
  expect((await call('shop')).headers['host']).toBe('shop.example.com');
  expect(refusals).toEqual([]);

  await applySelected({ selector: 'istio: ingressgateway', labels: 'app: web' }, own);
  await until('no server for shop', () =>
    call('shop').then(
      () => false,
      () => true,
    ),
  );
  expect(refusals.filter((line) => line.includes('istio-system/shop'))).toHaveLength(1);
  const page = (await (await fetch(`${adminUrl}/mesh/proxies`)).json()) as { proxies: object[] };
  expect(page.proxies).toMatchObject([
    {
      identity: idOf('gateway'),
      refusedCredentials: expect.arrayContaining([expect.objectContaining({ credential: 'istio-system/shop' })]),
    },
  ]);

  await apply(own);
  await until('the server of shop', () =>
    call('shop').then(
      () => true,
      () => false,
    ),
  );
});

test('no page of the admin port has a key', async () => {
  const pages = [
    '/mesh',
    '/mesh/proxies',
    ...Object.keys(TYPES).map((type) => `/mesh/proxies/gateway.istio-system/${type}`),
  ];
  for (const page of pages) {
    const response = await fetch(`${adminUrl}${page}`);
    expect([page, response.status]).toEqual([page, 200]);
    expect(await response.text()).not.toMatch(/PRIVATE KEY/);
  }
});
