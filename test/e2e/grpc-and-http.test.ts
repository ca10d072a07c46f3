/** One table of requests, asked about through gRPC and through HTTP by a real Envoy. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { type RawAnswer, sendRaw } from '../parts/raw-http.ts';
import { type Arrived, startUpstream, type Upstream } from '../parts/upstream.ts';
import { type ServedSluice, serveSluice, until } from './sluice.ts';
import { type Protocol, ROUTE, grpcAndHttpConfig } from './grpc-and-http-config.ts';

interface Request {
  readonly line: string;
  readonly headers?: readonly string[];
  readonly body?: string;
}
interface Case extends Request {
  readonly name: string;
  readonly differs?: readonly string[];
  readonly status?: Readonly<Record<Protocol, number>>;
  /** Headers of the answer. */
  readonly expect?: Readonly<Record<string, string>>;
}
const CASES = parse(readFileSync(join(import.meta.dirname, 'grpc-and-http.yaml'), 'utf8')) as readonly Case[];

const ATTRIBUTES = `
  request.method request.path request.url_path request.path_is_plain request.host request.port request.authority request.scheme
  request.protocol request.useragent request.size request.body request.raw_body request.body_is_partial
  source.ip source.principal source.cluster origin.ip destination.ip destination.principal destination.labels
  destination.namespace connection.mtls connection.requested_server_name context.protocol context.route_metadata metadata my.tier`
  .trim()
  .split(/\s+/);
const POLICY = `
settings: { trustedHops: 0 }
attributes:
  my.tier: { type: string, from: [{ contextExtension: tier }] }
handlers:
  lines: { adapter: log-stdout, config: {} }
  none: { adapter: quota-memory }
  gone: { adapter: quota-redis, config: { url: "redis://127.0.0.1:1" } }
rules:
  - name: denied
    match: request.url_path.startsWith("/denied")
    deny: { status: 422, headers: { x-reason: "because é" }, body: "not \${request.url_path}" }
  - name: none-left
    match: request.url_path == "/none-left"
    quota: { handler: none, limit: 0, per: 1h, key: [] }
  - name: hidden
    match: request.url_path == "/hidden"
    deny: { status: 404, body: nothing here }
  - name: stale
    match: request.url_path == "/stale"
    deny: { status: 409, headers: { grpc-status: "10" } }
  - name: cookies
    match: request.url_path == "/cookies"
    deny: { status: 401, headers: { set-cookie: ["a=1", "b=2"], www-authenticate: Basic } }
  - name: login
    match: request.url_path == "/login"
    deny: { status: 302, headers: { location: "https://login.example/?to=\${request.path}" } }
  - name: changed
    match: request.url_path == "/changed"
    onAllow:
      request: { set: { x-user: "ann é" }, append: { x-many: two, x-new: one }, remove: [x-internal] }
      response: { set: { x-policy: shop-7 } }
      metadata: { team: red }
  - name: failed
    match: request.url_path == "/failed"
    quota: { handler: gone, limit: 1, per: 1h, key: [] }
    onError: { handler: deny }
  - name: undecided
    match: request.url_path == "/error"
    quota: { handler: gone, limit: 1, per: 1h, key: [] }
    onError: { handler: error }
  - name: query
    match: request.url_path == "/query"
    onAllow: { query: { remove: [debug] } }
  - name: logged
    calls: [log]
    report:
      handler: lines
      input:
        logged: request.headers[?"x-mark"].orValue("")
        protocol: context.log_name
        verdict: verdict.id
        outcome: verdict.outcome
  - name: seen
    calls: [http]
    report:
      handler: lines
      input:
        mark: request.headers[?"x-mark"].orValue("")
        headers: reveal(request.headers)
        query: reveal(request.query)
        ${ATTRIBUTES.map((name) => `${name.replaceAll('.', '_')}: ${name}`).join('\n        ')}
`;

let upstream: Upstream;
let sluice: ServedSluice;
let envoy: EnvoyPart;
let ports: Readonly<Record<Protocol, number>>;

async function startEnvoyOfBoth(failureModeAllow: boolean): Promise<[EnvoyPart, Readonly<Record<Protocol, number>>]> {
  const [adminPort, own] = [await freePort(), { grpc: await freePort(), http: await freePort() }];
  const config = grpcAndHttpConfig({
    adminPort,
    ports: own,
    sluice: { grpc: sluice.grpcPort, http: sluice.httpPort ?? 0 },
    upstreamPort: upstream.httpPort,
    failureModeAllow,
  });
  return [await startEnvoy({ adminPort, config }), own];
}

beforeAll(async () => {
  upstream = await startUpstream();
  sluice = await serveSluice(POLICY, { args: ['--http', '127.0.0.1:0', '--http-route', ROUTE] });
  [envoy, ports] = await startEnvoyOfBoth(false);
});
afterAll(async () => {
  await envoy.stop();
  await sluice.stop();
  await upstream.stop();
});

interface Asked {
  readonly answer: RawAnswer;
  /** The attributes that the rules saw. */
  readonly report: Record<string, unknown>;
}
let asked = 0;

/** Reports come in batches, so many requests are sent before the first report is waited for. */
function ask(
  protocol: Protocol,
  { line, headers = ['host: shop.example'], body }: Request,
): Promise<() => Promise<Asked>> {
  const mark = String(++asked);
  return sendRaw(ports[protocol], line, [...headers, `x-mark: ${mark}`], body).then((answer) => async () => ({
    answer,
    report: {
      ...(await until('its report', () => sluice.written.find(({ mark: of }) => of === mark), 5000)),
    },
  }));
}

