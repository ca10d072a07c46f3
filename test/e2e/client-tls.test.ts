/** A sidecar, a real Envoy, that calls servers by TLS as DestinationRules say: which of them it takes. */
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ControlPlane } from '../../src/mesh/control-plane.ts';
import { listen } from '../../src/transport/index.ts';
import { XdsServer } from '../../src/xds/index.ts';
import { type Authority, makeAuthority } from '../parts/certificates.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { readMesh } from '../parts/mesh/read-mesh.ts';
import { bootstrap } from '../parts/xds-envoy.ts';
import { until } from './sluice.ts';

const ends: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

/** By name of the host, without its domain. */
const ports = new Map<string, number>();
let plane: ControlPlane;
let servers: readonly XdsServer[];
let xdsPort: number;
/** The same discovery service, at which proxies have proven their identity. */
let securePort: number;
let known: Authority;
/** Where the sidecars take calls; the services have it, too. */
let egressPort: number;

type Pair = Awaited<ReturnType<Authority['issue']>>;

/** `ca`: of the certificates that it asks clients for. */
async function startServer(name: string, { cert, key }: Pair, ca?: string) {
  const https: Server = createServer(
    {
      cert: await readFile(cert),
      key: await readFile(key),
      ...(ca === undefined ? {} : { ca: await readFile(ca), requestCert: true, rejectUnauthorized: true }),
    },
    (_, response) => response.end(name),
  );
  https.listen(0, '127.0.0.1');
  await once(https, 'listening');
  ports.set(name, (https.address() as AddressInfo).port);
  ends.push(async () => {
    https.closeAllConnections();
    https.close();
  });
}

const API = 'apiVersion: networking.istio.io/v1';
const entry = (name: string): string => `
---
${API}
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: ${egressPort}, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${ports.get(name)} } }]
`;
const rule = (tls: string): string => `
---
${API}
kind: DestinationRule
metadata: { name: all }
spec: { host: "*.example.com", trafficPolicy: { tls: ${tls} } }
`;
/** Their addresses for calls of their applications. */
const SIDECARS = { verifying: '127.0.0.1', rootless: '127.0.0.2', chosen: '127.0.0.3' } as const;
type SidecarName = keyof typeof SIDECARS;
const sidecar = ([name, bind]: readonly [string, string]): string => `
---
${API}
kind: Sidecar
metadata: { name: ${name} }
spec:
  workloadSelector: { labels: { app: ${name} } }
  egress: [{ port: { number: ${egressPort}, name: http, protocol: HTTP }, bind: ${bind}, captureMode: NONE, hosts: ["*/*"] }]
`;

let version = 0;
async function apply(text: string): Promise<void> {
  const { mesh, findings } = await readMesh({
    'mesh.yaml': [...Object.entries(SIDECARS).map(sidecar), ...[...ports.keys()].map(entry), text].join('\n'),
  });
  expect(findings).toEqual([]);
  plane.use(mesh, String(++version));
  for (const server of servers) server.changed();
  const proxies = () => servers.flatMap((server) => server.proxies());
  await until('the proxies to have the newest state', () =>
    proxies().every((one) => one.isSynced && one.version === String(version)),
  );
}

async function startSidecar(name: SidecarName, metadata: object, port = xdsPort): Promise<EnvoyPart> {
  const adminPort = await freePort();
  const config = bootstrap({
    id: `sidecar~127.0.0.1~${name}.default~default.svc.cluster.local`,
    xdsPort: port,
    adminPort,
  }) as { node: object };
  Object.assign(config.node, {
    metadata: { NAMESPACE: 'default', INTERCEPTION_MODE: 'NONE', LABELS: { app: name }, ...metadata },
  });
  const envoy = await startEnvoy({ config, adminPort });
  ends.push(() => envoy.stop());
  return envoy;
}

/** The status, and the text of an answer of 200. */
const call = (name: string, from: SidecarName = 'verifying'): Promise<string> =>
  new Promise((resolve, reject) => {
    const to = { host: SIDECARS[from], port: egressPort, path: '/', headers: { host: `${name}.example.com` } };
    request(to, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(response.statusCode === 200 ? `200 ${text}` : String(response.statusCode)));
    })
      .on('error', reject)
      .end();
  });

