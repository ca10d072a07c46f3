/** `sluice mesh --secure` with the two kinds of proxies: one with an agent (`sluice sidecar`), one whose stream brings its secrets. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startEnvoy } from '../parts/envoy.ts';
import { envoyProgram } from '../parts/fetch.ts';
import { freeNet, freePort } from '../parts/free-port.ts';
import { ISSUER, tokenIssuer } from '../parts/identity/secure-port.ts';
import { expectNoneLost, type LoadAnswer, lastingLoad } from '../parts/lasting-load.ts';
import { serviceEntry } from '../parts/mesh/service-entry.ts';
import { startUpstream } from '../parts/upstream.ts';
import { bootstrap } from '../parts/xds-envoy.ts';
import { program } from './command.ts';
import { until } from './sluice.ts';

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const NET = await freeNet();
const IN = { reviews: `${NET}.1`, ratings: `${NET}.2` };
const OUT = { reviews: `${NET}.101`, ratings: `${NET}.102` };
type Name = keyof typeof IN;
const NAMES = ['reviews', 'ratings'] as const;
const PORT = 9080;

const endpointOf = (name: Name): object => ({
  address: IN[name],
  labels: { app: name, 'security.istio.io/tlsMode': 'istio' },
  serviceAccount: name,
});

const objects = (appPort: number): string =>
  [
    `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: short-connections }
spec:
  host: "*.default.svc.cluster.local"
  trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 5 } } }
`,
    ...NAMES.map(
      (name) => `${serviceEntry(name, [endpointOf(name)])}---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: ${name} }
spec:
  workloadSelector: { labels: { app: ${name} } }
  ingress: [{ port: { number: ${PORT}, name: http, protocol: HTTP }, bind: ${IN[name]}, captureMode: NONE, defaultEndpoint: "127.0.0.1:${appPort}" }]
  egress: [{ port: { number: ${PORT}, name: http, protocol: HTTP }, bind: ${OUT[name]}, captureMode: NONE, hosts: ["*/*"] }]
