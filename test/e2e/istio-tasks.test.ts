/**
 * Tasks of Istio's documentation, as an operator who comes from Istio takes them: their objects, pods with real Envoys behind the rules of
 * interception, and what the traffic does then. Other files have those of the Bookinfo sample, mutual TLS, tokens and connections.
 */
import { chmod, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Authority, makeAuthority } from '../parts/certificates.ts';
import { debianProgram } from '../parts/fetch.ts';
import { tokenIssuer } from '../parts/identity/secure-port.ts';
import { type PodMesh, podMesh, type PodSpec } from '../parts/mesh/pods.ts';
import { type Agent, type Namespace, nodeAddress, podAddress, whyNoNamespaces } from '../parts/network-namespace.ts';
import { until } from './sluice.ts';

const [CURL, V1, V2, INGRESS, EGRESS] = [0, 1, 2, 3, 4];
const [HTTPBIN, TCP_ECHO, IN_SERVICE, OUT_SERVICE] = ['10.96.0.1', '10.96.0.2', '10.96.0.3', '10.96.0.4'];
const NODE = nodeAddress(0);

const sidecar = (name: string, app: string, version: string, zone: string): PodSpec => ({
  name,
  namespace: 'default',
  type: 'sidecar',
  labels: {
    app,
    version,
    'security.istio.io/tlsMode': 'istio',
    'topology.kubernetes.io/region': 'region1',
    'topology.kubernetes.io/zone': zone,
  },
});
const router = (istio: string): PodSpec => ({
  name: `istio-${istio}`,
  namespace: 'istio-system',
  type: 'router',
  labels: { app: `istio-${istio}`, istio },
});
const PODS: readonly PodSpec[] = [
  sidecar('curl', 'curl', 'v1', 'zone1'),
  sidecar('httpbin-v1', 'httpbin', 'v1', 'zone1'),
  sidecar('httpbin-v2', 'httpbin', 'v2', 'zone2'),
  router('ingressgateway'),
  router('egressgateway'),
];

const SECURITY = ['AuthorizationPolicy', 'RequestAuthentication'];
const object = (kind: string, name: string, spec: string, namespace = 'default'): string => {
  const api = SECURITY.includes(kind) ? 'security.istio.io/v1' : kind === 'Service' ? 'v1' : 'networking.istio.io/v1';
  const indented = spec.replaceAll(/^/gm, '  ');
  return `---\napiVersion: ${api}\nkind: ${kind}\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec:\n${indented}\n`;
};
const pod = ({ name, namespace, labels }: PodSpec, at: number): string =>
  `---\n${JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: { serviceAccountName: name, containers: [] },
    status: { podIP: podAddress(at) },
  })}\n`;
/** The gateways' services are those of Istio's profile demo. */
const OBJECTS = [
  ...PODS.map(pod),
  object(
    'Service',
    'httpbin',
    `clusterIP: ${HTTPBIN}\nselector: { app: httpbin }\nports: [{ name: http, port: 8000, targetPort: 8080 }]`,
  ),
  object(
    'Service',
    'tcp-echo',
    `clusterIP: ${TCP_ECHO}\nselector: { app: httpbin }\nports: [{ name: tcp, port: 9000 }, { name: tcp-other, port: 9001 }]`,
  ),
  object(
    'Service',
    'istio-ingressgateway',
    `clusterIP: ${IN_SERVICE}\nselector: { istio: ingressgateway }\nports: [{ name: http2, port: 80, targetPort: 8080 }, { name: https, port: 443, targetPort: 8443 }, { name: tcp, port: 31400 }]`,
    'istio-system',
  ),
  object(
    'Service',
    'istio-egressgateway',
    `clusterIP: ${OUT_SERVICE}\nselector: { istio: egressgateway }\nports: [{ name: http2, port: 80, targetPort: 8080 }, { name: https, port: 443, targetPort: 8443 }]`,
    'istio-system',
  ),
].join('');

const NO_POLICY = 'rules: [{ name: none, match: "false", deny: {} }]\n';

const whyNot = await whyNoNamespaces();
let mesh: PodMesh;
let authority: Authority;
/** On the node, outside of the mesh. */
let outside: Agent;