beforeAll(async () => {
  known = await makeAuthority();
  const foreign = await makeAuthority();
  ends.push(
    () => known.remove(),
    () => foreign.remove(),
  );
  await startServer('good', await known.issue('good', 'DNS:good.example.com'));
  await startServer('foreign', await foreign.issue('foreign', 'DNS:foreign.example.com'));
  await startServer('misnamed', await known.issue('misnamed', 'DNS:other.example.com'));
  egressPort = await freePort();
  await startServer('mutual', await known.issue('mutual', 'DNS:mutual.example.com'), foreign.ca);
  clientPair = await foreign.issue('client', 'DNS:client.example.com');
  plane = new ControlPlane((await readMesh({})).mesh, '0');
  servers = [
    new XdsServer({ source: plane }),
    new XdsServer({
      source: plane,
      authenticate: async () => 'spiffe://cluster.local/ns/default/sa/web',
    }),
  ];
  [xdsPort, securePort] = (await Promise.all(servers.map(listenFor))) as [number, number];
  await startSidecar('verifying', { SYSTEM_ROOTS: known.ca });
  await startSidecar('rootless', {});
  await startSidecar('chosen', {}, securePort);
});

let clientPair: Pair;

async function listenFor({ methods }: XdsServer): Promise<number> {
  const transport = await listen(methods, {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  ends.push(() => transport.drain(200));
  return transport.port;
}

test('without caCertificates a server is taken that an authority of the operating system has certified for its host', async () => {
  await apply(rule('{ mode: SIMPLE }'));
  expect(await call('good')).toBe('200 good');
  expect(await call('foreign')).toBe('503');
  expect(await call('misnamed')).toBe('503');
});

test('a proxy without a file of CA certificates calls nobody', async () => {
  expect(await call('good', 'rootless')).toBe('503');
});

test('a rule may state another name', async () => {
  await apply(rule('{ mode: SIMPLE, subjectAltNames: [other.example.com] }'));
  expect(await call('misnamed')).toBe('200 misnamed');
  expect(await call('good')).toBe('503');
});

test('with insecureSkipVerify any server is taken', async () => {
  await apply(rule('{ mode: SIMPLE, insecureSkipVerify: true }'));
  for (const name of ['good', 'foreign', 'misnamed']) {
    expect(await call(name)).toBe(`200 ${name}`);
    expect(await call(name, 'rootless')).toBe(`200 ${name}`);
  }
});

describe('a credential of a Secret', () => {
  const secret = (files: Readonly<Record<string, string>>): string =>
    `\n---\n${JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'bank' }, stringData: files })}`;
  const POD = `
---
apiVersion: v1
kind: Pod
metadata: { name: chosen, labels: { app: chosen } }
spec: { serviceAccountName: web, containers: [] }
`;
  const selecting = (tls: string, selector = '{ app: chosen }'): string => `
---
${API}
kind: DestinationRule
metadata: { name: chosen }
spec: { host: "*.example.com", workloadSelector: { matchLabels: ${selector} }, trafficPolicy: { tls: ${tls} } }
`;
  const files = async (): Promise<Record<string, string>> => ({
    'tls.crt': await readFile(clientPair.cert, 'utf8'),
    'tls.key': await readFile(clientPair.key, 'utf8'),
    'ca.crt': await readFile(known.ca, 'utf8'),
  });

  test('is presented to the server, and verifies it, by a workload that the rule selects', async () => {
    await apply(selecting('{ mode: MUTUAL, credentialName: bank }') + POD + secret(await files()));
    expect(await call('mutual', 'chosen')).toBe('200 mutual');
    expect(await call('good', 'chosen')).toBe('200 good');
    expect(await call('foreign', 'chosen')).toBe('503');
  });

  test('of mode SIMPLE verifies the server alone, by a Secret that has no key', async () => {
    const { 'ca.crt': ca = '' } = await files();
    await apply(selecting('{ mode: SIMPLE, credentialName: bank }') + POD + secret({ 'ca.crt': ca }));
    expect(await call('good', 'chosen')).toBe('200 good');
    expect(await call('mutual', 'chosen')).toBe('503');
  });

  test('is not given to a proxy whose identity no such workload has, nor at the plain port; its calls are refused', async () => {
    await apply(selecting('{ mode: MUTUAL, credentialName: bank }', '{}') + secret(await files()));
    expect(await call('mutual', 'chosen')).toBe('503');
    expect(await call('good', 'verifying')).toBe('503');
  });

  test('that is removed stops calls, and one that comes back starts them', async () => {
    const rule = selecting('{ mode: MUTUAL, credentialName: bank }') + POD;
    await apply(rule);
    expect(await call('mutual', 'chosen')).toBe('503');
    await apply(rule + secret(await files()));
    expect(await call('mutual', 'chosen')).toBe('200 mutual');
  });
});
