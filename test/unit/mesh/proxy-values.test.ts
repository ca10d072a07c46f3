/** Values that Envoy refuses, and that would take a whole table, cluster or listener with them: errors at their lines. */
import { expect, test } from 'vitest';
import { PLAIN_COMMANDS } from '../../../src/mesh/rules/header-commands.ts';
import { CLUSTER, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, resourcesFor, validate } from '../../parts/mesh/resources.ts';
import { entry, object, sidecar } from '../../parts/mesh/web-sidecar.ts';

const WEB = entry('web', 'default');
const TO_WEB = 'route: [{ destination: { host: web } }]';
const route = (fields: string): string => object('VirtualService', 'web', `{ hosts: [web], http: [{ ${fields} }] }`);
const matching = (match: string): string => route(`match: [{ ${match} }], ${TO_WEB}`);
const policy = (fields: string): string =>
  object('DestinationRule', 'web', `{ host: web, trafficPolicy: { ${fields} } }`);
const TLS = 'mode: SIMPLE, serverCertificate: /a.pem, privateKey: /a.key';
const gateway = (fields: string, tls = TLS): string =>
  object(
    'Gateway',
    'front',
    `{ selector: { istio: gate }, servers: [{ port: { number: 8443, name: https, protocol: HTTPS }, hosts: ["*"], tls: { ${tls} }${fields} }] }`,
  );