/** `STATUS BODY`, or `failed CODE` with the exit code of curl. */
async function curl(from: Namespace, ...args: readonly string[]): Promise<string> {
  try {
    const out = await from.run('curl', '-s', '-m', '5', '-w', '\\n%{http_code}', ...args);
    const at = out.lastIndexOf('\n');
    return `${out.slice(at + 1)} ${out.slice(0, at)}`.trim();
  } catch (error) {
    return `failed ${(error as { code?: number }).code}`;
  }
}
/** From the application of the pod `curl`. */
const app = (...args: readonly string[]): Promise<string> => curl(mesh.pods[CURL] as Namespace, ...args);
const httpbin = (path: string, ...args: readonly string[]): Promise<string> =>
  app(`http://${HTTPBIN}:8000${path}`, '-H', 'Host: httpbin:8000', ...args);
/** A host outside of the mesh, whose name stands for the node. */
const far = (url: string): Promise<string> => {
  const { hostname, port, protocol } = new URL(url);
  const at = `${hostname}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}:${NODE}`;
  return app(url, '--resolve', at, '--cacert', authority.ca);
};
const HTTP_CNN = 'http://edition.cnn.com/politics';
const TLS_CNN = 'https://edition.cnn.com/politics';
/** From outside, to the port of the pod of the ingress gateway; `host` is that of the call. */
const ingress = (path: string, host = 'httpbin.example.com', ...args: readonly string[]): Promise<string> =>
  curl(mesh.node, `http://${podAddress(INGRESS)}:8080${path}`, '-H', `Host: ${host}`, ...args);

/** On a busy machine Sluice may be late for a check, which passes then, and a proxy may hold a connection of an earlier test. */
const expectOf = (call: () => Promise<unknown>): ReturnType<typeof expect.poll> =>
  expect.poll(call, { timeout: 20_000 });

/** How many of the calls each version answers. */
async function versions(count: number): Promise<{ readonly v1: number; readonly v2: number }> {
  const answers = await httpbin(`/get?[1-${count}]`);
  const of = (name: string): number => answers.split(`${name} from`).length - 1;
  return { v1: of('v1'), v2: of('v2') };
}

beforeAll(async () => {
  if (whyNot !== undefined) return;
  await debianProgram('curl');
  authority = await makeAuthority();
  await chmod(authority.folder, 0o755); // of the proxies' user, too
  mesh = await podMesh({
    pods: PODS,
    objects: OBJECTS,
    policy: NO_POLICY,
    hosts: ['httpbin.org', 'edition.cnn.com', 'www.wikipedia.org', 'nginx.example.com'],
    systemRoots: authority.ca,
    meshConfig: 'outboundTrafficPolicy: { mode: REGISTRY_ONLY }',
  });
  const shows = ['x-jwt-claim-foo'];
  outside = await mesh.node.agent(0);
  for (const at of [V1, V2]) {
    const agent = await (mesh.pods[at] as Namespace).agent(2000);
    await agent.serve({ host: '0.0.0.0', port: 8080, name: `v${at}`, shows });
    await agent.listen({ host: '0.0.0.0', port: 9000, name: `v${at}` });
  }
  const names = ['edition.cnn.com', '*.wikipedia.org', 'nginx.example.com', 'my-nginx.mesh-external.svc.cluster.local'];
  const pair = await authority.issue('outside', names.map((name) => `DNS:${name}`).join());
  await outside.serve({ host: NODE, port: 80, name: 'outside', shows });
  await outside.serve({ host: NODE, port: 443, name: 'by TLS', tls: pair });
  await outside.serve({ host: NODE, port: 31443, name: 'nginx', tls: { ...pair, ca: authority.ca } });
}, 60_000);
afterAll(async () => {
  await mesh?.stop();
  await authority?.remove();
});
beforeEach(async (context) => {
  if (whyNot !== undefined) context.skip(whyNot);
  await mesh.enforce(NO_POLICY);
});

// ---------------------------------------------------------- ingress