`,
    ),
  ].join('---');

const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const call = (from: Name, to: Name): Promise<LoadAnswer> =>
  new Promise((resolve, reject) => {
    get({ host: OUT[from], port: PORT, agent, path: '/', headers: { host: to } }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body })).on('error', reject);
    }).on('error', reject);
  });

test('both get the certificates of their identities, which are renewed under load without a lost request', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-agent-mesh-'));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  const path = (name: string): string => join(folder, name);
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  const issuer = await tokenIssuer();
  await writeFile(path('mesh.yaml'), objects(upstream.httpPort));
  await writeFile(path('mesh-config.yaml'), `accessLogFile: ${path('calls.log')}\n`);
  await writeFile(path('jwks.json'), JSON.stringify(issuer.jwks));
  await writeFile(path('reviews.token'), await issuer.token('default:reviews'));
  const [securePort, meshAdmin, ...admins] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const flagsOf = (flags: Readonly<Record<string, string>>): readonly string[] =>
    Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const plane = await program(
    [
      'mesh',
      path('mesh.yaml'),
      ...flagsOf({
        xds: '127.0.0.1:0',
        admin: `127.0.0.1:${meshAdmin}`,
        secure: `127.0.0.1:${securePort}`,
        'ca-folder': path('ca'),
        'workload-cert-ttl': '12s',
        meshConfigFile: path('mesh-config.yaml'),
        jwks: path('jwks.json'),
        'token-issuer': ISSUER,
      }),
    ],
    /Ctrl-C stops it/,
  );
  ends.push(() => plane.stop());

  const reviews = await program(
    [
      'sidecar',
      ...flagsOf({
        caAddress: `127.0.0.1:${securePort}`,
        caCertificates: path('ca/root-cert.pem'),
        tokenFile: path('reviews.token'),
        binaryPath: await envoyProgram(),
        proxyAdminPort: String(admins[0]),
        drainDuration: '0s',
        concurrency: '1',
      }),
    ],
    /starts Envoy/,
    {
      env: {
        POD_NAME: 'reviews-v1',
        POD_NAMESPACE: 'default',
        INSTANCE_IP: IN.reviews,
        SERVICE_ACCOUNT: 'reviews',
        ISTIO_META_INTERCEPTION_MODE: 'NONE',
        ISTIO_METAJSON_LABELS: '{"app":"reviews"}',
      },
    },
  );
  ends.push(() => reviews.stop());
  const ratings = await startEnvoy({
    adminPort: admins[1] ?? 0,
    config: withToken(
      bootstrap({
        id: `sidecar~${IN.ratings}~ratings-v1.default~default.svc.cluster.local`,
        xdsPort: securePort,
        adminPort: admins[1] ?? 0,
      }),
      await issuer.token('default:ratings'),
      path('ca/root-cert.pem'),
    ),
  });
  ends.push(() => ratings.stop());
  const page = async (at: string): Promise<string> => (await fetch(`http://127.0.0.1:${meshAdmin}${at}`)).text();
  const calls = [
    ['reviews', 'ratings'],
    ['ratings', 'reviews'],
  ] as const;
  for (const [from, to] of calls)
    await until(`${from} calls ${to}`, async () =>
      (await call(from, to).catch(() => undefined))?.status === 200 ? true : undefined,
    );

  const failuresLogged = (): readonly string[] =>
    readFileSync(path('calls.log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('" 5'));
  const load = lastingLoad((client) => (client % 2 === 0 ? call('reviews', 'ratings') : call('ratings', 'reviews')));
  const renewals = async (): Promise<number> =>
    Number((JSON.parse(await page('/mesh/identity')) as { issued: number }).issued);
  const before = await renewals();
  // One of the two is renewed twice. Half of a lifetime is left for each, since a busy machine takes seconds.
  await until('three renewals', async () => ((await renewals()) >= before + 3 ? true : undefined));
  await expectNoneLost(load, { ratings }, { logged: failuresLogged });

  // What operators see has no key.
  const pages = ['/mesh', '/mesh/identity', '/mesh/proxies'];
  const types = ['clusters', 'endpoints', 'listeners', 'routes'];
  for (const name of ['reviews-v1.default', 'ratings-v1.default'])
    pages.push(...types.map((type) => `/mesh/proxies/${name}/${type}`));
  for (const at of pages) expect(await page(at)).not.toMatch(/PRIVATE KEY/);
  expect(JSON.parse(await page('/mesh/proxies/ratings-v1.default/secrets'))).toMatchObject({
    error: expect.any(String),
  });
  for (const log of [plane.err(), plane.out(), reviews.err(), reviews.out(), ratings.printed()])
    expect(log).not.toMatch(/PRIVATE KEY/);
});

/** Its stream to the control plane is by TLS, and proves its identity by a token. */
function withToken(config: object, token: string, rootsFile: string): object {
  const made = structuredClone(config) as {
    node: object;
    dynamic_resources: { ads_config: { grpc_services: object[] } };
    static_resources: { clusters: object[] };
  };
  Object.assign(made.node, { metadata: { LABELS: { app: 'ratings' }, INTERCEPTION_MODE: 'NONE' } });
  Object.assign(made.dynamic_resources.ads_config.grpc_services[0] ?? {}, {
    initial_metadata: [{ key: 'authorization', value: `Bearer ${token}` }],
  });
  Object.assign(made.static_resources.clusters[0] ?? {}, {
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        common_tls_context: {
          alpn_protocols: ['h2'],
          validation_context: {
            trusted_ca: { filename: rootsFile },
            match_typed_subject_alt_names: [{ san_type: 'IP_ADDRESS', matcher: { exact: '127.0.0.1' } }],
          },
        },
      },
    },
  });
  return made;
}