test.each([
  ['a pattern that does not end', matching('uri: { regex: "(" }'), 'uri.regex: expected a pattern of RE2'],
  ['a look-ahead', matching('uri: { regex: "^(?!/admin).*" }'), 'invalid or unsupported Perl syntax: `(?!`'],
  ['a back-reference', matching('headers: { x: { regex: "(a)\\\\1" } }'), 'invalid escape sequence'],
  ['a pattern that is too large', matching('uri: { regex: "(a{1000}){3}(b{999}){3}" }'), 'invalid repeat count'],
  ['many patterns in one', matching(`uri: { regex: "${'[a-z]{900}'.repeat(5)}" }`), 'the pattern is too large'],
  [
    'a pattern of origins',
    route(`corsPolicy: { allowOrigins: [{ regex: "[" }] }, ${TO_WEB}`),
    'allowOrigins.0.regex: expected a pattern of RE2',
  ],
  [
    'a pattern to rewrite by',
    route(`rewrite: { uriRegexRewrite: { match: "(", rewrite: "" } }, ${TO_WEB}`),
    'uriRegexRewrite.match: expected',
  ],
  [
    'a group that the pattern has not',
    route(`rewrite: { uriRegexRewrite: { match: "/a/(.*)", rewrite: "/\\\\2" } }, ${TO_WEB}`),
    '\\2 stands for no group of the pattern; it has \\0 to \\1',
  ],
  [
    'a percent sign alone',
    route(`headers: { request: { set: { x: "100%" } } }, ${TO_WEB}`),
    'set.x: write %% for a percent sign',
  ],
  [
    'an unknown command',
    route(`headers: { response: { add: { x: "%NOPE%" } } }, ${TO_WEB}`),
    'Envoy has no command %NOPE%',
  ],
  [
    'a command without its argument',
    route(`headers: { request: { set: { x: "%REQ%" } } }, ${TO_WEB}`),
    'Envoy has no command %REQ%',
  ],
  [
    'a host that is removed',
    route(`headers: { request: { remove: [Host] } }, ${TO_WEB}`),
    'remove.0: a rule changes no host',
  ],
  [
    'a pseudo-header that is set',
    route(`headers: { request: { set: { ":path": /a } } }, ${TO_WEB}`),
    'a rule sets no pseudo-header',
  ],
  [
    'a status that is set',
    route(`headers: { response: { set: { ":status": "204" } } }, ${TO_WEB}`),
    'a rule changes no host and no pseudo-header',
  ],
  [
    'a condition of retries',
    route(`retries: { attempts: 1, retryOn: "5xx,gateway-eror" }, ${TO_WEB}`),
    '"gateway-eror" is no',
  ],
  ['a code of retries', route(`retries: { attempts: 1, retryOn: "5030" }, ${TO_WEB}`), '"5030" is no condition'],
  ['too many retries', route(`retries: { attempts: 5000000000 }, ${TO_WEB}`), 'retries.attempts: Too big'],
  [
    'weights beyond 32 bits',
    route(
      'route: [{ destination: { host: web }, weight: 4000000000 }, { destination: { host: web }, weight: 4000000000 }]',
    ),
    'http.0.route: the sum of the weights is more than 32 bits hold',
  ],
  ['a redirect of two lines', route('redirect: { uri: "/a\\nb" }'), 'redirect.uri: expected one line'],
  [
    'a body beyond a mebibyte',
    route(`directResponse: { status: 200, body: { string: "${'x'.repeat((1 << 20) + 1)}" } }`),
    'a body has at most 1048576 octets',
  ],
  [
    'a life that is no duration',
    policy('loadBalancer: { consistentHash: { httpCookie: { name: u, ttl: day } } }'),
    'httpCookie.ttl: expected a duration',
  ],
  [
    'a table of Maglev',
    policy('loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 1000 } } }'),
    'expected a prime number',
  ],
  [
    'a ring that is too large',
    policy('loadBalancer: { consistentHash: { useSourceIp: true, minimumRingSize: 9000000 } }'),
    'minimumRingSize: Too big',
  ],
  [
    'too many connections',
    policy('connectionPool: { tcp: { maxConnections: 5000000000 } }'),
    'maxConnections: Too big',
  ],
  [
    'too many streams',
    policy('connectionPool: { http: { maxConcurrentStreams: 3000000000 } }'),
    'maxConcurrentStreams: Too big',
  ],
  [
    'the weight of an endpoint',
    WEB.replaceAll('web', 'api').replace('labels: {', 'weight: 5000000000, labels: {'),
    'weight: Too big',
  ],
  [
    'a protocol that nobody knows',
    WEB.replaceAll('web', 'api').replace('protocol: HTTP', 'protocol: HTPP'),
    'protocol: expected a protocol: HTTP, HTTP2,',
  ],
  ['a cipher suite', gateway('', `${TLS}, cipherSuites: [NOPE]`), 'Envoy has no cipher suite "NOPE"'],
  ['a digest', gateway('', `${TLS}, verifyCertificateHash: [abc]`), 'expected a SHA-256 in hexadecimal digits'],
  ['an address that is a name', gateway(', bind: localhost'), 'bind: expected an address'],
])('%s is an error', async (_, text, message) => {
  const { findings } = await readMesh({ 'mesh.yaml': WEB + text });
  expect(findings.join('\n')).toContain(message);
  expect(findings[0]).toMatch(/^mesh\.yaml:\d+:\d+ MESH_FIELD /);
});