const server = (number: number, protocol: string, hosts: string, more = ''): string =>
  `selector: { istio: ingressgateway }\nservers: [{ port: { number: ${number}, name: one, protocol: ${protocol} }, hosts: ["${hosts}"]${more} }]`;
const INGRESS_RULES =
  object('Gateway', 'httpbin-gateway', server(80, 'HTTP', 'httpbin.example.com')) +
  object(
    'VirtualService',
    'httpbin',
    `hosts: [httpbin.example.com]
gateways: [httpbin-gateway]
http:
- match: [{ uri: { prefix: /status } }, { uri: { prefix: /delay } }, { uri: { prefix: /headers } }]
  route: [{ destination: { port: { number: 8000 }, host: httpbin } }]`,
  );

test('ingress gateways: at the target port of their service, by host and path', async () => {
  await mesh.apply(INGRESS_RULES);
  await expectOf(() => ingress('/status/418')).toMatch(/^418 v[12] from .* for httpbin\.example\.com\/status\/418/);
  await expectOf(() => ingress('/get')).toBe('404');
  await expectOf(() => ingress('/status/200', 'other.example.com')).toBe('404');
});

test('access control of ingress gateways: by the address of the client', async () => {
  const from = (action: string, source: string): string =>
    object(
      'AuthorizationPolicy',
      'ingress-policy',
      `selector: { matchLabels: { app: istio-ingressgateway } }\naction: ${action}\nrules: [{ from: [{ source: { ${source} } }] }]`,
      'istio-system',
    );
  const own = nodeAddress(INGRESS);
  await mesh.enforce(from('ALLOW', 'ipBlocks: [1.2.3.4, 5.6.7.0/24]'));
  await expectOf(() => ingress('/status/200')).toBe('403');
  await expectOf(() => httpbin('/get')).toMatch(/^200 /);
  await mesh.enforce(from('ALLOW', `remoteIpBlocks: [1.2.3.4, ${own}]`));
  await expectOf(() => ingress('/status/200')).toMatch(/^200 /);
  await mesh.enforce(from('DENY', `ipBlocks: [${own}]`));
  await expectOf(() => ingress('/status/200', undefined, '-H', 'x-forwarded-for: 1.2.3.4')).toBe('403');
});

test('tokens: at an ingress gateway, for a group, and as a header', async () => {
  const issuer = await tokenIssuer();
  const token = async (claims: Record<string, unknown>): Promise<readonly string[]> => {
    const text = await issuer.token('', { iss: 'testing@secure.istio.io', sub: 'testing@secure.istio.io', ...claims });
    return ['-H', `Authorization: Bearer ${text}`];
  };
  const [plain, member] = [await token({}), await token({ groups: ['group1', 'group2'], foo: 'bar' })];
  const tokens = (label: string, namespace: string, more = ''): string =>
    object(
      'RequestAuthentication',
      'jwt-example',
      `selector: { matchLabels: { ${label} } }\njwtRules: [{ issuer: testing@secure.istio.io, jwks: '${JSON.stringify(issuer.jwks)}'${more} }]`,
      namespace,
    );
  const claims = ', outputClaimToHeaders: [{ header: x-jwt-claim-foo, claim: foo }]';
  await mesh.enforce(
    tokens('istio: ingressgateway', 'istio-system') +
      object(
        'AuthorizationPolicy',
        'frontend-ingress',
        'selector: { matchLabels: { istio: ingressgateway } }\naction: DENY\nrules: [{ from: [{ source: { notRequestPrincipals: ["*"] } }], to: [{ operation: { paths: [/headers] } }] }]',
        'istio-system',
      ) +
      tokens('app: httpbin', 'default', claims) +
      object(
        'AuthorizationPolicy',
        'require-jwt',
        `selector: { matchLabels: { app: httpbin } }
rules:
- from: [{ source: { requestPrincipals: [testing@secure.istio.io/testing@secure.istio.io] } }]
  when: [{ key: "request.auth.claims[groups]", values: [group1] }]
- from: [{ source: { principals: [cluster.local/ns/istio-system/sa/istio-ingressgateway] } }]`,
      ),
  );
  await expectOf(() => ingress('/headers')).toBe('403');
  await expectOf(() => ingress('/headers', undefined, ...plain)).toMatch(/^200 /);
  await expectOf(() => ingress('/status/200')).toMatch(/^200 /);
  await expectOf(() => ingress('/status/200', undefined, '-H', 'Authorization: Bearer none')).toBe('401');
  await expectOf(async () => [await httpbin('/headers'), await httpbin('/headers', ...plain)]).toEqual(['403', '403']);
  await expectOf(() => httpbin('/headers', ...member, '-H', 'x-jwt-claim-foo: forged')).toMatch(
    /^200 .* x-jwt-claim-foo=bar$/,
  );
});

