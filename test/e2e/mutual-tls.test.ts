/**
 * Mutual TLS between real Envoys, whose certificates come from the secure port of the control plane: modes, who is let in, whom clients
 * trust, and what Sluice knows of callers.
 */
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, type IncomingHttpHeaders, request as httpRequest } from 'node:http';
import { createServer, request as httpsRequest, type RequestOptions } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startAgent } from '../../src/identity/agent.ts';
import { makeLog, SILENT } from '../../src/log/log.ts';
import { DEFAULT_SETTINGS } from '../../src/mesh/model/mesh.ts';
import { bootstrapOf } from '../../src/mesh/sidecar/bootstrap.ts';
import { type MeshServer, startMeshServer } from '../../src/serve/mesh/server.ts';
import { type Authority, makeAuthority } from '../parts/certificates.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freeNet, freePort } from '../parts/free-port.ts';
import { type Issuer, ISSUER, tokenIssuer } from '../parts/identity/secure-port.ts';
import { expectNoneLost, lastingLoad } from '../parts/lasting-load.ts';
import { provenBy } from '../parts/mesh/proven-by.ts';
import { serviceEntry } from '../parts/mesh/service-entry.ts';
import { idOf, type Issued, issued } from '../parts/mesh/workload-certificates.ts';
import { startUpstream, type Upstream } from '../parts/upstream.ts';
import { run } from './command.ts';
import { serveSluice, type ServedSluice, until } from './sluice.ts';

const NET = await freeNet();
const IN = (at: number): string => `${NET}.${at}`;
const OUT = (at: number): string => `${NET}.${100 + at}`;
const [PORT, SECOND, TCP] = [9080, 9081, 9090];

interface Workload {
  readonly name: string;
  readonly at: number;
  /** Its service account. */
  readonly account: string;
  readonly type?: 'sidecar' | 'router';
  readonly hasAgent?: boolean;
}
const WORKLOADS: readonly Workload[] = [
  { name: 'productpage', at: 1, account: 'bookinfo-productpage' },
  { name: 'reviews', at: 2, account: 'bookinfo-reviews', hasAgent: false },
  { name: 'ratings', at: 3, account: 'bookinfo-ratings' },
];

const GATEWAY: Workload = { name: 'ingress', at: 4, account: 'ingress', type: 'router' };

const PORTS = [
  { number: PORT, name: 'http', protocol: 'HTTP' },
  { number: SECOND, name: 'http-second', protocol: 'HTTP' },
  { number: TCP, name: 'tcp', protocol: 'TCP' },
];

const service = (name: string, endpoints: readonly object[], ports: readonly object[] = PORTS): string =>
  serviceEntry(name, endpoints, ports);

const sidecar = ({ name, at }: Workload, app: Upstream): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: ${name} }
spec:
  workloadSelector: { labels: { app: ${name} } }
  ingress: ${JSON.stringify(
    PORTS.map((port) => ({
      port,
      bind: IN(at),
      captureMode: 'NONE',
      defaultEndpoint: `127.0.0.1:${port.number === TCP ? app.tcpPort : app.httpPort}`,
    })),
  )}
  egress: ${JSON.stringify(PORTS.map((port) => ({ port, bind: OUT(at), captureMode: 'NONE', hosts: ['*/*'] })))}
`;

const ingress = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front }
spec:
  selector: { app: ingress }
  servers: [{ port: { number: ${PORT}, name: http, protocol: HTTP }, bind: ${IN(GATEWAY.at)}, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: front }
spec:
  hosts: ["*"]
  gateways: [front]
  http: [{ route: [{ destination: { host: reviews, port: { number: ${PORT} } } }] }]
`;

const peers = (spec: string, name = 'modes'): string =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
const OF_REVIEWS = 'selector: { matchLabels: { app: reviews } }';

