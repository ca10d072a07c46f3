/** Details of resources that `npm run istiod:compare` found to differ from istiod's without a reason. */
import { expect, test } from 'vitest';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import { CLUSTER, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { grpcStatus } from '../../../src/mesh/rules/values.ts';
import { Status } from '../../../src/transport/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, resourcesFor, validate } from '../../parts/mesh/resources.ts';

const API = 'apiVersion: networking.istio.io/v1';
const service = (name: string, port: string): string => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { clusterIP: 10.96.0.1, ports: [${port}] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: web, port: 8080 }]
endpoints: [{ addresses: [10.1.0.1] }]
`;
const WEB = service('web', '{ name: web, port: 80, targetPort: 8080, appProtocol: http }');
const rule = (http: string, host = 'web'): string => `
---
${API}
kind: VirtualService
metadata: { name: ${host} }
spec: { hosts: [${host}], http: [${http}] }
`;
const policy = (spec: string, host = 'web'): string => `
---
${API}
kind: DestinationRule
metadata: { name: ${host} }
spec: { host: ${host}, ${spec} }
`;
const external = (spec: string): string => `
---
${API}
kind: ServiceEntry
metadata: { name: api }
spec: { hosts: [api.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }], ${spec} }
`;
const SUBSETS = 'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]';
const TO_WEB = 'route: [{ destination: { host: web } }]';

async function sidecar(text: string, address = '10.1.0.1'): Promise<readonly Made[]> {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': text });
  expect(findings.filter((one) => !one.includes('WARNING') && one.includes('unknown'))).toEqual([]);
  return resourcesFor(mesh, `sidecar~${address}~web-1.default~default.svc.cluster.local`, { LABELS: { app: 'web' } });
}

const hostsOf = (all: readonly Made[], table = '80') =>
  named(all, ROUTES, table)['virtual_hosts'] as {
    name: string;
    domains: string[];
    routes: Record<string, unknown>[];
  }[];
async function firstRoute(http: string, others = ''): Promise<Record<string, unknown>> {
  const [route] = hostsOf(await sidecar(WEB + rule(http) + others))[0]?.routes ?? [];
  return route ?? {};
}

test('headers of a destination count where it is the only one, and go before those of the route', async () => {
  const route = await firstRoute(
    `{ headers: { request: { set: { x-a: route, x-b: route } } },
       route: [{ destination: { host: web }, headers: { request: { set: { x-a: own, host: own.example } }, response: { remove: [y] } } }] }`,
  );
  expect(route).toMatchObject({
    request_headers_to_add: [{ header: { key: 'x-a', value: 'own' } }, { header: { key: 'x-b', value: 'route' } }],
    response_headers_to_remove: ['y'],
    route: { cluster: 'outbound|80||web.default.svc.cluster.local', host_rewrite_literal: 'own.example' },
  });
});

test('a destination among several may have a host of its own', async () => {
  const route = await firstRoute(
    `{ route: [{ destination: { host: web, subset: v1 }, weight: 1, headers: { request: { set: { host: own.example } } } },
               { destination: { host: web, subset: v2 }, weight: 1 }] }`,
    policy(SUBSETS),
  );
  expect(route).toMatchObject({
    route: { weighted_clusters: { clusters: [{ host_rewrite_literal: 'own.example' }, { weight: 1 }] } },
  });
  expect(JSON.stringify(route).match(/host_rewrite_literal/g)).toHaveLength(1);
});

test('a timeout limits the time from the end of the request, and no stream', async () => {
  expect((await firstRoute(`{ timeout: 3s, ${TO_WEB} }`))['route']).toMatchObject({ timeout: '3s' });
  // Envoy would take it instead of the timeout.
  expect(JSON.stringify(await firstRoute(`{ timeout: 3s, ${TO_WEB} }`))).not.toContain('max_stream_duration');
});

test('a retry of a call whose endpoint is chosen by a hash may go to the same one', async () => {
  const hash = policy('trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x-user } } }');
  expect(JSON.stringify(await firstRoute(`{ ${TO_WEB} }`))).toContain('previous_hosts');
  expect(JSON.stringify(await firstRoute(`{ ${TO_WEB} }`, hash))).not.toContain('previous_hosts');
});

test('a redirect takes the port of the request if it is told to', async () => {
  const route = await firstRoute('{ redirect: { scheme: https, derivePort: FROM_REQUEST_PORT } }');
  expect(route['redirect']).toMatchObject({ scheme_redirect: 'https', port_redirect: 80 });
});

test('preflights of origins that are not allowed can be kept from the application', async () => {
  const cors = (more: string): string =>
    `{ corsPolicy: { allowOrigins: [{ exact: "https://a.example" }]${more} }, ${TO_WEB} }`;
  expect(JSON.stringify(await firstRoute(cors(', unmatchedPreflights: IGNORE')))).toContain(
    '"forward_not_matching_preflights":false',
  );
  expect(JSON.stringify(await firstRoute(cors('')))).not.toContain('forward_not_matching_preflights');
});

test('Envoy accepts an answer of a rule with a body of 100 KB', async () => {
  const all = await sidecar(
    WEB + rule(`{ directResponse: { status: 200, body: { string: ${'x'.repeat(100_000)} } } }`),
  );
  expect(await validate(all)).not.toMatch(/error|exceed/i);
});

test('a host with a rule and without a service is served on port 80, and on no other', async () => {
  const text = `${WEB}${service('other', '{ name: http, port: 8000, targetPort: 8080 }')}${rule(`{ ${TO_WEB} }`, 'shop.example.com')}`;
  const all = await sidecar(text);
  const names = (table: string): string[] => hostsOf(all, table).map(({ name }) => name);
  expect(names('80')).toEqual(['web.default.svc.cluster.local:80', 'shop.example.com:80', 'allow_any']);
  expect(names('8000')).toEqual(['other.default.svc.cluster.local:8000', 'allow_any']);
  expect(hostsOf(all)[1]?.routes[0]).toMatchObject({
    route: { cluster: 'outbound|80||web.default.svc.cluster.local' },
  });
});

test('a host with a rule is served only where the Sidecar of the caller has it', async () => {
  const text = `${WEB}${rule(`{ ${TO_WEB} }`, 'shop.example.com')}${rule(`{ ${TO_WEB} }`, 'other.example.com')}