test('ingress of TLS without termination: by server name', async () => {
  await mesh.apply(
    object(
      'ServiceEntry',
      'nginx',
      `hosts: [my-nginx.default.svc.cluster.local]\nports: [{ number: 443, name: https, protocol: HTTPS }]\nresolution: STATIC\nendpoints: [{ address: ${NODE} }]`,
    ) +
      object('Gateway', 'mygateway', server(443, 'HTTPS', 'nginx.example.com', ', tls: { mode: PASSTHROUGH }')) +
      object(
        'VirtualService',
        'nginx',
        `hosts: [nginx.example.com]
gateways: [mygateway]
tls: [{ match: [{ port: 443, sniHosts: [nginx.example.com] }], route: [{ destination: { host: my-nginx, port: { number: 443 } } }] }]`,
      ),
  );
  const by = (name: string): Promise<string> =>
    curl(
      mesh.node,
      `https://${name}:8443/`,
      '--resolve',
      `${name}:8443:${podAddress(INGRESS)}`,
      '--cacert',
      authority.ca,
    );
  await expectOf(() => by('nginx.example.com')).toBe(
    `200 by TLS from ${podAddress(INGRESS)} for nginx.example.com:8443/`,
  );
  await expectOf(() => by('other.example.com')).toBe('failed 35');
});

// ---------------------------------------------------------- within the mesh

test('shifting of TCP: by shares, through a gateway', async () => {
  const to = (subset: string, weight: number): string =>
    `{ destination: { host: tcp-echo, port: { number: 9000 }, subset: ${subset} }, weight: ${weight} }`;
  await mesh.apply(
    object('Gateway', 'tcp-echo-gateway', server(31400, 'TCP', '*')) +
      object(
        'DestinationRule',
        'tcp-echo-destination',
        'host: tcp-echo\nsubsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]',
      ) +
      object(
        'VirtualService',
        'tcp-echo',
        `hosts: ["*"]\ngateways: [tcp-echo-gateway]\ntcp: [{ match: [{ port: 31400 }], route: [${to('v1', 80)}, ${to('v2', 20)}] }]`,
      ),
  );
  const call = (): Promise<string> => outside.connect({ host: podAddress(INGRESS), port: 31400 });
  const answers = await Promise.all(Array.from({ length: 200 }, call));
  const [v1, v2] = ['v1 from', 'v2 from'].map((text) => answers.filter((answer) => answer.startsWith(text)).length);
  expect((v1 ?? 0) + (v2 ?? 0)).toBe(200);
  expect(v2).toBeGreaterThan(15);
  expect(v2).toBeLessThan(70);
});

test('localities: shares of calls, and failover to the next zone', async () => {
  const near = (setting: string): string =>
    object(
      'DestinationRule',
      'httpbin',
      `host: httpbin.default.svc.cluster.local
trafficPolicy:
  connectionPool: { http: { maxRequestsPerConnection: 1 } }
  loadBalancer: { simple: ROUND_ROBIN, localityLbSetting: { enabled: true, ${setting} } }
  outlierDetection: { consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 1m, maxEjectionPercent: 100 }`,
    );
  await mesh.apply(
    near('distribute: [{ from: region1/zone1/*, to: { "region1/zone1/*": 70, "region1/zone2/*": 30 } }]'),
  );
  const { v1, v2 } = await versions(100);
  expect(v1 + v2).toBe(100);
  expect(Math.abs(v2 - 30)).toBeLessThan(10);
  await mesh.apply(near('failover: [{ from: region1, to: region2 }]'));
  expect(await versions(5)).toEqual({ v1: 5, v2: 0 });
  await expectOf(() => httpbin('/status/503')).toMatch(/^503 v1/);
  await until('the failover', async () => (await httpbin('/get')).includes('v2') || undefined);
  expect(await versions(5)).toEqual({ v1: 0, v2: 5 });
});