const POLICY = `
handlers:
  lines: { adapter: log-stdout, config: {} }
  counts: { adapter: quota-memory, config: {} }
settings: { istio: { trustDomain: cluster.local } }
rules:
  - name: no-secrets-for-the-page
    match: request.url_path == "/secret" && source.?principal.orValue("") == "cluster.local/ns/default/sa/bookinfo-productpage"
    deny: { status: 418, body: "not for \${source.principal}" }
  - name: two-for-each-caller
    match: ratelimit.descriptor[?"request.path"].orValue("").startsWith("/limited")
    quota:
      handler: counts
      limit: 2
      per: 1h
      key: ['ratelimit.descriptor[?"connection.uri_san_peer_certificate"].orValue("nobody")']
  - name: calls
    report:
      handler: lines
      input: { path: request.path, code: response.code, flags: response.flags, details: response.code_details, principal: 'source.?principal.orValue("-")', called: 'destination.?principal.orValue("-")' }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ratings, namespace: default }
spec:
  selector: { matchLabels: { app: ratings } }
  rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/bookinfo-reviews] } }] }]
`;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
const agent = new Agent({ keepAlive: true, maxSockets: 8 });

const send = (make: typeof httpRequest | typeof httpsRequest, options: RequestOptions): Promise<Answer> =>
  new Promise((resolve, reject) => {
    make(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      response.on('error', reject);
    })
      .on('error', reject)
      .end();
  });

/** A call of a workload's application, through its sidecar. */
const call = (from: number, to: string, path = '/', port = PORT): Promise<Answer> =>
  send(httpRequest, { host: OUT(from), port, path, agent, headers: { host: `${to}:${port}` } });