---
${API}
kind: Sidecar
metadata: { name: narrow }
spec: { egress: [{ hosts: ["default/web.default.svc.cluster.local", "./shop.example.com"] }] }
`;
  expect(hostsOf(await sidecar(text)).map(({ name }) => name)).toEqual([
    'web.default.svc.cluster.local:80',
    'shop.example.com:80',
    'allow_any',
  ]);
});

test('a gateway serves no host of a rule for connections alone', async () => {
  const { mesh } = await readMesh({
    'mesh.yaml': `${API}
kind: Gateway
metadata: { name: shop }
spec: { servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [shop.example.com] }] }
---
${API}
kind: VirtualService
metadata: { name: raw }
spec: { hosts: ["*"], gateways: [shop], tcp: [{ match: [{ port: 9000 }], route: [{ destination: { host: web } }] }] }
`,
  });
  const all = resourcesFor(mesh, 'router~10.1.0.9~gateway-1.default~default.svc.cluster.local', {});
  expect(hostsOf(all, 'http.80').map(({ name }) => name)).toEqual(['blackhole:80']);
});

test('a service outside of the cluster is known by its name with a dot at the end, too', async () => {
  expect(hostsOf(await sidecar(external('')))[0]?.domains).toEqual(['api.example.com', 'api.example.com.']);
});

test('names are looked up in the family of the address of the proxy', async () => {
  const cluster = async (address: string) =>
    named(await sidecar(external(''), address), CLUSTER, 'outbound|80||api.example.com');
  expect(await cluster('10.1.0.1')).toMatchObject({ dns_lookup_family: 'V4_ONLY', respect_dns_ttl: true });
  expect(await cluster('fd00::1')).toMatchObject({ dns_lookup_family: 'V6_ONLY' });
});

test('settings of a subset for a port replace those of the subset and of the host', async () => {
  const all = await sidecar(
    WEB +
      policy(`trafficPolicy: { loadBalancer: { simple: RANDOM }, connectionPool: { tcp: { maxConnections: 5 } } },
        subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { outlierDetection: { consecutive5xxErrors: 7 },
          portLevelSettings: [{ port: { number: 80 }, connectionPool: { http: { maxRetries: 4 } } }] } }]`),
  );
  const cluster = named(all, CLUSTER, 'outbound|80|v1|web.default.svc.cluster.local');
  expect(cluster).toMatchObject({
    lb_policy: 'LEAST_REQUEST',
    circuit_breakers: { thresholds: [{ max_retries: 4, max_connections: 4_294_967_295 }] },
  });
  expect(cluster).not.toHaveProperty('outlier_detection');
});

test.each([
  ['6', { consecutive_local_origin_failure: 6, enforcing_consecutive_local_origin_failure: 100 }],
  // Envoy's own: five.
  ['0', {}],
])('failures of connections are counted alone, and never by their rate (%s)', async (failures, expected) => {
  const all = await sidecar(
    WEB +
      policy(
        `trafficPolicy: { outlierDetection: { splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: ${failures} } }`,
      ),
  );
  expect(named(all, CLUSTER, 'outbound|80||web.default.svc.cluster.local')['outlier_detection']).toEqual({
    enforcing_success_rate: 0,
    split_external_local_origin_errors: true,
    enforcing_local_origin_success_rate: 0,
    ...expected,
  });
});

test.each([
  ['maxEjectionPercent: 40', 40],
  ['maxEjectionPercent: 0', undefined],
  ['http: { maxEjectionPercent: 0 }', undefined],
])("no share of endpoints to eject is Envoy's own, ten percent (%s)", async (text, expected) => {
  const all = await sidecar(WEB + policy(`trafficPolicy: { outlierDetection: { ${text} } }`));
  const cluster = named(all, CLUSTER, 'outbound|80||web.default.svc.cluster.local');
  expect((cluster['outlier_detection'] as Record<string, unknown>)['max_ejection_percent']).toBe(expected);
});

test('a call that the application did not take is tried again, but no call of gRPC', async () => {
  const inbound = async (protocol: string): Promise<string> =>
    JSON.stringify(
      named(
        await sidecar(service('web', `{ name: web, port: 80, targetPort: 8080, appProtocol: ${protocol} }`)),
        LISTENER,
        'virtualInbound',
      ),
    );
  expect(await inbound('http')).toContain('"retry_on":"reset-before-request"');
  expect(await inbound('grpc')).not.toContain('reset-before-request');
});

test('a gateway has the versions of TLS that its servers name', async () => {
  const { mesh } = await readMesh({
    'mesh.yaml': `${API}
