/** What is wrong in a mesh, and where. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS, type MeshSettings } from '../../../src/mesh/model/mesh.ts';
import { readMesh } from '../../../src/mesh/sources/read-mesh.ts';
import { fixture } from '../../parts/mesh/read-mesh.ts';

async function findingsOf(text: string, settings: Partial<MeshSettings> = {}): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-mesh-'));
  try {
    await writeFile(join(folder, 'a.yaml'), fixture('services.yaml'));
    await writeFile(join(folder, 'b.yaml'), text);
    const { findings, mesh } = await readMesh([folder], { ...DEFAULT_SETTINGS, ...settings });
    expect(mesh === undefined).toBe(findings.some(({ severity }) => severity === 'error'));
    return findings.map(
      ({ position: { file, line, column }, code, message, severity }) =>
        `${file.slice(folder.length + 1)}:${line}:${column} ${code}${severity === 'warning' ? ' (warning)' : ''} ${message}`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const WITH_IDENTITIES = { identities: { trustDomain: 'cluster.local', trustDomainAliases: [] } };
const peers = (metadata: string, spec: string): string =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { ${metadata} }\nspec: ${spec}`;
const old = (spec: string): string =>
  `apiVersion: authentication.istio.io/v1alpha1\nkind: Policy\nmetadata: { name: default }\nspec: ${spec}`;

const object = (kind: string, name: string, spec: string): string =>
  `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec:\n${spec}`;

describe('an error', () => {
  test.for([
    [
      'an unknown kind',
      'apiVersion: networking.istio.io/v1\nkind: Nothing\nmetadata: { name: a }',
      [
        'b.yaml:2:7 MESH_KIND the control plane does not know Nothing of networking.istio.io/v1; it reads VirtualService, ',
      ],
    ],
    [
      'a kind that another one stands for',
      'apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: a }',
      [
        'b.yaml:2:7 MESH_KIND the control plane does not know HTTPRoute of gateway.networking.k8s.io/v1; write a Gateway and a VirtualService of',
      ],
    ],
    [
      'what proxies cannot be told',
      'apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: { name: a }',
      [
        'b.yaml:2:7 MESH_KIND the control plane does not know Telemetry of telemetry.istio.io/v1; accessLogFile in a MeshConfig',
      ],
    ],
    [
      'what Mixer decided',
      'apiVersion: config.istio.io/v1alpha2\nkind: denier\nmetadata: { name: a }',
      [
        'b.yaml:2:7 MESH_KIND the control plane does not know denier of config.istio.io/v1alpha2; write a rule that denies for `sluice serve` (docs',
      ],
    ],
    [
      'a route of Istio before 0.8',
      'apiVersion: config.istio.io/v1alpha2\nkind: RouteRule\nmetadata: { name: a }',
      [
        'b.yaml:2:7 MESH_KIND the control plane does not know RouteRule of config.istio.io/v1alpha2; write a VirtualService of networking.istio.io',
      ],
    ],
    [
      'an Ingress of the group of workloads',
      'apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: { name: a }',
      [
        'b.yaml:2:7 MESH_KIND the control plane does not know Ingress of extensions/v1beta1; write a Gateway and a Virt',
      ],
    ],
    [
      'an unknown version',
      'apiVersion: networking.istio.io/v9\nkind: Gateway\nmetadata: { name: a }',
      ['b.yaml:2:7 MESH_KIND Gateway has the apiVersion networking.istio.io/v9; expected networking.istio.io/v1'],
    ],
    ['no object', 'rules: []', ['b.yaml:1:1 MESH_KIND expected an object with apiVersion and kind; found a map']],
    [
      'no name',
      'apiVersion: v1\nkind: Service\nmetadata: { namespace: a }',
      ['b.yaml:3:11 MESH_FIELD Service needs metadata.name'],
    ],
    [
      'a timeout of nothing',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http: [{ timeout: 0s, route: [{ destination: { host: reviews } }] }]',
      ),
      [
        'b.yaml:6:21 MESH_FIELD VirtualService default/a, http.0.timeout: expected a duration of at least 1ms, such as 2s or 500ms; without the field there is no timeout',
      ],
    ],
    [
      'a claim of a token for a header',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http: [{ match: [{ headers: { "@request.auth.claims.groups": { exact: a } } }], route: [{ destination: { host: reviews } }] }]',
      ),
      [
        'b.yaml:6:64 MESH_FIELD VirtualService default/a, http.0.match.0.headers.@request.auth.claims.groups: gateways alone route by claims of tokens; name one in gateways, or match a header',
      ],
    ],
    [
      'a misspelt field deep inside',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http:\n    - route: [{ destination: { host: reviews, subst: v1 } }]',
      ),
      [
        'b.yaml:7:47 MESH_FIELD VirtualService default/a, http.0.route.0.destination.subst: unknown key; did you mean subset?',
      ],
    ],
    [
      'no rule',
      object('VirtualService', 'a', '  hosts: [reviews]'),
      ['b.yaml:5:3 MESH_FIELD VirtualService default/a: expected http, tls or tcp'],
    ],
    [
      'all hosts of the mesh',
      object('VirtualService', 'a', '  hosts: ["*"]\n  http: [{ route: [{ destination: { host: reviews } }] }]'),
      [
        'b.yaml:5:11 MESH_FIELD VirtualService default/a, hosts.0: wildcard host * is not allowed for virtual services bound to the mesh gateway',
      ],
    ],
    [
      'weights of zero',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http:\n    - route: [{ destination: { host: reviews }, weight: 0 }, { destination: { host: ratings }, weight: 0 }]',
      ),
      ['b.yaml:7:14 MESH_FIELD VirtualService default/a, http.0.route: the sum of the weights must be above 0'],
    ],
    [
      'a redirect with a route',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http:\n    - { redirect: { uri: /a }, route: [{ destination: { host: reviews } }] }',
      ),
      [
        'b.yaml:7:7 MESH_FIELD VirtualService default/a, http.0: expected exactly one of route, redirect, directResponse and delegate',
      ],
    ],
    [
      'a timeout without a unit',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http: [{ timeout: 5, route: [{ destination: { host: reviews } }] }]',
      ),
      ['b.yaml:6:21 MESH_FIELD VirtualService default/a, http.0.timeout: expected string, received number'],
    ],
    [
      'a match of two forms',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http: [{ match: [{ uri: { exact: /a, prefix: /b } }], route: [{ destination: { host: reviews } }] }]',
      ),
      ['b.yaml:6:27 MESH_FIELD VirtualService default/a, http.0.match.0.uri: expected one of exact, prefix and regex'],
    ],
    [
      'a status that gRPC has not',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http: [{ fault: { abort: { grpcStatus: AWAY } }, route: [{ destination: { host: reviews } }] }]',
      ),
      [
        'b.yaml:6:42 MESH_FIELD VirtualService default/a, http.0.fault.abort.grpcStatus: expected a status of gRPC, such as UNAVAILABLE or 14',
      ],
    ],
    [
      'a field that is not supported',
      object('WorkloadEntry', 'a', '  address: 10.0.0.1\n  network: other'),
      [
        'b.yaml:6:12 MESH_FIELD WorkloadEntry default/a, network: this control plane does not support the field; remove it',
      ],
    ],
    [
      'a subset twice',
      object(
        'DestinationRule',
        'a',
        '  host: reviews\n  subsets: [{ name: v1, labels: { a: b } }, { name: v1, labels: { a: c } }]',
      ),
      ['b.yaml:6:53 MESH_FIELD DestinationRule default/a, subsets.1.name: the subset v1 stands twice'],
    ],
    [
      'a gateway with a short name',
      object('Gateway', 'a', '  servers: [{ port: { number: 80, protocol: HTTP }, hosts: [shop] }]'),
      [
        'b.yaml:5:61 MESH_FIELD Gateway default/a, servers.0.hosts.0: a gateway takes no short names; write the complete name of the host',
      ],
    ],
    [
      'HTTPS without TLS',
      object('Gateway', 'a', '  servers: [{ port: { number: 443, protocol: HTTPS }, hosts: ["*"] }]'),
      ['b.yaml:5:13 MESH_FIELD Gateway default/a, servers.0: a server of protocol HTTPS needs tls'],
    ],
    [
      'a name of DNS that is no address',
      object(
        'ServiceEntry',
        'a',
        '  hosts: [a.example.com]\n  resolution: STATIC\n  ports: [{ number: 80, name: http, protocol: HTTP }]\n  endpoints: [{ address: b.example.com }]',
      ),
      [
        'b.yaml:8:26 MESH_FIELD ServiceEntry default/a, endpoints.0.address: resolution STATIC takes addresses; use resolution DNS for names',
      ],
    ],
    [
      'files where the identity of the workload counts',
      object(
        'DestinationRule',
        'a',
        '  host: reviews\n  trafficPolicy: { tls: { mode: ISTIO_MUTUAL, caCertificates: /ca.pem } }',
      ),
      [
        "b.yaml:6:25 MESH_FIELD DestinationRule default/a, trafficPolicy.tls: mode ISTIO_MUTUAL takes the workload's own certificate, so it names no files",
      ],
    ],
    [
      'a mode of mutual TLS that there is not',
      peers('name: a', '{ mtls: { mode: MAYBE } }'),
      [
        'b.yaml:4:23 MESH_FIELD PeerAuthentication default/a, mtls.mode: expected one of "UNSET"|"DISABLE"|"PERMISSIVE"|"STRICT"',
      ],
    ],
    [
      'ports of no workload',
      peers('name: a', '{ portLevelMtls: { 80: { mode: STRICT } } }'),
      [
        'b.yaml:4:24 MESH_FIELD PeerAuthentication default/a, portLevelMtls: ports belong to a workload, so a selector with matchLabels is needed',
      ],
    ],
    [
      'a port by its name',
      peers('name: a', '{ selector: { matchLabels: { app: a } }, portLevelMtls: { http: {} } }'),
      [
        'b.yaml:4:71 MESH_FIELD PeerAuthentication default/a, portLevelMtls.http: expected the number of a port of the workload',
      ],
    ],
    [
      'a version of PeerAuthentication that nobody reads',
      peers('name: a', '{}').replace('/v1', '/v3'),
      ['b.yaml:2:7 MESH_KIND PeerAuthentication has the apiVersion security.istio.io/v3; expected'],
    ],
    [
      'tokens in a Policy of 1.0.2',
      old('{ origins: [{ jwt: { issuer: a } }] }'),
      [
        'b.yaml:4:18 MESH_FIELD Policy default/default, origins: this control plane does not support the field; tokens of requests are verified by sluice serve',
      ],
    ],
    [
      'the same object twice',
      object('Sidecar', 'reviews-v1', '  egress: [{ hosts: ["./*"] }]'),
      ['b.yaml:3:19 MESH_DUPLICATE Sidecar default/reviews-v1 stands at'],
    ],
  ] as const)('%s', async ([, text, expected]) => {
    const found = await findingsOf(text);
    expect(found).toHaveLength(expected.length);
    for (const [at, start] of expected.entries()) expect(found[at]).toContain(start);
  });
});

describe('a warning', () => {
  test.for([
    [
      'a host with a dot that is not complete',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http: [{ route: [{ destination: { host: reviews.default } }] }]',
      ),
      'b.yaml:6:43 MESH_UNUSED (warning) no service has the host reviews.default; a name with a dot is taken as complete, so write reviews.default.svc.cluster.local',
    ],
    [
      'a subset that nobody declares',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http: [{ route: [{ destination: { host: reviews, subset: v1 } }] }]',
      ),
      'b.yaml:6:60 MESH_UNUSED (warning) no DestinationRule declares the subset v1 of reviews.default.svc.cluster.local; calls are answered with 503',
    ],
    [
      'a port that the service has not',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews]\n  http: [{ route: [{ destination: { host: reviews, port: { number: 1 } } }] }]',
      ),
      'b.yaml:6:68 MESH_UNUSED (warning) reviews.default.svc.cluster.local has no port 1; it has 9080; calls are answered with 503',
    ],
    [
      'a gateway that nobody declares',
      object(
        'VirtualService',
        'a',
        '  hosts: [reviews.example.com]\n  gateways: [front]\n  http: [{ route: [{ destination: { host: reviews } }] }]',
      ),
      'b.yaml:6:14 MESH_UNUSED (warning) no Gateway is named default/front',
    ],
    [
      'failover that nothing sets off',
      object(
        'DestinationRule',
        'a',
        '  host: reviews\n  trafficPolicy: { loadBalancer: { localityLbSetting: { failover: [{ from: a, to: b }] } } }',
      ),
      'b.yaml:6:55 MESH_RULE (warning) without outlierDetection beside it no endpoint counts as failing, so this has no effect',
    ],
    [
      'ejection of less than one endpoint',
      object(
        'DestinationRule',
        'a',
        '  host: reviews\n  trafficPolicy: { outlierDetection: { consecutive5xxErrors: 1 } }',
      ),
      'b.yaml:6:38 MESH_RULE (warning) at most 10 % of the endpoints are ejected, and of 2 that is none; write maxEjectionPercent: 50 or more',
    ],
    [
      'ejection of no share, which stands for ten percent',
      object(
        'DestinationRule',
        'a',
        '  host: reviews\n  trafficPolicy: { outlierDetection: { maxEjectionPercent: 0 } }',
      ),
      'at most 10 % of the endpoints are ejected, and of 2 that is none',
    ],
    [
      'ejection of less than one endpoint of a subset',
      object(
        'DestinationRule',
        'a',
        '  host: reviews\n  subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { outlierDetection: { maxEjectionPercent: 50 } } }]',
      ),
      'maxEjectionPercent: 100 or more',
    ],
    [
      'a port that an older service of another kind has',
      object(
        'ServiceEntry',
        'z',
        '  hosts: [z.example.com]\n  resolution: DNS\n  ports: [{ number: 9080, name: tcp, protocol: TCP }]',
      ),
      'b.yaml:3:19 MESH_UNUSED (warning) calls to port 9080 do not reach z.example.com: ratings.default.svc.cluster.local is older, and as one of them is no HTTP and has no address, they cannot be told apart',
    ],
    [
      'mutual TLS without identities',
      object('DestinationRule', 'a', '  host: reviews\n  trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }'),
      'b.yaml:6:33 MESH_RULE (warning) this control plane gives proxies no identities, so ISTIO_MUTUAL comes to cleartext',
    ],
  ] as const)('%s', async ([, text, expected]) => {
    expect(await findingsOf(text)).toEqual([expect.stringContaining(expected)]);
  });

  test.for([
    [
      'authentication without identities',
      peers('name: a', '{ mtls: { mode: STRICT } }'),
      {},
      'b.yaml:3:19 MESH_RULE (warning) this control plane gives proxies no identities, so it has no effect',
    ],
    [
      'the younger of two for a namespace',
      `${peers('name: a', '{}')}\n---\n${peers('name: b', '{ mtls: { mode: STRICT } }')}`,
      WITH_IDENTITIES,
      'b.yaml:8:19 MESH_UNUSED (warning) the older PeerAuthentication default/a holds for the namespace; this one is ignored',
    ],
    [
      'a selector in the root namespace',
      peers('name: a, namespace: istio-system', '{ selector: { matchLabels: { app: a } } }'),
      WITH_IDENTITIES,
      'b.yaml:4:19 MESH_UNUSED (warning) in the root namespace a PeerAuthentication that selects has no effect',
    ],
    [
      'a gateway whose Secret is not there',
      object(
        'Gateway',
        'a',
        '  selector: { app: edge }\n  servers: [{ port: { number: 443, protocol: HTTPS }, hosts: ["*"], tls: { mode: SIMPLE, credentialName: shop } }]',
      ),
      WITH_IDENTITIES,
      'b.yaml:6:106 MESH_UNUSED (warning) no Secret is named shop; the server is left out',
    ],
    [
      'a gateway that would need an identity',
      object(
        'Gateway',
        'a',
        '  servers: [{ port: { number: 443, protocol: HTTPS }, hosts: ["*"], tls: { mode: ISTIO_MUTUAL } }]',
      ),
      {},
      'b.yaml:5:82 MESH_UNUSED (warning) this control plane gives proxies no identities; the server is left out',
    ],
    [
      'TLS that does not verify the name of a server',
      `${object(
        'ServiceEntry',
        'a',
        '  hosts: ["*.example.com"]\n  resolution: NONE\n  ports: [{ number: 443, name: tls, protocol: TLS }]',
      )}\n---\n${object('DestinationRule', 'a', '  host: "*.example.com"\n  trafficPolicy: { tls: { mode: SIMPLE } }')}`,
      {},
      'b.yaml:14:33 MESH_RULE (warning) connections that are no HTTP do not say to which host of the wildcard they go',
    ],
    [
      'a credential for everyone',
      object(
        'DestinationRule',
        'a',
        '  host: reviews\n  trafficPolicy: { tls: { mode: MUTUAL, credentialName: bank } }',
      ),
      {},
      'b.yaml:6:57 MESH_RULE (warning) without workloadSelector the credential bank is for gateways, and calls of sidecars are refused',
    ],
    [
      'a credential that is not there',
      object(
        'DestinationRule',
        'a',
        '  host: reviews\n  workloadSelector: { matchLabels: { app: a } }\n  trafficPolicy: { tls: { mode: SIMPLE, credentialName: bank } }',
      ),
      {},
      'b.yaml:7:57 MESH_RULE (warning) no Secret default/bank has the authorities of the server (ca.crt); calls are refused',
    ],
    [
      'mutual TLS that is not to verify',
      object(
        'DestinationRule',
        'a',
        '  host: reviews\n  trafficPolicy: { tls: { mode: ISTIO_MUTUAL, insecureSkipVerify: true } }',
      ),
      WITH_IDENTITIES,
      'b.yaml:6:33 MESH_RULE (warning) mode ISTIO_MUTUAL verifies the server by its identity; insecureSkipVerify has no effect',
    ],
    [
      'calls in cleartext to workloads that refuse them',
      `${peers('name: a', '{ mtls: { mode: STRICT } }')}\n---\n${object(
        'DestinationRule',
        'a',
        '  host: reviews\n  trafficPolicy: { tls: { mode: DISABLE } }',
      )}`,
      WITH_IDENTITIES,
      'b.yaml:11:33 MESH_RULE (warning) reviews.default.svc.cluster.local takes mutual TLS alone (STRICT), so calls of mode DISABLE are refused; use ISTIO_MUTUAL',
    ],
    [
      'a target that is no service',
      old('{ targets: [{ name: review }], peers: [{ mtls: {} }] }'),
      WITH_IDENTITIES,
      'b.yaml:4:27 MESH_UNUSED (warning) no service has the host review.default.svc.cluster.local; did you mean reviews.default.svc.cluster.local?',
    ],
  ] as const)('%s', async ([, text, settings, expected]) => {
    expect(await findingsOf(text, settings)).toEqual([expect.stringContaining(expected)]);
  });

  test('the younger of two rules for one host, unless the two are for different namespaces', async () => {
    const rule = (name: string, exportTo: string): string =>
      object(
        'VirtualService',
        name,
        `  hosts: [reviews]\n  exportTo: ${exportTo}\n  http: [{ route: [{ destination: { host: reviews } }] }]`,
      );
    const ignored = [expect.stringContaining('follow the older VirtualService default/a; this one is ignored')];
    expect(await findingsOf(`${rule('a', '["*"]')}\n---\n${rule('b', '["*"]')}`)).toEqual(ignored);
    expect(await findingsOf(`${rule('a', '["."]')}\n---\n${rule('b', '[default]')}`)).toEqual(ignored);
    expect(await findingsOf(`${rule('a', '["*"]')}\n---\n${rule('b', '["."]')}`)).toEqual([]);
    expect(await findingsOf(`${rule('a', '["."]')}\n---\n${rule('b', '["*"]')}`)).toEqual([]);
  });
});

test('objects of Kubernetes and of policies may stand beside a mesh', async () => {
  expect(
    await findingsOf(
      [
        'v1 Namespace',
        'apps/v1 Deployment',
        'extensions/v1beta1 Deployment',
        'security.istio.io/v1 AuthorizationPolicy',
      ]
        .map((one) => one.split(' '))
        .map(([version, kind]) => `apiVersion: ${version}\nkind: ${kind}\nmetadata: { name: a }\n`)
        .join('---\n'),
    ),
  ).toEqual([]);
});
