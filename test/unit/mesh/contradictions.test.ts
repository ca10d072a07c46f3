/** Fields and objects that contradict each other: istiod's validation refuses most of them, Envoy would take them and do something else. */
import { describe, expect, test } from 'vitest';
import { checkReferences } from '../../../src/mesh/check-references.ts';
import { DEFAULT_SETTINGS, meshOf } from '../../../src/mesh/model/mesh.ts';
import { readObjects } from '../../../src/mesh/sources/objects.ts';
import { positionText } from '../../../src/yaml/source-text.ts';
import { Findings } from '../../../src/yaml/findings.ts';

const SERVICE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: web }
spec: { hosts: [web.default.svc.cluster.local], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: DNS }
`;

async function findingsOf(text: string): Promise<readonly string[]> {
  const findings = new Findings();
  const files = [
    { file: 'web.yaml', text: SERVICE },
    { file: 'a.yaml', text },
  ];
  checkReferences(meshOf(await readObjects(files, findings), DEFAULT_SETTINGS), findings);
  return findings
    .sorted(files.map(({ file }) => file))
    .map(({ position, severity, code, message }) => `${positionText(position)} ${severity} ${code} ${message}`);
}

const object = (kind: string, spec: string, name = 'a'): string =>
  `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
const WEB = '{ destination: { host: web } }';
const route = (more: string): string =>
  object('VirtualService', `{ hosts: [web], http: [{ route: [${WEB}], ${more} }] }`);
const policy = (text: string): string => object('DestinationRule', `{ host: web, trafficPolicy: { ${text} } }`);
const balanced = (text: string): string => policy(`loadBalancer: { ${text} }`);
const entry = (text: string): string =>
  object(
    'ServiceEntry',
    `{ hosts: [a.example.com], resolution: STATIC, ports: [{ number: 80, name: http, protocol: HTTP }], ${text} }`,
  );
const server = (text: string, name = 'a'): string =>
  object('Gateway', `{ selector: { istio: front }, servers: [{ ${text} }] }`, name);
const HTTPS = 'port: { number: 443, name: https, protocol: HTTPS }, hosts: [a.example.com]';

describe('an error is', () => {
  test.for([
    [
      'mirror beside mirrors',
      route(`mirror: { host: web }, mirrors: [${WEB}]`),
      'http.0.mirror: expected one of mirror and mirrors',
    ],
    ['a rewrite of nothing', route('rewrite: {}'), 'http.0.rewrite: expected uri, uriRegexRewrite or authority'],
    ['a fault of nothing', route('fault: {}'), 'http.0.fault: expected delay or abort'],
    [
      'a redirect to nowhere',
      object('VirtualService', '{ hosts: [web], http: [{ redirect: {} }] }'),
      'http.0.redirect: expected uri, authority, scheme or port',
    ],
    [
      'a time for retries that there are not',
      route('retries: { perTryTimeout: 1s }'),
      'http.0.retries.attempts: it is missing; without attempts nothing is tried again',
    ],
    [
      'a share that Envoy counts as none',
      route('mirror: { host: web }, mirrorPercentage: { value: 0.00001 }'),
      'expected 0, or at least 0.0001',
    ],
    [
      'a method in small letters',
      route('corsPolicy: { allowMethods: [get] }'),
      'allowMethods.0: methods are in capitals, as in GET',
    ],
    [
      'two names of headers as one',
      route('corsPolicy: { allowHeaders: ["a, b"] }'),
      'allowHeaders.0: expected the name of a header',
    ],
    [
      'a label that no pod has',
      route('match: [{ sourceLabels: { app: "*" } }]'),
      'sourceLabels.app: expected the value of a label',
    ],
    [
      'a key of a label that no pod has',
      route('match: [{ sourceLabels: { "a b": c } }]'),
      'expected the key of a label',
    ],
    [
      'connections by weights of zero',
      object('VirtualService', `{ hosts: [web], tcp: [{ route: [${WEB}, ${WEB}] }] }`),
      'tcp.0.route: the sum of the weights must be above 0',
    ],
    [
      'a delegate with gateways',
      object('VirtualService', `{ gateways: [front], http: [{ route: [${WEB}] }] }`),
      'gateways: a delegate has the gateways of the rule that delegates to it',
    ],
    [
      'two sizes of a ring',
      balanced('consistentHash: { useSourceIp: true, minimumRingSize: 10, maglev: {} }'),
      'expected one of ringHash and maglev',
    ],
    [
      'shares of one region in two',
      balanced('localityLbSetting: { distribute: [{ from: a, to: { b: 50, b/c: 50 } }] }'),
      'b and b/c have endpoints in common',
    ],
    [
      'shares from one region twice',
      balanced('localityLbSetting: { distribute: [{ from: a, to: { b: 100 } }, { from: a, to: { c: 100 } }] }'),
      'distribute[0] is from a, too',
    ],
    [
      'two protocols to the service',
      policy('connectionPool: { http: { h2UpgradePolicy: UPGRADE, useClientProtocol: true } }'),
      'expected one of h2UpgradePolicy UPGRADE',
    ],
    [
      'local failures that are not counted apart',
      policy('outlierDetection: { consecutiveLocalOriginFailures: 3 }'),
      'write it, too',
    ],
    [
      'a certificate of no file',
      policy('tls: { mode: MUTUAL, clientCertificate: "", privateKey: "" }'),
      'mode MUTUAL needs credentialName',
    ],
    [
      'a redirect of what has TLS',
      server(`${HTTPS}, tls: { mode: SIMPLE, credentialName: x, httpsRedirect: true }`),
      'tls.httpsRedirect: calls of protocol HTTPS have TLS already',
    ],
    [
      'TLS at a port of HTTP',
      server(
        'port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"], tls: { mode: SIMPLE, credentialName: x, httpsRedirect: true }',
      ),
      'a server of protocol HTTP has no tls.mode',
    ],
    [
      'a locality of four parts',
      entry('endpoints: [{ address: 10.0.0.1, locality: a/b/c/d }]'),
      'endpoints.0.locality: expected region, region/zone or region/zone/sub-zone',
    ],
    [
      'a locality with an empty part',
      object('WorkloadEntry', '{ address: 10.0.0.1, locality: a//c }'),
      'locality: expected region',
    ],
    [
      'two hosts that connections do not name',
      object(
        'ServiceEntry',
        '{ hosts: [a.example.com, b.example.com], resolution: DNS, ports: [{ number: 25, name: smtp, protocol: TCP }] }',
      ),
      'hosts.1: connections to port 25 do not say for which host they are',
    ],
    [
      'a socket with a port',
      entry('endpoints: [{ address: "unix:///run/a", ports: { http: 1 } }]'),
      'a socket needs resolution STATIC, and has no ports',
    ],
    [
      'a socket of half a path',
      object('WorkloadEntry', '{ address: "unix://a" }'),
      'expected the whole path of the socket',
    ],
    ['a range of endpoints', object('WorkloadEntry', '{ address: 10.0.0.0/8 }'), 'an endpoint is one address or name'],
    [
      'an application at port 0',
      object(
        'Sidecar',
        '{ ingress: [{ port: { number: 80, name: x, protocol: HTTP }, defaultEndpoint: "127.0.0.1:0" }] }',
      ),
      'expected a port of 1 to 65535',
    ],
    [
      'a wildcard within a host',
      object('Sidecar', '{ egress: [{ hosts: ["./a*.com"] }] }'),
      'expected the name of a host after the /',
    ],
    [
      'a port that is opened twice',
      object(
        'Sidecar',
        '{ egress: [{ port: { number: 80, name: x, protocol: HTTP }, hosts: ["*/*"] }, { port: { number: 80, name: z, protocol: HTTP }, hosts: ["*/*"] }] }',
      ),
      'egress[0] has this port, too',
    ],
  ] as const)('%s', async ([, text, expected]) => {
    const [first = 'nothing', ...others] = await findingsOf(text);
    expect(first).toMatch(/^a\.yaml:4:\d+ error MESH_FIELD /);
    expect(first).toContain(expected);
    expect(others).toEqual([]);
  });
});