kind: Gateway
metadata: { name: shop }
spec:
  servers:
  - port: { number: 443, name: https, protocol: HTTPS }
    hosts: [shop.example.com]
    tls: { mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem, minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_3 }
`,
  });
  const all = resourcesFor(mesh, 'router~10.1.0.9~gateway-1.default~default.svc.cluster.local', {});
  const listener = JSON.stringify(named(all, LISTENER, '0.0.0.0_443'));
  expect(listener).toContain('"tls_minimum_protocol_version":"TLSv1_2","tls_maximum_protocol_version":"TLSv1_3"');
  expect(listener).toContain('"transport_socket_connect_timeout":"15s"');
  expect(await validate(all)).not.toMatch(/TlsProtocol|no type|cannot decode/);
});

test('a rule may redirect by prefix, answer with bytes, and name statistics', async () => {
  const all = await sidecar(
    WEB +
      rule(
        `{ match: [{ uri: { prefix: /a }, statPrefix: of-a }], redirect: { prefixRewrite: /b } }, { directResponse: { status: 200, body: { bytes: aGVsbG8= } } }`,
      ),
  );
  expect(hostsOf(all)[0]?.routes).toMatchObject([
    { stat_prefix: 'of-a', redirect: { prefix_rewrite: '/b' } },
    { direct_response: { status: 200, body: { inline_bytes: 'aGVsbG8=' } } },
  ]);
  expect(await validate(all)).toContain('OK');
});

test('a rule may ping connections, limit retries by a share of requests, and hash by a cookie with attributes', async () => {
  const all = await sidecar(
    WEB +
      policy(`trafficPolicy: {
        connectionPool: { http: { h2UpgradePolicy: UPGRADE, http2KeepAlive: { interval: 30s, timeout: 5s } } },
        retryBudget: { percent: 12.5, minRetryConcurrency: 7 },
        loadBalancer: { consistentHash: { httpCookie: { name: c, ttl: 60s, attributes: [{ name: SameSite, value: Strict }] } } } }`),
  );
  const cluster = named(all, CLUSTER, 'outbound|80||web.default.svc.cluster.local');
  expect(JSON.stringify(cluster)).toContain('"connection_keepalive":{"interval":"30s","timeout":"5s"}');
  expect(cluster).toMatchObject({
    circuit_breakers: {
      thresholds: [{ retry_budget: { budget_percent: { value: 12.5 }, min_retry_concurrency: 7 } }],
    },
  });
  expect(hostsOf(all)[0]?.routes[0]).toMatchObject({
    route: {
      hash_policy: [{ cookie: { name: 'c', ttl: '60s', attributes: [{ name: 'SameSite', value: 'Strict' }] } }],
    },
  });
  expect(await validate(all)).toContain('OK');
});

test.each([
  ['', 'the plain connection', 'raw_buffer'],
  [', tls: { mode: SIMPLE, insecureSkipVerify: true }', 'TLS', 'tls'],
])('a rule may tell the address of the client%s, before %s', async (more, _what, inner) => {
  const all = await sidecar(WEB + policy(`trafficPolicy: { proxyProtocol: { version: V2 }${more} }, ${SUBSETS}`));
  for (const subset of ['', 'v1'])
    expect(
      named(all, CLUSTER, `outbound|80|${subset}|web.default.svc.cluster.local`)['transport_socket'],
    ).toMatchObject({
      name: 'envoy.transport_sockets.upstream_proxy_protocol',
      typed_config: { config: { version: 'V2' }, transport_socket: { name: `envoy.transport_sockets.${inner}` } },
    });
  expect(await validate(all)).toContain('OK');
});

test('settings of a subset for a port leave the budget of retries to the rule', async () => {
  const all = await sidecar(
    WEB +
      policy(`trafficPolicy: { retryBudget: { percent: 30 } },
        subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: RANDOM } }] } }]`),
  );
  expect(named(all, CLUSTER, 'outbound|80|v1|web.default.svc.cluster.local')).toMatchObject({
    lb_policy: 'RANDOM',
    circuit_breakers: { thresholds: [{ retry_budget: { budget_percent: { value: 30 } } }] },
  });
});

test('a Sidecar limits the calls that its workload takes, at each port or at all', async () => {
  const inbound = async (spec: string) => {
    const all = await sidecar(`${WEB}