/** The pseudo headers and the rest, without headers of which HTTP knows nothing. */
function comparable(report: Record<string, unknown>, without: readonly string[]): Record<string, unknown> {
  const headers = { ...(report['headers'] as Record<string, string>) };
  for (const name of ['content-length', 'x-request-id', 'x-envoy-internal', 'x-mark']) delete headers[name];
  const rest: Record<string, unknown> = { ...report, headers };
  for (const name of ['time', 'id', 'mark', ...without]) delete rest[name];
  return rest;
}

const SHOWN = [
  'location',
  'set-cookie',
  'www-authenticate',
  'x-reason',
  'x-policy',
  'content-type',
  'grpc-status',
  'grpc-message',
];

/** What the client and the upstream saw. */
function effectOf({ status, headers, body }: RawAnswer, without: readonly string[] = []): Record<string, unknown> {
  const shown = Object.fromEntries(
    SHOWN.filter((name) => !without.includes(name)).map((name) => [name, headers.get(name)]),
  );
  if (status !== 200 || headers.get('grpc-status') !== undefined) return { status, shown, body };
  const arrived = JSON.parse(body) as Arrived;
  const { 'x-request-id': _id, 'x-mark': _mark, ...passed } = arrived.headers;
  return { status, shown, arrived: { ...arrived, headers: passed } };
}

describe('by gRPC and by HTTP', () => {
  const results: (readonly [grpc: () => Promise<Asked>, http: () => Promise<Asked>])[] = [];
  beforeAll(async () => {
    for (const one of CASES) results.push([await ask('grpc', one), await ask('http', one)]);
  });

  for (const [at, one] of CASES.entries())
    test(`${one.name}: the attributes and the answer are equal`, async () => {
      const [ofGrpc, ofHttp] = results[at] ?? [];
      const [byGrpc, byHttp] = [await ofGrpc?.(), await ofHttp?.()];
      if (byGrpc === undefined || byHttp === undefined) throw new Error('it was not asked');
      const [{ differs = [] }, changes] = [one, { ...one.status }];
      expect(comparable(byHttp.report, differs)).toEqual(comparable(byGrpc.report, differs));
      const [grpc, http] = [effectOf(byGrpc.answer, differs), effectOf(byHttp.answer, differs)];
      expect([grpc['status'], http['status']]).toEqual([
        changes.grpc ?? grpc['status'],
        changes.http ?? grpc['status'],
      ]);
      expect({ ...http, status: 0 }).toEqual({ ...grpc, status: 0 });
      for (const [name, value] of Object.entries(one.expect ?? {}))
        expect(byGrpc.answer.headers.get(name)).toEqual([value]);
    });

  test('the access log has the verdict of an allowed request', async () => {
    for (const protocol of ['grpc', 'http'] as const) {
      const { report } = await (await ask(protocol, { line: 'GET /changed HTTP/1.1' }))();
      const entry = await until('its entry', () => sluice.written.find(({ logged }) => logged === report['mark']));
      expect(entry).toMatchObject({
        protocol,
        outcome: 'allow',
        verdict: expect.stringMatching(/^[\da-z]+-[\da-z]+$/),
      });
    }
  });

  test('a header that claims a principal, a peer or an extension is not believed', async () => {
    const claims = ['host: a', 'x-sluice-principal: spiffe://evil', 'x-sluice-peer: 10.0.0.1', 'x-context-tier: free'];
    const { report } = await (await ask('http', { line: 'GET / HTTP/1.1', headers: claims }))();
    expect([report['source_principal'], report['source_ip'], report['my_tier']]).toEqual([null, '127.0.0.1', 'gold']);
  });

  test('a body that Envoy cut is absent', async () => {
    const { report } = await (await ask('http', { line: 'POST / HTTP/1.1', body: '0'.repeat(70) }))();
    expect([report['request_body'], report['request_size'], report['request_body_is_partial']]).toEqual([
      null,
      70,
      true,
    ]);
  });

  test('a change of the query, which HTTP cannot carry, fails and is logged', async () => {
    const line = 'GET /query?debug=1 HTTP/1.1';
    expect((await sendRaw(ports.grpc, line)).status).toBe(200);
    expect((await sendRaw(ports.http, line)).status).toBe(503);
    await until('the log line', () => sluice.log.find((logged) => logged.includes('rules change the query')));
  });
});

test('failure_mode_allow lets pass only what the engine could not decide, not a denial or a failed rule', async () => {
  const [lenient, own] = await startEnvoyOfBoth(true);
  try {
    const statuses: Record<string, number[]> = {};
    for (const path of ['/error', '/failed', '/denied', '/a']) {
      const answers = [
        await sendRaw(own.grpc, `GET ${path} HTTP/1.1`),
        await sendRaw(own.http, `GET ${path} HTTP/1.1`),
      ];
      statuses[path] = answers.map(({ status }) => status);
    }
    expect(statuses).toEqual({ '/error': [200, 200], '/failed': [503, 403], '/denied': [422, 422], '/a': [200, 200] });
    const stats = await lenient.stats();
    expect(stats['http.http.ext_authz.http.failure_mode_allowed']).toBe(1);
  } finally {
    await lenient.stop();
  }
});