test('authorization: nothing, one client by its certificate, a denial by a header, a trial, a decision of others', async () => {
  await mesh.apply('');
  const policy = (name: string, spec: string): string =>
    object('AuthorizationPolicy', name, `selector: { matchLabels: { app: httpbin } }\n${spec}`);
  const deny = policy(
    'deny-method-get',
    'action: DENY\nrules: [{ to: [{ operation: { methods: [GET] } }], when: [{ key: "request.headers[x-token]", notValues: [admin] }] }]',
  );
  const viewer = policy(
    'viewer',
    'rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/curl] } }], to: [{ operation: { methods: [GET] } }] }]',
  );
  await mesh.enforce(object('AuthorizationPolicy', 'allow-nothing', '{}'));
  await expectOf(() => httpbin('/get')).toBe('403');
  await mesh.enforce(object('AuthorizationPolicy', 'allow-nothing', '{}') + viewer);
  await expectOf(() => httpbin('/get')).toMatch(/^200 /);
  await expectOf(() => httpbin('/get', '-X', 'POST')).toBe('403');
  await expectOf(() => curl(mesh.node, `http://${podAddress(V1)}:8080/get`)).toBe('403');
  await mesh.enforce(viewer + deny);
  await expectOf(() => httpbin('/get', '-H', 'x-token: admin')).toMatch(/^200 /);
  await expectOf(async () => [await httpbin('/get', '-H', 'x-token: guest'), await httpbin('/get')]).toEqual([
    '403',
    '403',
  ]);
  await mesh.enforce(deny.replace('metadata: {', 'metadata: { annotations: { istio.io/dry-run: "true" },'));
  await expectOf(() => httpbin('/get')).toMatch(/^200 /);
  await expectOf(() => curl(mesh.node, 'http://127.0.0.1:9092/metrics')).toMatch(
    /sluice_rule_shadow_total\{rule="ns\[default\]-policy\[deny-method-get\]-rule\[0\]"\} [1-9]/,
  );
  await mesh.enforce(
    `handlers: { sample: { adapter: check-list, config: { values: [allow] } } }
settings: { istio: { providers: { sample-ext-authz-grpc: { handler: sample, input: { value: 'has(request.headers) ? request.headers[?"x-ext-authz"].orValue("") : ""' } } } } }
${policy('ext-authz', 'action: CUSTOM\nprovider: { name: sample-ext-authz-grpc }\nrules: [{ to: [{ operation: { paths: [/headers] } }] }]')}`,
  );
  await expectOf(() => httpbin('/headers', '-H', 'x-ext-authz: allow')).toMatch(/^200 /);
  await expectOf(async () => [await httpbin('/headers', '-H', 'x-ext-authz: deny'), await httpbin('/headers')]).toEqual(
    ['403', '403'],
  );
  await expectOf(() => httpbin('/get')).toMatch(/^200 /);
});

// ---------------------------------------------------------- egress

const HTTP_PORT = '{ number: 80, name: http-port, protocol: HTTP }';
const TLS_PORT = '{ number: 443, name: https, protocol: HTTPS }';
const cnn = (...ports: readonly string[]): string =>
  object('ServiceEntry', 'cnn', `hosts: [edition.cnn.com]\nports: [${ports.join(', ')}]\nresolution: DNS`);
const VIA = 'host: istio-egressgateway.istio-system.svc.cluster.local';
const egressGateway = (number: number, protocol: string, host: string, more = ''): string =>
  object('Gateway', 'istio-egressgateway', server(number, protocol, host, more).replace('ingress', 'egress'));