describe('a warning is', () => {
  const PLAIN = 'port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"]';
  const PASSED = 'port: { number: 443, name: tls, protocol: TLS }, tls: { mode: PASSTHROUGH }';
  test.for([
    [
      'warm-up with RANDOM',
      balanced('simple: RANDOM, warmup: { duration: 10s }'),
      'a.yaml:4:77 warning MESH_RULE with RANDOM new endpoints get their whole share at once, so warmup has no effect',
    ],
    [
      'warm-up with PASSTHROUGH',
      balanced('simple: PASSTHROUGH, warmupDurationSecs: 10s'),
      'so warmupDurationSecs has no effect',
    ],
    [
      'warm-up with a hash',
      balanced('consistentHash: { useSourceIp: true }, warmup: { duration: 10s }'),
      'with consistentHash new endpoints',
    ],
    [
      'a match that stands before',
      object(
        'VirtualService',
        `{ hosts: [web], http: [{ match: [{ uri: { prefix: /a } }], route: [${WEB}] }, { match: [{ uri: { prefix: /a } }], route: [${WEB}] }] }`,
      ),
      'http[0].match[0] before it is the same',
    ],
    [
      'TCP at a port of HTTP',
      `${server(PLAIN)}---\n${server('port: { number: 80, name: tcp, protocol: TCP }, hosts: ["*"]', 'b')}`,
      'a.yaml:9:55 warning MESH_UNUSED connections to port 80 go to the server of HTTP of default/a, so this one of TCP is left out',
    ],
    [
      'one passed host of two Gateways',
      `${server(`${PASSED}, hosts: [a.example.com]`)}---\n${server(`${PASSED}, hosts: [a.example.com]`, 'b')}`,
      'TLS to a.example.com at port 443 goes to the older server of default/a; rules of this one hold for nobody',
    ],
    [
      'a certificate for TLS that is passed on',
      server(`${HTTPS}, tls: { credentialName: x }`),
      'mode PASSTHROUGH passes TLS on as it is, so credentialName has no effect',
    ],
  ] as const)('%s', async ([, text, expected]) => {
    expect(await findingsOf(text)).toEqual([expect.stringContaining(expected)]);
  });

  test.for([
    ['RANDOM without warm-up', balanced('simple: RANDOM')],
    ['warm-up with ROUND_ROBIN', balanced('simple: ROUND_ROBIN, warmup: { duration: 10s }')],
    [
      'hosts of two Gateways under one wildcard',
      `${server(`${PASSED}, hosts: ["*.example.com"]`)}---\n${server(`${PASSED}, hosts: ["*.example.com"]`, 'b')}`,
    ],
    [
      'TLS beside HTTP',
      `${server(PLAIN)}---\n${server(`port: { number: 80, name: tls, protocol: TLS }, hosts: [a.example.com], tls: { mode: PASSTHROUGH }`, 'b')}`,
    ],
    [
      'gateways of other workloads',
      `${server(PLAIN)}---\n${server('port: { number: 80, name: tcp, protocol: TCP }, hosts: ["*"]', 'b').replace('front', 'back')}`,
    ],
  ] as const)('not %s', async ([, text]) => {
    expect(await findingsOf(text)).toEqual([]);
  });
});