---
${API}
kind: Sidecar
metadata: { name: web }
spec: { ${spec}, egress: [{ hosts: ["*/*"] }] }
`);
    expect(await validate(all)).toContain('OK');
    return named(all, CLUSTER, 'inbound|8080||')['circuit_breakers'];
  };
  const ALL = 'inboundConnectionPool: { tcp: { maxConnections: 5 } }';
  expect(await inbound(ALL)).toMatchObject({ thresholds: [{ max_connections: 5 }] });
  expect(
    await inbound(
      `${ALL}, ingress: [{ port: { number: 8080, name: http, protocol: HTTP }, connectionPool: { tcp: { maxConnections: 6 } } }]`,
    ),
  ).toMatchObject({ thresholds: [{ max_connections: 6 }] });
});

test('a gateway may pin certificates of clients', async () => {
  const hash = 'ab'.repeat(32);
  const { mesh } = await readMesh({
    'mesh.yaml': `${API}
kind: Gateway
metadata: { name: shop }
spec:
  servers:
  - port: { number: 443, name: https, protocol: HTTPS }
    hosts: [shop.example.com]
    tls: { mode: MUTUAL, serverCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem, verifyCertificateHash: [${hash}], verifyCertificateSpki: [NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=] }
`,
  });
  const all = resourcesFor(mesh, 'router~10.1.0.9~gateway-1.default~default.svc.cluster.local', {});
  const listener = JSON.stringify(named(all, LISTENER, '0.0.0.0_443'));
  expect(listener).toContain(`"verify_certificate_hash":["${hash}"]`);
  expect(listener).toContain('"verify_certificate_spki":["NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="]');
});

test('statuses of gRPC have the numbers of the transport', () => {
  for (const [name, code] of Object.entries(Status)) expect(grpcStatus.parse(name)).toBe(code);
  expect(grpcStatus.parse('DATA_LOSS')).toBe(15);
  expect(grpcStatus.safeParse('17').success).toBe(false);
});