/** A call without a sidecar, in cleartext. */
const plainly = (to: number, port = PORT, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  send(httpRequest, { host: IN(to), port, path: '/', agent: false, headers: { host: 'x', ...headers } });

/** A call without a sidecar, by TLS. */
const byTls = (to: number, own: Issued | undefined, path = '/'): Promise<Answer> =>
  send(httpsRequest, {
    host: IN(to),
    port: PORT,
    path,
    agent: false,
    servername: 'localhost',
    rejectUnauthorized: false,
    ...(own === undefined ? {} : { cert: own.certificate, key: own.key }),
  });

/** The header by which the application knows who calls. */
const certificateAt = ({ body }: Answer): string | undefined =>
  (JSON.parse(body) as { headers: Record<string, string | undefined> }).headers['x-forwarded-client-cert'];

describe('mutual TLS between members of the mesh', () => {
  const ends: (() => Promise<unknown>)[] = [];
  const envoys = new Map<string, EnvoyPart>();
  let folder: string;
  let authority: Authority;
  let stranger: Authority;
  let plane: MeshServer;
  let policy: ServedSluice;
  let tokens: Issuer;

  const put = (name: string, text: string): Promise<void> => writeFile(join(folder, `${name}.yaml`), text);
  const status = async (): Promise<{ version: string; proxies: { state: string; version: string }[] }> =>
    (await (await fetch(`http://127.0.0.1:${plane.admin?.port}/mesh/proxies`)).json()) as never;
  const synced = (): Promise<true> =>
    until('all proxies to have the newest state', async () => {
      const { version, proxies } = await status();
      return (
        proxies.length === WORKLOADS.length + 1 &&
        proxies.every((one) => one.state === 'synced' && one.version === version)
      );
    });
  /** Lines of failed calls, of the proxies of clients and servers. */
  const failuresLogged = (): readonly string[] =>
    policy.written.filter(({ code }) => Number(code) >= 500).map((line) => JSON.stringify(line));
  /** Brings rules to all proxies. */
  async function apply(rules: string): Promise<void> {
    await put('rules', rules);
    expect(await plane.reload()).toBe(true);
    await synced();
  }

  /** Its certificate comes from an agent, or over the stream of its configuration, where it proves by a token who it is. */
  async function startProxy({ name, at, account, type = 'sidecar', hasAgent = true }: Workload): Promise<void> {
    const [discovery, adminPort] = [securePort(), await freePort()];
    const tokenFile = join(authority.folder, `${name}.token`);
    const token = await tokens.token(`default:${account}`);
    await writeFile(tokenFile, token);
    const socketPath = join(authority.folder, name, 'socket');
    if (hasAgent) {
      const agent = await startAgent({
        address: `127.0.0.1:${discovery.port}`,
        rootsFile: authority.ca,
        tokenFile,
        ttlMs: undefined,
        socketPath,
        log: SILENT,
      });
      ends.push(() => agent.close());
    }
    const config = bootstrapOf({
      member: {
        type,
        address: IN(at),
        pod: name,
        namespace: 'default',
        domain: 'default.svc.cluster.local',
        serviceCluster: name,
        metadata: { LABELS: { app: name }, INTERCEPTION_MODE: 'NONE', SERVICE_ACCOUNT: account },
      },
      discovery,
      sluice: { host: '127.0.0.1', port: policy.grpcPort },
      adminPort,
      connectMs: 1000,
      isDelta: at % 2 === 0,
      ...(hasAgent ? { agent: { socketPath, isDiscoverySecure: true } } : {}),
    });
    const envoy = await startEnvoy({
      config: hasAgent ? config : provenBy(token, authority.ca, config),
      adminPort,
      args: ['--drain-time-s', '5'], // that of sluice sidecar; requests that take longer are cut off
    });
    envoys.set(name, envoy);
    ends.push(() => envoy.stop());
  }

  const securePort = (): { host: string; port: number } => {
    if (plane.secure === undefined || !('port' in plane.secure)) throw new Error('no secure port');
    return { host: '127.0.0.1', port: plane.secure.port as number };
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-mutual-tls-'));
    ends.push(() => rm(folder, { recursive: true, force: true }));
    [authority, stranger] = await Promise.all([makeAuthority(), makeAuthority()]);
    ends.push(() => Promise.all([authority.remove(), stranger.remove()]));
    policy = await serveSluice(POLICY);
    ends.push(() => policy.stop());
    tokens = await tokenIssuer();
    const jwks = join(authority.folder, 'jwks.json');
    await writeFile(jwks, JSON.stringify(tokens.jwks));
    const apps = await Promise.all(WORKLOADS.map(() => startUpstream()));
    ends.push(() => Promise.all(apps.map((app) => app.stop())));
    await put(
      'services',
      WORKLOADS.map(({ name, at, account }) =>
        service(name, [{ address: IN(at), labels: { app: name }, serviceAccount: account }]),
      ).join('---'),
    );
    await put('sidecars', WORKLOADS.map((one, nth) => sidecar(one, apps[nth] as Upstream)).join('---'));
    await put('gateway', ingress);
    await put('rules', peers('{}'));
    plane = await startMeshServer(
      {
        configs: [folder],
        settings: {
          ...DEFAULT_SETTINGS,
          identities: { trustDomain: 'cluster.local', trustDomainAliases: ['old.example'] },
          sluice: {
            cluster: 'sluice',
            checkTimeoutMs: 2000,
            limitTimeoutMs: 1000,
            failOpen: false,
            limitDomain: 'mesh',
          },
        },
        xds: { host: '127.0.0.1', port: 0 },
        secure: {
          address: { host: '127.0.0.1', port: 0 },
          names: [],
          trustDomain: 'cluster.local',
          trustDomainAliases: ['old.example'],
          signing: {
            rootCert: authority.ca,
            signingCert: authority.ca,
            signingKey: join(authority.folder, 'ca.key'),
          },
          ttl: { defaultMs: 3_600_000, maxMs: 7_200_000 },
          jwt: { jwks, issuer: ISSUER },
          audience: 'istio-ca',
          rootConfigMaps: false,
        },
        admin: { host: '127.0.0.1', port: 0 },
        log: makeLog('json', 'error'),
        graceMs: 500,
      },
      new AbortController().signal,
    );
    ends.push(() => plane.drain());
    await Promise.all([...WORKLOADS, GATEWAY].map(startProxy));
    await synced();
  });
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test('PERMISSIVE takes both, and only what the proxy has verified reaches the application', async () => {
    await apply(peers('{ mtls: { mode: PERMISSIVE } }'));
    const inMesh = await call(1, 'reviews');
    expect(inMesh.status).toBe(200);
    expect(certificateAt(inMesh)).toMatch(
      /^By=spiffe:\/\/cluster\.local\/ns\/default\/sa\/bookinfo-reviews;Hash=[0-9a-f]{64};Subject="";URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/bookinfo-productpage$/,
    );
    const outside = await plainly(2, PORT, { 'x-forwarded-client-cert': `URI=${idOf('bookinfo-productpage')}` });
    expect([outside.status, certificateAt(outside)]).toEqual([200, undefined]);
  });

  test('STRICT refuses cleartext, and a client without a certificate or with one of another authority', async () => {
    await apply(peers('{ mtls: { mode: STRICT } }'));
    expect((await call(1, 'reviews')).status).toBe(200);
    await expect(plainly(2)).rejects.toThrow(/ECONNRESET|socket hang up/);
    const own = await issued(authority, 'bookinfo-productpage');
    expect((await byTls(2, own)).status).toBe(200);
    expect((await byTls(2, await issued(authority, 'spiffe://old.example/ns/default/sa/a'))).status).toBe(200);
    for (const other of [
      undefined,
      await issued(stranger, 'bookinfo-productpage'),
      await issued(authority, 'spiffe://other.example/ns/default/sa/bookinfo-productpage'),
    ])
      await expect(byTls(2, other)).rejects.toThrow(/alert|ECONNRESET|socket hang up|EPIPE/);
  });

  test('a connection in cleartext that is open when STRICT comes ends within the drain time', async () => {
    await apply(peers('{ mtls: { mode: PERMISSIVE } }'));
    const plain = new Agent({ keepAlive: true, maxSockets: 1 });
    const again = (): Promise<Answer> =>
      send(httpRequest, { host: IN(2), port: PORT, path: '/', agent: plain, headers: { host: 'x' } });
    expect((await again()).status).toBe(200);
    const silent = connect({ host: IN(2), port: TCP });
    silent.write('hello');
    await once(silent, 'data');
    const ended = new Promise((resolve) => silent.on('error', resolve).on('close', resolve));
    await apply(peers('{ mtls: { mode: STRICT } }'));
    await until('the end of calls in cleartext', () =>
      again().then(
        () => false,
        () => true,
      ),
    );
    await ended;
    plain.destroy();
  });

  test('DISABLE takes cleartext alone, also from members of the mesh', async () => {
    await apply(peers('{ mtls: { mode: DISABLE } }'));
    const inMesh = await call(1, 'reviews');
    expect([inMesh.status, certificateAt(inMesh)]).toEqual([200, undefined]);
    expect((await plainly(2)).status).toBe(200);
    await expect(byTls(2, await issued(authority, 'bookinfo-productpage'))).rejects.toThrow();
  });

  test('ports of a workload have modes of their own', async () => {
    await apply(
      [
        peers('{ mtls: { mode: DISABLE } }'),
        peers(`{ ${OF_REVIEWS}, mtls: { mode: STRICT }, portLevelMtls: { ${SECOND}: { mode: DISABLE } } }`, 'reviews'),
      ].join('---\n'),
    );
    await expect(plainly(2)).rejects.toThrow(/ECONNRESET|socket hang up/);
    expect((await plainly(2, SECOND)).status).toBe(200);
    expect((await plainly(1)).status).toBe(200);
    expect(certificateAt(await call(1, 'reviews'))).toContain('bookinfo-productpage');
    expect(certificateAt(await call(1, 'reviews', '/', SECOND))).toBeUndefined();
    expect(certificateAt(await call(2, 'productpage', '/', SECOND))).toBeUndefined();
  });

  test('a port that is no HTTP takes TLS of the application, too, while it is PERMISSIVE', async () => {
    const echo = async (host: string): Promise<string> => {
      const socket = connect({ host, port: TCP });
      socket.on('error', () => socket.destroy());
      socket.write('hello');
      const [data] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      return data.toString();
    };
    await apply(peers('{ mtls: { mode: PERMISSIVE } }'));
    expect([await echo(OUT(1)), await echo(IN(2))]).toEqual(['hello', 'hello']);
    // The echo of a ClientHello is no ServerHello, so the handshake fails at the client: Envoy has passed it on.
    const socket = connectTls({ host: IN(2), port: TCP, servername: 'localhost', rejectUnauthorized: false });
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toMatch(/unexpected message|wrong version|record/i);
    await apply(peers('{ mtls: { mode: STRICT } }'));
    expect(await echo(OUT(1))).toBe('hello');
    const refused = connect({ host: IN(2), port: TCP });
    refused.write('hello');
    await new Promise((resolve) => refused.on('error', resolve).on('close', resolve));
    expect(refused.bytesRead).toBe(0);
  });

  test('a change from PERMISSIVE to STRICT and back loses no request', async () => {
    const load = lastingLoad(() => call(1, 'reviews'), {
      keyOf: (answer) => (certificateAt(answer) === undefined ? 'plain' : 'tls'),
    });
    let served = 0;
    for (const mode of ['PERMISSIVE', 'STRICT', 'PERMISSIVE', 'STRICT', 'PERMISSIVE']) {
      await apply(peers(`{ mtls: { mode: ${mode} } }`));
      served += 50;
      await until(`${served} answers`, () => load.answered > served);
    }
    await expectNoneLost(load, Object.fromEntries(envoys), { keys: ['tls'], logged: failuresLogged });
  });

  test('a change from and to DISABLE loses no request either, while a rule keeps clients in cleartext', async () => {
    const load = lastingLoad(() => call(1, 'reviews'));
    const inCleartext = `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: reviews }\nspec: { host: reviews, trafficPolicy: { tls: { mode: DISABLE } } }\n`;
    const [permissive, disabled] = [peers('{ mtls: { mode: PERMISSIVE } }'), peers('{ mtls: { mode: DISABLE } }')];
    for (const rules of [
      permissive,
      `${permissive}---\n${inCleartext}`,
      `${disabled}---\n${inCleartext}`,
      `${permissive}---\n${inCleartext}`,
      permissive,
    ])
      await apply(rules);
    await expectNoneLost(load, Object.fromEntries(envoys), { logged: failuresLogged });
  });

  test('a client refuses a service whose certificate is of the same authority and another service account', async () => {
    const port = await freePort();
    const address = IN(9);
    const roots = await readFile(authority.ca, 'utf8');
    const impersonate = async (account: string): Promise<() => Promise<unknown>> => {
      const own = await issued(authority, account);
      const server = createServer(
        { cert: own.certificate, key: own.key, ca: roots, requestCert: true },
        (_request, response) => response.end(account),
      ).listen(port, address);
      server.on('tlsClientError', () => undefined);
      await once(server, 'listening');
      return async () => {
        server.closeAllConnections();
        server.close();
        await once(server, 'close');
      };
    };
    const known = service(
      'vault',
      [{ address, serviceAccount: 'vault', ports: { http: port } }],
      [{ number: PORT, name: 'http', protocol: 'HTTP' }],
    );
    await apply(`${peers('{ mtls: { mode: STRICT } }')}---${known}`);
    const endTrue = await impersonate('vault');
    expect(await call(1, 'vault')).toMatchObject({ status: 200, body: 'vault' });
    await endTrue();
    const endFalse = await impersonate('bookinfo-ratings');
    expect((await call(1, 'vault')).status).toBe(503);
    await endFalse();
    const stats = await envoys.get('productpage')?.stats();
    expect(stats?.['cluster.outbound|9080||vault.default.svc.cluster.local.ssl.fail_verify_san']).toBeGreaterThan(0);
  });

  test('rules of clients: DISABLE goes in cleartext, ISTIO_MUTUAL with the names that it states', async () => {
    const rule = (tls: string, http = '{}'): string =>
      `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: reviews }\nspec: { host: reviews, trafficPolicy: { tls: ${tls}, connectionPool: { http: ${http} } } }\n`;
    await apply(`${peers('{ mtls: { mode: PERMISSIVE } }')}---\n${rule('{ mode: DISABLE }')}`);
    expect(certificateAt(await call(1, 'reviews'))).toBeUndefined();
    await apply(rule('{ mode: ISTIO_MUTUAL }'));
    expect(certificateAt(await call(1, 'reviews'))).toContain('bookinfo-productpage');
    for (const http of ['{ h2UpgradePolicy: UPGRADE }', '{ useClientProtocol: true }']) {
      await apply(rule('{ mode: ISTIO_MUTUAL }', http));
      expect(certificateAt(await call(1, 'reviews'))).toContain('bookinfo-productpage');
    }
    await apply(rule(`{ mode: ISTIO_MUTUAL, subjectAltNames: ["${idOf('bookinfo-ratings')}"] }`));
    expect((await call(1, 'reviews')).status).toBe(503);
  });

  test('Sluice knows the caller by its certificate: in checks, limits and logs', async () => {
    await apply(peers('{ mtls: { mode: PERMISSIVE } }'));
    expect(await call(1, 'reviews', '/secret')).toMatchObject({
      status: 418,
      body: 'not for cluster.local/ns/default/sa/bookinfo-productpage',
    });
    expect((await call(3, 'reviews', '/secret')).status).toBe(200);
    const limited = async (from: number): Promise<number> => (await call(from, 'reviews', '/limited')).status;
    expect([await limited(1), await limited(1), await limited(1), await limited(3)]).toEqual([200, 200, 429, 200]);
    await until('the log of the call', () =>
      policy.written.some(
        ({ path, code, principal, called }) =>
          path === '/secret' &&
          code === 418 &&
          principal === 'cluster.local/ns/default/sa/bookinfo-productpage' &&
          called === 'cluster.local/ns/default/sa/bookinfo-reviews',
      ),
    );
  });

  test('a gateway calls by its own identity, whatever its client says of itself', async () => {
    await apply(peers('{ mtls: { mode: STRICT } }'));
    const forged = { 'x-forwarded-client-cert': `URI=${idOf('bookinfo-productpage')}` };
    expect(certificateAt(await plainly(GATEWAY.at, PORT, forged))).toMatch(
      /;Subject="";URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/ingress$/,
    );
  });

  test('sluice mesh lint knows these rules by --secure', async () => {
    await put('rules', peers('{ mtls: { mode: STRICT } }'));
    const lint = async (...flags: readonly string[]): Promise<string> =>
      (await run(['mesh', 'lint', folder, ...flags])).out;
    const [without, secure] = await Promise.all([lint(), lint('--secure')]);
    expect(without).toContain('this control plane gives proxies no identities, so it has no effect');
    expect(secure).not.toContain('MESH_');
  });

  test('an AuthorizationPolicy with principals lets in the one that it names', async () => {
    await apply(peers('{ mtls: { mode: PERMISSIVE } }'));
    expect((await call(2, 'ratings')).status).toBe(200);
    expect((await call(1, 'ratings')).status).toBe(403);
    expect((await plainly(3, PORT, { 'x-forwarded-client-cert': `URI=${idOf('bookinfo-reviews')}` })).status).toBe(403);
  });
});