/** From the gateway of the client to that of the mesh, and from there to the host. */
const through = (kind: 'http' | 'tls', host: string, at: number, to: number, target = host): string => {
  const sni = kind === 'tls' ? `, sniHosts: ["${host}"]` : '';
  return object(
    'VirtualService',
    'through-egress-gateway',
    `hosts: ["${host}"]
gateways: [istio-egressgateway, mesh]
${kind}:
- match: [{ gateways: [mesh], port: ${at}${sni} }]
  route: [{ destination: { ${VIA}, subset: cnn, port: { number: ${at} } }, weight: 100 }]
- match: [{ gateways: [istio-egressgateway], port: ${at}${sni} }]
  route: [{ destination: { host: ${target}, port: { number: ${to} } }, weight: 100 }]`,
  );
};
const subset = (more = ''): string =>
  object('DestinationRule', 'egressgateway-for-cnn', `${VIA}\nsubsets: [{ name: cnn${more} }]`);

test('egress: nobody but those of a ServiceEntry, with a timeout, and with TLS that the sidecar begins', async () => {
  await expectOf(async () => [await far(HTTP_CNN), await far(TLS_CNN)]).toEqual(['502', 'failed 35']);
  const entry =
    'hosts: [httpbin.org]\nports: [{ number: 80, name: http, protocol: HTTP }]\nresolution: DNS\nlocation: MESH_EXTERNAL';
  const route =
    'hosts: [httpbin.org]\nhttp: [{ timeout: 2s, route: [{ destination: { host: httpbin.org }, weight: 100 }] }]';
  await mesh.apply(
    object('ServiceEntry', 'httpbin-ext', entry) +
      object('VirtualService', 'httpbin-ext', route) +
      cnn(HTTP_PORT.replace(' }', ', targetPort: 443 }'), TLS_PORT) +
      object(
        'DestinationRule',
        'edition-cnn-com',
        'host: edition.cnn.com\ntrafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: SIMPLE } }] }',
      ),
  );
  await expectOf(() => far('http://httpbin.org/headers')).toMatch(/^200 outside/);
  await expectOf(() => far('http://httpbin.org/delay/4000')).toMatch(/^504 /);
  const own = `200 by TLS from ${podAddress(CURL)} for edition.cnn.com/politics`;
  await expectOf(async () => [await far(HTTP_CNN), await far(TLS_CNN)]).toEqual([own, own]);
});

test('egress gateways: for HTTP, for TLS of the application, and with TLS that they begin', async () => {
  const own = `from ${podAddress(EGRESS)} for edition.cnn.com/politics`;
  await mesh.apply(
    cnn(HTTP_PORT, TLS_PORT) +
      egressGateway(80, 'HTTP', 'edition.cnn.com') +
      subset() +
      through('http', 'edition.cnn.com', 80, 80),
  );
  await expectOf(() => far(HTTP_CNN)).toMatch(`200 outside ${own}`);
  await mesh.apply(
    cnn('{ number: 443, name: tls, protocol: TLS }') +
      egressGateway(443, 'TLS', 'edition.cnn.com', ', tls: { mode: PASSTHROUGH }') +
      subset() +
      through('tls', 'edition.cnn.com', 443, 443),
  );
  await expectOf(() => far(TLS_CNN)).toMatch(`200 by TLS ${own}`);
  await mesh.apply(
    cnn(HTTP_PORT, TLS_PORT) +
      egressGateway(80, 'HTTPS', 'edition.cnn.com', ', tls: { mode: ISTIO_MUTUAL }') +
      subset(
        ', trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: ISTIO_MUTUAL, sni: edition.cnn.com } }] }',
      ) +
      through('http', 'edition.cnn.com', 80, 443) +
      object(
        'DestinationRule',
        'originate-tls-for-edition-cnn-com',
        'host: edition.cnn.com\ntrafficPolicy: { portLevelSettings: [{ port: { number: 443 }, tls: { mode: SIMPLE } }] }',
      ),
  );
  await expectOf(() => far(HTTP_CNN)).toMatch(`200 by TLS ${own}`);
});

