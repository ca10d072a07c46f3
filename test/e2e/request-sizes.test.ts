/** Whether a limit of the size holds for bodies without a length, through a real Envoy that asks by gRPC and by HTTP. */
import { connect as connectHttp2 } from 'node:http2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RECEIVED_HEADER, RECEIVED_VALUE } from '../../src/text/received-header.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { sendRaw } from '../parts/raw-http.ts';
import { startUpstream, type Upstream } from '../parts/upstream.ts';
import { type ServedSluice, serveSluice } from './sluice.ts';

const POLICY = `
rules:
  - name: short-bodies-only
    match: request.size > 1000
    deny: { status: 413 }
`;

const type = (name: string): object => ({ '@type': `type.googleapis.com/${name}` });
const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });
const cluster = (name: string, port: number, more: object = {}): object => ({
  name,
  type: 'STATIC',
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
  ...more,
});

const RECEIVED = { key: RECEIVED_HEADER, value: RECEIVED_VALUE };
const byGrpc = (...initial_metadata: readonly object[]): object => ({
  grpc_service: { envoy_grpc: { cluster_name: 'sluice-grpc' }, timeout: '5s', initial_metadata },
});
const byHttp = (path_prefix: string, ...headers: readonly object[]): object => ({
  http_service: {
    server_uri: { uri: 'http://sluice', cluster: 'sluice-http', timeout: '5s' },
    path_prefix,
    authorization_request: {
      headers_to_add: [{ key: 'x-sluice-length', value: '%REQ(CONTENT-LENGTH)%' }, ...headers],
    },
  },
  allowed_headers: { patterns: [{ safe_regex: { regex: '.*' } }] },
  disallowed_headers: { patterns: [{ prefix: 'x-sluice-' }] },
});
const BUFFERED = { with_request_body: { max_request_bytes: 4096, allow_partial_message: true } };
const ASKING = {
  'gRPC, told': byGrpc(RECEIVED),
  'HTTP, told': byHttp('/told', RECEIVED),
  'gRPC, told, buffered': { ...byGrpc(RECEIVED), ...BUFFERED },
  'HTTP, told, buffered': { ...byHttp('/told', RECEIVED), ...BUFFERED },
  gRPC: byGrpc(),
  HTTP: byHttp('/plain'),
  'gRPC, buffered': { ...byGrpc(), ...BUFFERED },
  'HTTP, buffered': { ...byHttp('/plain'), ...BUFFERED },
} as const;
type Asking = keyof typeof ASKING;

const listener = (name: string, port: number, asks: object): object => ({
  name,
  address: address(port),
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
            stat_prefix: 'in',
            delayed_close_timeout: '0.05s',
            upgrade_configs: [{ upgrade_type: 'websocket' }],
            http_filters: [
              {
                name: 'envoy.filters.http.ext_authz',
                typed_config: {
                  ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'),
                  transport_api_version: 'V3',
                  status_on_error: { code: 'BadGateway' }, // no rule answers it
                  ...asks,
                },
              },
              {
                name: 'envoy.filters.http.router',
                typed_config: type('envoy.extensions.filters.http.router.v3.Router'),
              },
            ],
            route_config: {
              virtual_hosts: [
                { name: 'web', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }] },
              ],
            },
          },
        },
      ],
    },
  ],
});

let upstream: Upstream;
let sluice: ServedSluice;
let envoy: EnvoyPart;
const ports = new Map<Asking, number>();

beforeAll(async () => {
  upstream = await startUpstream();
  const routes = [
    '/told=envoy,request.size=x-sluice-length,received=x-sluice-received',
    '/plain=envoy,request.size=x-sluice-length',
    '/forward=forward,request.size=x-sluice-length',
  ];
  const args = ['--http', '127.0.0.1:0', ...routes.flatMap((route) => ['--http-route', route])];
  sluice = await serveSluice(POLICY, { args });
  for (const asking of Object.keys(ASKING) as Asking[]) ports.set(asking, await freePort());
  const adminPort = await freePort();
  const http2 = {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        ...type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  const config = {
    admin: { address: address(adminPort) },
    static_resources: {
      listeners: [...ports].map(([asking, port]) => listener(asking, port, ASKING[asking])),
      clusters: [
        cluster('app', upstream.httpPort),
        cluster('sluice-grpc', sluice.grpcPort, http2),
        cluster('sluice-http', sluice.httpPort ?? 0),
      ],
    },
  };
  envoy = await startEnvoy({ adminPort, config });
});
afterAll(async () => {
  await envoy.stop();
  await sluice.stop();
  await upstream.stop();
});

const portOf = (asking: Asking): number => ports.get(asking) ?? 0;
const HOST = 'host: shop.example';

/** Over HTTP/1.1 in chunks; `undefined`: without a body. */
async function byHttp1(
  asking: Asking,
  method: string,
  bytes?: number,
  headers: readonly string[] = [],
): Promise<number> {
  const chunks = bytes === undefined ? '' : `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n0\r\n\r\n`;
  const chunked = bytes === undefined ? [] : ['transfer-encoding: chunked'];
  return (await sendRaw(portOf(asking), `${method} / HTTP/1.1`, [HOST, ...headers, ...chunked], '', chunks)).status;
}

async function byHttp2(asking: Asking, method: string, bytes?: number): Promise<number> {
  const session = connectHttp2(`http://127.0.0.1:${portOf(asking)}`);
  try {
    return await new Promise((resolve, reject) => {
      session.on('error', reject);
      const stream = session.request(
        { ':method': method, ':path': '/', ':authority': 'shop.example' },
        { endStream: bytes === undefined },
      );
      stream.on('error', reject);
      stream.on('response', (headers) => resolve(Number(headers[':status'])));
      stream.resume();
      if (bytes !== undefined) stream.end('x'.repeat(bytes));
    });
  } finally {
    session.destroy();
  }
}

/** No body, a short one, one beyond the limit of the rule, and one that Envoy cuts where it buffers. */
const BODIES = [undefined, 10, 2048, 5000] as const;
async function statuses(asking: Asking, method: string): Promise<readonly (readonly number[])[]> {
  const both: number[][] = [];
  for (const bytes of BODIES) both.push([await byHttp1(asking, method, bytes), await byHttp2(asking, method, bytes)]);
  return both;
}
const alike = (...expected: readonly number[]): readonly (readonly number[])[] => expected.map((one) => [one, one]);

const [TAKEN, LONG, UNKNOWN] = [200, 413, 503];
const METHODS = ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'PROPFIND', 'POST', 'PATCH'] as const;
const READ_AS_EMPTY: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];
/** By HTTP a rule that fails is 403, since Envoy takes 5xx for a failure of the service. */
const unknownOf = (asking: Asking): number => (asking.startsWith('HTTP') ? 403 : UNKNOWN);

