/** `sluice mesh` with real Envoys: the tours that people take with Bookinfo, changes under load, rules with errors, its own death. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, createServer, type IncomingHttpHeaders, request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freeNet, freePort } from '../parts/free-port.ts';
import { expectNoneLost, lastingLoad } from '../parts/lasting-load.ts';
import { serviceEntry } from '../parts/mesh/service-entry.ts';
import { bootstrap } from '../parts/xds-envoy.ts';
import { type Program, program, run } from './command.ts';
import { serveSluice, type ServedSluice, untilHolds as until } from './sluice.ts';

const NET = await freeNet();
const IN = (at: number): string => `${NET}.${at}`;
const OUT = (at: number): string => `${NET}.${100 + at}`;
const PORT = 9080;

interface App {
  readonly port: number;
  readonly calls: { readonly path: string; readonly headers: IncomingHttpHeaders }[];
  /** Answers with this status; 200 by default. */
  status: number;
  stop(): Promise<void>;
}

async function startApp(name: string): Promise<App> {
  const calls: App['calls'] = [];
  // Node would close connections that rest for some seconds, also while a request of Envoy is on its way.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    calls.push({ path: request.url ?? '', headers: request.headers });
    const delayMs = Number(new URL(request.url ?? '/', 'http://app').searchParams.get('ms') ?? 0);
    setTimeout(() => {
      response.writeHead(app.status);
      response.end(name);
    }, delayMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const app: App = {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    calls,
    status: 200,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return app;
}

interface Workload {
  readonly name: string;
  readonly at: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly app: App;
}

const service = (name: string, workloads: readonly Workload[]): string =>
  serviceEntry(
    name,
    workloads.map(({ at, labels }) => ({ address: IN(at), labels })),
  );

const sidecar = ({ name, at, labels, app }: Workload): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: ${name} }
spec:
  workloadSelector: { labels: ${JSON.stringify(labels)} }
  ingress: [{ port: { number: ${PORT}, name: http, protocol: HTTP }, bind: ${IN(at)}, captureMode: NONE, defaultEndpoint: "127.0.0.1:${app.port}" }]
  egress: [{ port: { number: ${PORT}, name: http, protocol: HTTP }, bind: ${OUT(at)}, captureMode: NONE, hosts: ["*/*"] }]
`;

const rule = (name: string, http: string, hosts = name): string => `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [${hosts}]
  http:
${http}
`;
const to = (subset: string, weight?: number): string =>
  `{ destination: { host: reviews, subset: ${subset} }${weight === undefined ? '' : `, weight: ${weight}`} }`;
const SUBSETS = `
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: { name: reviews }
spec:
  host: reviews
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
`;

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly ms: number;
}
const agent = new Agent({ keepAlive: true, maxSockets: 16 });

function call(
  at: { readonly host: string; readonly port: number },
  options: { readonly to?: string; readonly path?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Answer> {
  const beganAtMs = performance.now();
  return new Promise((resolve, reject) => {
    const { to: host = 'reviews', path = '/reviews/0', headers = {} } = options;
    httpRequest({ ...at, agent, path, headers: { host: `${host}:${PORT}`, ...headers } }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, ms: performance.now() - beganAtMs }));
      response.on('error', reject);
    })
      .on('error', reject)
      .end();
  });
}

describe('a mesh of five Envoys', () => {
  const ends: (() => Promise<unknown>)[] = [];
  const envoys = new Map<string, EnvoyPart>();
  let folder: string;
  let plane: Program;
  let xdsPort: number;
  let adminPort: number;
  let policy: ServedSluice;
  let gatewayPort: number;
  let workloads: readonly Workload[];
  const client = { host: OUT(1), port: PORT };
  const app = (name: string): App => workloads.find((one) => one.name === name)?.app as App;

  const put = async (name: string, text: string): Promise<void> => writeFile(join(folder, `${name}.yaml`), text);
  const status = async (): Promise<{
    version: string;
    proxies: readonly { name: string; state: string; version: string }[];
  }> => (await (await fetch(`http://127.0.0.1:${adminPort}/mesh/proxies`)).json()) as never;
  const version = async (): Promise<string> => (await status()).version;
  /** Lines of failed calls, of the proxies of clients and servers. */
  const failuresLogged = (): readonly string[] =>
    policy.written.filter(({ code }) => Number(code) >= 500).map((line) => JSON.stringify(line));
  /** Writes rules, and waits until every proxy has them. */
  async function apply(rules: string): Promise<void> {
    const before = await version();
    await put('rules', `${SUBSETS}---${rules}`);
    await until(async () => (await version()) !== before);
    await synced();
  }
  const synced = (): Promise<true> =>
    until(async () => {
      const { version: now, proxies } = await status();
      return proxies.length === 5 && proxies.every((one) => one.state === 'synced' && one.version === now);
    });
  const startPlane = async (): Promise<void> => {
    plane = await program(
      ['mesh', folder, '--xds', `127.0.0.1:${xdsPort}`, '--admin', `127.0.0.1:${adminPort}`, '--sluice', 'sluice'],
      /Ctrl-C stops it/,
    );
  };

  async function startProxy(id: string, labels: Readonly<Record<string, string>>): Promise<void> {
    const port = await freePort();
    const config = bootstrap({ id, xdsPort, adminPort: port }) as {
      node: object;
      static_resources: { clusters: object[] };
    };
    Object.assign(config.node, { metadata: { LABELS: labels, INTERCEPTION_MODE: 'NONE', NAMESPACE: 'default' } });
    const [xds] = config.static_resources.clusters as [Record<string, unknown>];
    config.static_resources.clusters.push({
      ...xds,
      name: 'sluice',
      load_assignment: {
        cluster_name: 'sluice',
        endpoints: [
          {
            lb_endpoints: [
              { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: policy.grpcPort } } } },
            ],
          },
        ],
      },
    });
    const envoy = await startEnvoy({ config, adminPort: port });
    envoys.set(id.split('~')[2] ?? id, envoy);
    ends.push(() => envoy.stop());
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-mesh-'));
    ends.push(() => rm(folder, { recursive: true, force: true }));
    policy = await serveSluice(`
handlers: { lines: { adapter: log-stdout, config: {} } }
rules:
  - name: no-secrets
    match: request.url_path == "/secret" && destination.service.name == "reviews" && destination.labels["version"] == "v1"
    deny: { status: 418, body: "not from \${destination.workload.name}" }
  - name: calls
    report: { handler: lines, input: { path: request.path, code: response.code, flags: response.flags, details: response.code_details, workload: destination.workload.name, labels: destination.labels } }
`);
    ends.push(() => policy.stop());
    workloads = await Promise.all(
      [
        { name: 'productpage', at: 1, labels: { app: 'productpage', version: 'v1' } },
        { name: 'reviews-v1', at: 2, labels: { app: 'reviews', version: 'v1' } },
        { name: 'reviews-v2', at: 3, labels: { app: 'reviews', version: 'v2' } },
        { name: 'ratings', at: 4, labels: { app: 'ratings', version: 'v1' } },
      ].map(async (one) => ({ ...one, app: await startApp(one.name) })),
    );
    ends.push(() => Promise.all(workloads.map((one) => one.app.stop())));
    gatewayPort = await freePort();
    const of = (name: string): readonly Workload[] => workloads.filter((one) => one.name.startsWith(name));
    await mkdir(join(folder, 'services'));
    await put('services/all', ['productpage', 'reviews', 'ratings'].map((name) => service(name, of(name))).join('---'));
    await put('services/sidecars', workloads.map(sidecar).join('---'));
    await put(
      'gateway',
      `
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata: { name: front }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: ${gatewayPort}, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: { name: front }
spec:
  hosts: ["*"]
  gateways: [front]
  http: [{ match: [{ uri: { prefix: /productpage } }], route: [{ destination: { host: productpage } }] }]
`,
    );
    await put('rules', `${SUBSETS}---${rule('reviews', `  - route: [${to('v1')}]`)}`);
    [xdsPort, adminPort] = [await freePort(), await freePort()];
    await startPlane();
    ends.push(() => plane.stop());
    await Promise.all([
      ...workloads.map((one) =>
        startProxy(`sidecar~${IN(one.at)}~${one.name}.default~default.svc.cluster.local`, one.labels),
      ),
      startProxy(`router~${IN(9)}~gateway.default~default.svc.cluster.local`, { istio: 'ingressgateway' }),
    ]);
    await synced();
  });
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test('the gateway serves the paths of its rule, and no other', async () => {
    const front = { host: '127.0.0.1', port: gatewayPort };
    expect(await call(front, { to: 'shop.example.com', path: '/productpage?a=1' })).toMatchObject({
      status: 200,
      body: 'productpage',
    });
    expect(await call(front, { to: 'shop.example.com', path: '/other' })).toMatchObject({ status: 404 });
  });

  test('routes by user', async () => {
    await apply(
      rule(
        'reviews',
        `  - match: [{ headers: { end-user: { exact: jason } } }]\n    route: [${to('v2')}]\n  - route: [${to('v1')}]`,
      ),
    );
    expect((await call(client)).body).toBe('reviews-v1');
    expect((await call(client, { headers: { 'end-user': 'jason' } })).body).toBe('reviews-v2');
    expect((await call(client, { to: 'reviews.default.svc.cluster.local' })).body).toBe('reviews-v1');
  });

  test('delays and aborts calls of one user, in the proxy of the client', async () => {
    await apply(
      rule(
        'ratings',
        `  - match: [{ headers: { end-user: { exact: jason } } }]
    fault: { delay: { fixedDelay: 700ms, percentage: { value: 100 } } }
    route: [{ destination: { host: ratings } }]
  - match: [{ headers: { end-user: { exact: eve } } }]
    fault: { abort: { httpStatus: 555, percent: 100 } }
    route: [{ destination: { host: ratings } }]
  - route: [{ destination: { host: ratings } }]`,
      ),
    );
    const before = app('ratings').calls.length;
    const [jason, eve, other] = await Promise.all(
      ['jason', 'eve', 'nobody'].map((user) =>
        call(client, { to: 'ratings', path: `/ratings/${user}`, headers: { 'end-user': user } }),
      ),
    );
    expect(jason).toMatchObject({ status: 200, body: 'ratings' });
    expect(jason?.ms).toBeGreaterThan(690);
    expect(eve?.status).toBe(555);
    expect(other?.status).toBe(200);
    expect(app('ratings').calls.length - before).toBe(2);
    // Envoy's flags of the calls, from the proxy of the client and that of the server; one that is aborted does not come to the server.
    const flagsOf = (user: string): readonly unknown[] =>
      policy.written.flatMap(({ path, flags }) => (path === `/ratings/${user}` ? [flags] : []));
    await until(() => flagsOf('jason').length === 2 && flagsOf('eve').length === 1 && flagsOf('nobody').length === 2);
    expect(flagsOf('jason')).toEqual(expect.arrayContaining([['DI'], []]));
    expect([flagsOf('eve'), flagsOf('nobody')]).toEqual([[['FI']], [[], []]]);
  });

  test('shifts half of the calls, within five points', async () => {
    await apply(rule('reviews', `  - route: [${to('v1', 50)}, ${to('v2', 50)}]`));
    const answers = await Promise.all(Array.from({ length: 2000 }, () => call(client)));
    const share = answers.filter(({ body }) => body === 'reviews-v2').length / answers.length;
    expect(share).toBeGreaterThan(0.45);
    expect(share).toBeLessThan(0.55);
  });

  test('ends calls that take too long, and mirrors calls without waiting for the mirror', async () => {
    await apply(
      rule(
        'reviews',
        `  - timeout: 300ms\n    retries: { attempts: 0 }\n    mirror: { host: reviews, subset: v2 }\n    route: [${to('v1')}]`,
      ),
    );
    const before = app('reviews-v2').calls.length;
    expect(await call(client)).toMatchObject({ status: 200, body: 'reviews-v1' });
    await until(() => app('reviews-v2').calls.length === before + 1);
    expect(await call(client, { path: '/reviews/0?ms=1000' })).toMatchObject({ status: 504 });
  });

  test('breaks the circuit of a busy service', async () => {
    await apply(`
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: { name: ratings }
spec:
  host: ratings
  trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } } }
`);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => call(client, { to: 'ratings', path: '/?ms=200' })),
    );
    expect(answers.some(({ status: code }) => code === 200)).toBe(true);
    expect(answers.filter(({ status: code }) => code === 503).length).toBeGreaterThan(4);
    const stats = await envoys.get('productpage.default')?.stats();
    expect(
      stats?.['cluster.outbound|9080||ratings.default.svc.cluster.local.upstream_rq_pending_overflow'],
    ).toBeGreaterThan(0);
  });

  test('ejects an endpoint that fails, and others go on', async () => {
    app('reviews-v2').status = 500;
    await apply(`
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: { name: reviews-all }
spec:
  host: reviews.default.svc.cluster.local
  trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100 } }
`);
    await until(async () => {
      for (let at = 0; at < 10; at++) await call(client);
      const stats = await envoys.get('productpage.default')?.stats();
      return (
        stats?.['cluster.outbound|9080||reviews.default.svc.cluster.local.outlier_detection.ejections_active'] === 1
      );
    });
    const answers = await Promise.all(Array.from({ length: 50 }, () => call(client)));
    expect(answers.map(({ status: code }) => code)).toEqual(Array.from({ length: 50 }, () => 200));
    app('reviews-v2').status = 200;
  });

  test('Sluice denies by the service and labels of the workload that is called, and the report names it', async () => {
    await apply(
      rule(
        'reviews',
        `  - match: [{ headers: { end-user: { exact: jason } } }]\n    route: [${to('v2')}]\n  - route: [${to('v1')}]`,
      ),
    );
    expect(await call(client, { path: '/secret' })).toMatchObject({ status: 418, body: 'not from reviews-v1' });
    expect(await call(client, { path: '/secret', headers: { 'end-user': 'jason' } })).toMatchObject({
      status: 200,
      body: 'reviews-v2',
    });
    await until(() =>
      policy.written.some(
        ({ path, code, labels }) => path === '/secret' && code === 418 && JSON.stringify(labels).includes('v1'),
      ),
    );
  });

  test('a rule with an error changes nothing, and the operator sees why and where', async () => {
    const before = await version();
    await put('rules', `${SUBSETS}---${rule('reviews', `  - ruote: [${to('v2')}]`)}`);
    await until(() => plane.err().includes('the last good one stays in force'));
    expect(plane.err()).toMatch(
      /rules\.yaml:\d+:5 MESH_FIELD VirtualService default\/reviews, http\.0\.ruote: unknown key; did you mean route/,
    );
    expect(await version()).toBe(before);
    expect((await call(client)).body).toBe('reviews-v1');
    const page = (await (await fetch(`http://127.0.0.1:${adminPort}/mesh`)).json()) as {
      pending: { findings: object[] };
    };
    expect(page.pending.findings.length).toBeGreaterThan(0);
    await apply(rule('reviews', `  - route: [${to('v1')}]`));
  });

  test('changes under load lose no request', async () => {
    const load = lastingLoad(() => call(client));
    for (let at = 1; at <= 20; at++) {
      const subset = `s${at}`;
      await put(
        'rules',
        `${SUBSETS.replace('name: v2,', `name: ${subset},`)}---${rule('reviews', `  - route: [${to(subset)}]`)}`,
      );
      await sleep(100);
    }
    await until(async () => (await call(client)).body === 'reviews-v2');
    await synced();
    await expectNoneLost(load, Object.fromEntries(envoys), { logged: failuresLogged });
    expect(load.answered).toBeGreaterThan(100);
  });

  test('without its control plane the mesh goes on, and takes the newest state when it is back', async () => {
    await apply(rule('reviews', `  - route: [${to('v1')}]`));
    const load = lastingLoad(() => call(client), { clients: 1 });
    plane.signal('SIGKILL');
    await plane.ended;
    await sleep(300);
    await put('rules', `${SUBSETS}---${rule('reviews', `  - route: [${to('v2')}]`)}`);
    expect((await call(client)).body).toBe('reviews-v1');
    await startPlane();
    await until(async () => (await call(client)).body === 'reviews-v2', 40_000);
    await expectNoneLost(load, Object.fromEntries(envoys), { logged: failuresLogged });
  });

  test('sluice mesh status and show say what each proxy has, and from where', async () => {
    await synced();
    const { code, out } = await run(['mesh', 'status', '--to', `127.0.0.1:${adminPort}`]);
    expect(code).toBe(0);
    expect(out).toMatch(/reviews-v1\.default +synced/);
    const shown = await run(['mesh', 'show', 'productpage.default', 'routes', '--to', `127.0.0.1:${adminPort}`]);
    expect(shown.out).toMatch(/^9080 +VirtualService default\/reviews at .*rules\.yaml:\d+:\d+/m);
    const unknown = await run(['mesh', 'show', 'nobody', 'routes', '--to', `127.0.0.1:${adminPort}`]);
    expect(unknown.err).toContain('no proxy is named nobody');
  });
});