test('mutual TLS to servers outside, with the credential of a Secret: from the sidecar, and from the egress gateway', async () => {
  const pair = await authority.issue('client', 'DNS:client.example.com');
  const secret = async (namespace: string): Promise<string> =>
    `---\n${JSON.stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'client-credential', namespace },
      stringData: {
        'tls.crt': await readFile(pair.cert, 'utf8'),
        'tls.key': await readFile(pair.key, 'utf8'),
        'ca.crt': await readFile(authority.ca, 'utf8'),
      },
    })}\n`;
  const mutual = (host: string, port: number, more = ''): string =>
    `${more}host: ${host}\ntrafficPolicy: { portLevelSettings: [{ port: { number: ${port} }, tls: { mode: MUTUAL, credentialName: client-credential, sni: ${host} } }] }`;
  const host = 'my-nginx.mesh-external.svc.cluster.local';
  await mesh.apply(
    (await secret('default')) +
      object(
        'ServiceEntry',
        'originate-mtls-for-nginx',
        `exportTo: [.]\nhosts: [${host}]\nlocation: MESH_EXTERNAL\nports: [{ name: http, number: 31443, protocol: HTTP }]\nresolution: NONE`,
      ) +
      object(
        'DestinationRule',
        'originate-mtls-for-nginx',
        mutual(host, 31443, 'workloadSelector: { matchLabels: { app: curl } }\n'),
      ),
  );
  await expectOf(() => far(`http://${host}:31443/`)).toMatch(`200 nginx from ${podAddress(CURL)}`);
  await mesh.apply(
    (await secret('istio-system')) +
      object(
        'ServiceEntry',
        'nginx',
        `hosts: [nginx.example.com]\nports: [${HTTP_PORT}, ${TLS_PORT}]\nresolution: DNS\nendpoints: [{ address: ${NODE}, ports: { https: 31443 } }]`,
      ) +
      egressGateway(443, 'HTTPS', 'nginx.example.com', ', tls: { mode: ISTIO_MUTUAL }') +
      subset(
        ', trafficPolicy: { portLevelSettings: [{ port: { number: 443 }, tls: { mode: ISTIO_MUTUAL, sni: nginx.example.com } }] }',
      ) +
      object(
        'VirtualService',
        'direct-nginx-through-egress-gateway',
        `hosts: [nginx.example.com]
gateways: [istio-egressgateway, mesh]
http:
- match: [{ gateways: [mesh], port: 80 }]
  route: [{ destination: { ${VIA}, subset: cnn, port: { number: 443 } }, weight: 100 }]
- match: [{ gateways: [istio-egressgateway], port: 443 }]
  route: [{ destination: { host: nginx.example.com, port: { number: 443 } }, weight: 100 }]`,
      ) +
      object('DestinationRule', 'originate-mtls-for-nginx', mutual('nginx.example.com', 443), 'istio-system'),
  );
  await expectOf(() => far('http://nginx.example.com/')).toMatch(`200 nginx from ${podAddress(EGRESS)}`);
});

test('egress to many hosts, directly and by the gateway, and through a proxy by its address', async () => {
  const wikipedia = 'https://en.wikipedia.org/wiki';
  await mesh.apply(
    object('ServiceEntry', 'wikipedia', `hosts: ["*.wikipedia.org"]\nports: [${TLS_PORT}]`) +
      object(
        'ServiceEntry',
        'proxy',
        `hosts: [my-company-proxy.com]\naddresses: [${NODE}/32]\nports: [{ number: 80, name: tcp, protocol: TCP }]\nlocation: MESH_EXTERNAL`,
      ),
  );
  await expectOf(() => far(wikipedia)).toBe(`200 by TLS from ${podAddress(CURL)} for en.wikipedia.org/wiki`);
  await expectOf(() => far('http://any.example.com/')).toMatch(
    `200 outside from ${podAddress(CURL)} for any.example.com/`,
  );
  await mesh.apply(
    object('ServiceEntry', 'www-wikipedia', `hosts: [www.wikipedia.org]\nports: [${TLS_PORT}]\nresolution: DNS`) +
      egressGateway(443, 'HTTPS', '*.wikipedia.org', ', tls: { mode: PASSTHROUGH }') +
      subset() +
      through('tls', '*.wikipedia.org', 443, 443, 'www.wikipedia.org'),
  );
  await expectOf(() => far(wikipedia)).toBe(`200 by TLS from ${podAddress(EGRESS)} for en.wikipedia.org/wiki`);
});
