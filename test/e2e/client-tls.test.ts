/** A sidecar, a real Envoy, that calls servers by TLS as DestinationRules say: which of them it takes. */
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ControlPlane } from '../../src/mesh/control-plane.ts';
import { listen } from '../../src/transport/index.ts';
import { XdsServer } from '../../src/xds/index.ts';
import { makeAuthority } from '../parts/certificates.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { readMesh } from '../parts/mesh/read-mesh.ts';
import { bootstrap } from '../parts/xds-envoy.ts';
import { until as untilFound } from './sluice.ts';

const ends: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

/** By name of the host, without its domain. */
const ports = new Map<string, number>();
let plane: ControlPlane;
let server: XdsServer;
let xdsPort: number;
/** Where the sidecars take calls; the services have it, too. */
let egressPort: number;

async function startServer(name: string, { cert, key }: { readonly cert: string; readonly key: string }) {
  const https: Server = createServer({ cert: await readFile(cert), key: await readFile(key) }, (_, response) =>
    response.end(name),
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
const SIDECARS = { verifying: '127.0.0.1', rootless: '127.0.0.2' } as const;
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
  server.changed();
  await untilFound('the proxies to have the newest state', async () =>
    server.proxies().every((one) => one.isSynced && one.version === String(version)) ? true : undefined,
  );
}

async function startSidecar(name: SidecarName, metadata: object): Promise<EnvoyPart> {
  const adminPort = await freePort();
  const config = bootstrap({
    id: `sidecar~127.0.0.1~${name}.default~default.svc.cluster.local`,
    xdsPort,
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
  const [known, foreign] = [await makeAuthority(), await makeAuthority()];
  ends.push(
    () => known.remove(),
    () => foreign.remove(),
  );
  await startServer('good', await known.issue('good', 'DNS:good.example.com'));
  await startServer('foreign', await foreign.issue('foreign', 'DNS:foreign.example.com'));
  await startServer('misnamed', await known.issue('misnamed', 'DNS:other.example.com'));
  egressPort = await freePort();
  plane = new ControlPlane((await readMesh({})).mesh, '0');
  server = new XdsServer({ source: plane });
  const transport = await listen(server.methods, {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  ends.push(() => transport.drain(200));
  xdsPort = transport.port;
  await startSidecar('verifying', { SYSTEM_ROOTS: known.ca });
  await startSidecar('rootless', {});
});

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
  for (const name of ports.keys()) {
    expect(await call(name)).toBe(`200 ${name}`);
    expect(await call(name, 'rootless')).toBe(`200 ${name}`);
  }
});