test.each(['gRPC, told', 'HTTP, told'] as const)('%s: no body is 0, and another has no size', async (asking) => {
  const unknown = unknownOf(asking);
  for (const method of METHODS)
    expect(await statuses(asking, method), method).toEqual(alike(TAKEN, unknown, unknown, unknown));
});

test.each(['gRPC, told, buffered', 'HTTP, told, buffered'] as const)(
  '%s: bodies have their size, except those that Envoy cuts',
  async (asking) => {
    for (const method of METHODS) {
      const all = await statuses(asking, method);
      expect(all.slice(0, -1), method).toEqual(alike(TAKEN, TAKEN, LONG));
      // Envoy may know the length of a body of which it sends the beginning only.
      for (const one of all.at(-1) ?? []) expect([LONG, unknownOf(asking)], method).toContain(one);
    }
  },
);

test.each(['gRPC', 'HTTP'] as const)(
  '%s, without being told: only GET, HEAD and OPTIONS have a size, 0',
  async (asking) => {
    const unknown = unknownOf(asking);
    for (const method of METHODS) {
      const one = READ_AS_EMPTY.includes(method) ? TAKEN : unknown;
      expect(await statuses(asking, method), method).toEqual(alike(one, one, one, one));
    }
  },
);

test.each(['gRPC, buffered', 'HTTP, buffered'] as const)(
  '%s, without being told: bodies have their size, and the absence of one is not known of other methods',
  async (asking) => {
    const unknown = unknownOf(asking);
    for (const method of METHODS) {
      const none = READ_AS_EMPTY.includes(method) ? TAKEN : unknown;
      expect(await statuses(asking, method), method).toEqual(alike(none, TAKEN, LONG, unknown));
    }
  },
);

test.each(Object.keys(ASKING) as Asking[])(
  '%s: what a client says of what Envoy received is not believed',
  async (asking) => {
    const claims = ['x-envoy-auth-partial-body: false', `${RECEIVED_HEADER}: bytes=0;ms=0`];
    expect(await byHttp1(asking, 'POST', 2048, claims)).toBe(asking.endsWith('buffered') ? LONG : unknownOf(asking));
  },
);

test('a proxy that is no Envoy passes on what its client says of the body, which is not believed', async () => {
  const headers = { 'x-forwarded-method': 'POST', 'x-forwarded-uri': '/', 'x-forwarded-host': 'shop.example' };
  const claim = { 'x-envoy-auth-partial-body': 'false' };
  const answer = await fetch(`http://127.0.0.1:${sluice.httpPort}/forward`, { headers: { ...headers, ...claim } });
  expect(answer.status).toBe(unknownOf('HTTP'));
});

test.each(['gRPC, told, buffered', 'HTTP, told, buffered'] as const)(
  '%s: an upgrade, which Envoy does not buffer, hides no body',
  async (asking) => {
    const upgrade = ['connection: upgrade', 'upgrade: websocket'];
    expect(await byHttp1(asking, 'POST', 2048, upgrade)).toBe(unknownOf(asking));
    expect(await byHttp1(asking, 'GET', 2048, upgrade)).toBe(unknownOf(asking));
  },
);

test.each(Object.keys(ASKING) as Asking[])('%s: a stated length is the size', async (asking) => {
  for (const method of ['GET', 'DELETE', 'POST']) {
    expect((await sendRaw(portOf(asking), `${method} / HTTP/1.1`, [HOST], 'x'.repeat(2048))).status, method).toBe(LONG);
    expect((await sendRaw(portOf(asking), `${method} / HTTP/1.1`, [HOST], 'x'.repeat(10))).status, method).toBe(TAKEN);
  }
});