test('Envoy takes the largest values, and each command', async () => {
  const commands = [...PLAIN_COMMANDS].map((name) => `%${name}%`).join(' ');
  const all = await sidecar(
    WEB +
      object(
        'VirtualService',
        'web',
        `{ hosts: [web], http: [${[
          'match: [{ uri: { regex: "/[a-z0-9]{1,64}/[a-z0-9-]{36}/.*" } }, { uri: { regex: "/([a-z]{1,1000})/x" } }, { uri: { regex: "(.{1000}){1,1}" } }, { queryParams: { a: { regex: "*" } } }]',
          'rewrite: { uriRegexRewrite: { match: "/a/(.*)", rewrite: "\\\\\\\\\\\\1" } }',
          `headers: { request: { set: { x: "${commands} 50%% %REQ(:path?x):9% %START_TIME(%Y/%m)%" } } }`,
          'retries: { attempts: 4294967295, retryOn: "5xx, gateway-error,503,retriable-headers" }',
          'corsPolicy: { allowOrigins: [{ regex: "*" }] }',
          'route: [{ destination: { host: web }, weight: 4294967294 }, { destination: { host: web, port: { number: 80 } }, weight: 1 }]',
        ]
          .join(', ')
          .replace(/^/, '{ ')} }] }`,
      ) +
      policy(
        'connectionPool: { tcp: { maxConnections: 4294967295, tcpKeepalive: { time: 400ms, interval: 1500ms } }, http: { h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 2147483647 } }, loadBalancer: { consistentHash: { httpCookie: { name: u, ttl: 1h30m }, maglev: { tableSize: 5000011 } } }',
      ),
  );
  expect(await validate(all)).toMatch(/OK\s*$/);
  expect(JSON.stringify(named(all, ROUTES, '80'))).toContain('"ttl":"5400s"');
  expect(named(all, CLUSTER, 'outbound|80||web.default.svc.cluster.local')['upstream_connection_options']).toEqual({
    tcp_keepalive: { keepalive_time: 1, keepalive_interval: 2 },
  });
});

test('a host that is added takes the place of that of the request', async () => {
  const rewrites = async (text: string): Promise<string> =>
    JSON.stringify(named(await sidecar(WEB + text), ROUTES, '80')).match(/"host_rewrite_literal":"([^"]*)"/)?.[1] ?? '';
  expect(await rewrites(route(`headers: { request: { add: { host: a.example } } }, ${TO_WEB}`))).toBe('a.example');
  expect(
    await rewrites(
      route(`headers: { request: { add: { ":authority": a.example }, set: { Host: b.example } } }, ${TO_WEB}`),
    ),
  ).toBe('b.example');
});

test('a gateway with its own identity lets in the clients that it names, by the cipher suites that it names, and Envoy has these', async () => {
  const suites =
    'ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-ECDSA-AES128-SHA, ECDHE-ECDSA-AES256-SHA, ECDHE-RSA-AES128-GCM-SHA256, ECDHE-RSA-AES256-GCM-SHA384, ECDHE-RSA-CHACHA20-POLY1305, ECDHE-RSA-AES128-SHA, ECDHE-RSA-AES256-SHA, AES128-GCM-SHA256, AES256-GCM-SHA384, AES128-SHA, AES256-SHA, DES-CBC3-SHA';
  const text = gateway(
    '',
    `mode: ISTIO_MUTUAL, minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_2, subjectAltNames: [spiffe://cluster.local/ns/default/sa/client], cipherSuites: [${suites}, "[AES128-SHA|AES256-SHA]"]`,
  );
  const { mesh, findings } = await readMesh(
    {
      'mesh.yaml':
        WEB + text + object('VirtualService', 'web', `{ hosts: ["*"], gateways: [front], http: [{ ${TO_WEB} }] }`),
    },
    { identities: { trustDomain: 'cluster.local', trustDomainAliases: [] } },
  );
  expect(findings).toEqual([]);
  const identity = 'spiffe://cluster.local/ns/default/sa/default';
  const all = resourcesFor(
    mesh,
    'router~10.1.0.9~gate-1.default~default.svc.cluster.local',
    { LABELS: { istio: 'gate' }, SDS_CLUSTER: 'sds-grpc' },
    identity,
  );
  const listener = JSON.stringify(named(all, LISTENER, '0.0.0.0_8443'));
  expect(listener).toContain('"tls_maximum_protocol_version":"TLSv1_2"');
  expect(listener).toContain('DES-CBC3-SHA');
  const client = 'spiffe://cluster.local/ns/default/sa/client';
  expect(listener).toContain(`"match_typed_subject_alt_names":[{"san_type":"URI","matcher":{"exact":"${client}"}}`);
  expect(listener).not.toContain('"prefix":"spiffe:');
  expect(await validate(all)).toMatch(/OK\s*$/);
});
