/** Mutual TLS in the resources of proxies; Envoy itself reads all of them. */
import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import type { Mesh, MeshSettings } from '../../../src/mesh/model/mesh.ts';
import { CLUSTER, ENDPOINTS, LISTENER } from '../../../src/xds/index.ts';
import { fixture, readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names, resourcesFor, validate } from '../../parts/mesh/resources.ts';

const IDENTITIES = { trustDomain: 'cluster.local', trustDomainAliases: ['old.example'] };
const SLUICE = { cluster: 'sluice', checkTimeoutMs: 200, limitTimeoutMs: 20, failOpen: true, limitDomain: 'mesh' };

/** Its Sidecar names one port; here others, too, have clusters. */
const SERVICES = fixture('services.yaml').replace(
  /( +- )\{ port: .*hosts: \["\*\/\*"\] \}/,
  '$&\n$1{ port: { number: 3128, name: proxy, protocol: HTTP_PROXY }, captureMode: NONE, hosts: ["*/*"] }',
);

async function meshOf(rules = '', settings: Partial<MeshSettings> = { identities: IDENTITIES }): Promise<Mesh> {
  const { mesh, findings } = await readMesh(
    { 'services.yaml': SERVICES, 'rules.yaml': `${PODS}---${rules}` },
    settings,
  );
  expect(findings).toEqual([]);
  return mesh;
}

/** Pods that an injector of today, one of 1.0.2, and none has given a sidecar; and a workload that DNS knows. */
const PODS = `
apiVersion: v1
kind: Service
metadata: { name: details }
spec: { clusterIP: 10.96.0.1, selector: { app: details }, ports: [{ name: http, port: 9080 }, { name: grpc, port: 9090 }, { name: tcp, port: 7000 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: today, labels: { app: details, security.istio.io/tlsMode: istio } }
spec: { serviceAccountName: details }
status: { podIP: 10.0.0.1 }
---
apiVersion: v1
kind: Pod
metadata: { name: old, labels: { app: details }, annotations: { sidecar.istio.io/status: '{"version":"a","containers":["istio-proxy"]}' } }
status: { podIP: 10.0.0.2 }
---
apiVersion: v1
kind: Pod
metadata: { name: none, labels: { app: details } }
spec: { serviceAccountName: details }
status: { podIP: 10.0.0.3 }
---
apiVersion: v1
kind: Pod
metadata: { name: off, labels: { app: details, security.istio.io/tlsMode: disabled }, annotations: { sidecar.istio.io/status: '{"version":"a"}' } }
status: { podIP: 10.0.0.4 }
---
apiVersion: v1
kind: Pod
metadata: { name: gateway, labels: { app: details }, annotations: { sidecar.istio.io/status: '{"containers":["istio-proxy"],"revision":"default"}' } }
status: { podIP: 10.0.0.5 }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: egress }
spec: { hosts: [egress.example.com], location: MESH_INTERNAL, resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }] }
`;

const REVIEWS = 'sidecar~127.0.10.1~reviews-v1.default~default.svc.cluster.local';
const DETAILS = 'sidecar~10.0.0.1~today.default~default.svc.cluster.local';
const AGENT: JsonObject = { SDS_CLUSTER: 'sds-grpc' };
const reviews = (mesh: Mesh, extra: JsonObject = AGENT, identity?: string): readonly Made[] =>
  resourcesFor(
    mesh,
    REVIEWS,
    { LABELS: { app: 'reviews', version: 'v1' }, INTERCEPTION_MODE: 'NONE', ...extra },
    identity,
  );

const peers = (mode: string): string =>
  `\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: a }\nspec: { mtls: { mode: ${mode} } }\n`;
const rule = (host: string, tls: string): string =>
  `\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: ${host} }\nspec: { host: ${host}, trafficPolicy: { tls: ${tls} } }\n`;

interface ChainMatch {
  readonly destination_port?: number;
  readonly transport_protocol?: string;
  readonly application_protocols?: readonly string[];
}
/** Which connections each chain of a listener takes, and whether it ends TLS. */
const waysOf = (listener: Made['json']): string[] =>
  (listener['filter_chains'] as { filter_chain_match?: ChainMatch; transport_socket?: object }[]).map(
    ({ filter_chain_match: match = {}, transport_socket: socket }) =>
      [
        match.destination_port ?? 'any',
        match.transport_protocol ?? 'all',
        ...(match.application_protocols === undefined ? [] : ['istio']),
        ...(socket === undefined ? [] : ['mtls']),
      ].join(' '),
  );

describe('an inbound port', () => {
  test.for([
    ['PERMISSIVE', ['any tls mtls', 'any raw_buffer']],
    ['STRICT', ['any tls mtls']],
    ['DISABLE', ['any all']],
  ] as const)('of mode %s has a chain for each kind of connection', async ([mode, ways]) => {
    const all = reviews(await meshOf(peers(mode)));
    expect(waysOf(named(all, LISTENER, '127.0.10.1_9080'))).toEqual(ways);
    expect(await validate(all)).toContain('OK');
  });

  test('asks for a certificate of the mesh, and trusts its trust domain and the aliases of it', async () => {
    const mesh = await meshOf(peers('STRICT'), { identities: IDENTITIES, sluice: SLUICE });
    const listener = named(reviews(mesh), LISTENER, '127.0.10.1_9080');
    const sds = (name: string): object => ({
      name,
      sds_config: {
        resource_api_version: 'V3',
        initial_fetch_timeout: '0s',
        api_config_source: { grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }] },
      },
    });
    expect(listener).toMatchObject({
      filter_chains: [
        {
          transport_socket: {
            typed_config: {
              require_client_certificate: true,
              common_tls_context: {
                alpn_protocols: ['h2', 'http/1.1'],
                tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
                tls_certificate_sds_secret_configs: [sds('default')],
                combined_validation_context: {
                  default_validation_context: {
                    match_typed_subject_alt_names: [
                      { san_type: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } },
                      { san_type: 'URI', matcher: { prefix: 'spiffe://old.example/' } },
                    ],
                  },
                  validation_context_sds_secret_config: sds('ROOTCA'),
                },
              },
            },
          },
          filters: [{ typed_config: { forward_client_cert_details: 'SANITIZE_SET' } }],
        },
      ],
    });
    expect(JSON.stringify(listener)).toContain('"descriptor_key":"connection.uri_san_peer_certificate"');
    expect(await validate(reviews(mesh))).toContain('OK');
  });

  test('of a proxy without an agent, on a stream that has proven its identity, names the secrets of that stream', async () => {
    const all = reviews(await meshOf(peers('STRICT')), {}, 'spiffe://cluster.local/ns/default/sa/reviews');
    expect(JSON.stringify(named(all, LISTENER, '127.0.10.1_9080'))).toContain(
      '"name":"default","sds_config":{"ads":{},"resource_api_version":"V3","initial_fetch_timeout":"0s"}',
    );
    expect(await validate(all)).toContain('OK');
  });

  test('of a proxy that gets no certificates is open only where cleartext may come', async () => {
    const permissive = named(reviews(await meshOf(), {}), LISTENER, '127.0.10.1_9080');
    expect([waysOf(permissive), JSON.stringify(permissive).includes('BlackHoleCluster')]).toEqual([['any all'], false]);
    const strict = reviews(await meshOf(peers('STRICT')), {});
    expect(JSON.stringify(named(strict, LISTENER, '127.0.10.1_9080'))).toContain('"cluster":"BlackHoleCluster"');
    expect(await validate(strict)).toContain('OK');
  });

  test('that is intercepted has the modes of its port, and the others that of the workload', async () => {
    const mesh = await meshOf(
      `${peers('STRICT')}---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: b }\nspec: { selector: { matchLabels: { app: details } }, portLevelMtls: { 9090: { mode: DISABLE }, 7000: { mode: PERMISSIVE }, 15: { mode: DISABLE } } }\n`,
    );
    const all = resourcesFor(mesh, DETAILS, { LABELS: { app: 'details' }, ...AGENT });
    expect(waysOf(named(all, LISTENER, 'virtualInbound'))).toEqual([
      '15006 all',
      '7000 tls istio mtls',
      '7000 tls',
      '7000 raw_buffer',
      '9080 tls mtls',
      '9090 all',
      '15 all',
      'any tls mtls',
    ]);
    expect(await validate(all)).toContain('OK');
  });
});

const tlsOf = (cluster: Made['json']): { sni: string; alpn: string[]; names: string[] } => {
  const matches = cluster['transport_socket_matches'] as { name: string; transport_socket: unknown }[] | undefined;
  const socket = (matches?.[0]?.transport_socket ?? cluster['transport_socket']) as {
    typed_config: {
      sni: string;
      common_tls_context: {
        alpn_protocols: string[];
        combined_validation_context: {
          default_validation_context: { match_typed_subject_alt_names: { matcher: Record<string, string> }[] };
        };
      };
    };
  };
  const { sni, common_tls_context: common } = socket.typed_config;
  return {
    sni,
    alpn: common.alpn_protocols,
    names: common.combined_validation_context.default_validation_context.match_typed_subject_alt_names.map(
      ({ matcher }) => Object.entries(matcher).join(),
    ),
  };
};

describe('a cluster', () => {
  const DETAILS_HTTP = 'outbound|9080||details.default.svc.cluster.local';

  test('without a rule encrypts to the endpoints that have a sidecar, whose accounts it expects', async () => {
    const all = reviews(await meshOf());
    const cluster = named(all, CLUSTER, DETAILS_HTTP);
    expect(cluster['transport_socket_matches']).toMatchObject([
      { name: 'tlsMode-istio', match: { tlsMode: 'istio' } },
      { name: 'tlsMode-disabled', match: {} },
    ]);
    expect(tlsOf(cluster)).toEqual({
      sni: 'outbound_.9080_._.details.default.svc.cluster.local',
      alpn: ['istio', 'http/1.1'],
      names: ['default', 'details']
        .flatMap((account) => [`exact,spiffe://cluster.local/ns/default/sa/${account}`])
        .concat(['default', 'details'].map((account) => `exact,spiffe://old.example/ns/default/sa/${account}`)),
    });
    expect(tlsOf(named(all, CLUSTER, 'outbound|9090||details.default.svc.cluster.local')).alpn).toEqual([
      'istio',
      'h2',
    ]);
    expect(tlsOf(named(all, CLUSTER, 'outbound|7000||details.default.svc.cluster.local')).alpn).toEqual(['istio']);
    const [{ lb_endpoints: endpoints }] = named(all, ENDPOINTS, DETAILS_HTTP)['endpoints'] as unknown as [
      { lb_endpoints: { endpoint: { address: { socket_address: { address: string } } }; metadata?: object }[] },
    ];
    expect(
      endpoints.map(({ endpoint, metadata }) => [endpoint.address.socket_address.address, metadata !== undefined]),
    ).toEqual([
      ['10.0.0.1', true],
      ['10.0.0.2', true],
      ['10.0.0.3', false],
      ['10.0.0.4', false],
      ['10.0.0.5', false],
    ]);
    expect(endpoints[0]?.metadata).toEqual({
      filter_metadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' } },
    });
    expect(await validate(all)).toContain('OK');
  });

  test('without a rule goes in cleartext to ports that take no TLS, and to services outside of the mesh', async () => {
    const all = reviews(await meshOf(peers('DISABLE')));
    for (const name of [DETAILS_HTTP, 'outbound|80||books.example.com', 'outbound|80||egress.example.com'])
      expect(JSON.stringify(named(all, CLUSTER, name))).not.toContain('transport_socket');
    expect(JSON.stringify(named(all, ENDPOINTS, DETAILS_HTTP))).not.toContain('tlsMode');
    expect(await validate(all)).toContain('OK');
  });

  test('of mode ISTIO_MUTUAL encrypts to all endpoints, and trusts any member where nobody says who is behind', async () => {
    const all = reviews(
      await meshOf(
        `${rule('details', '{ mode: ISTIO_MUTUAL }')}---${rule('egress.example.com', '{ mode: ISTIO_MUTUAL, sni: a.example }')}`,
      ),
    );
    expect(named(all, CLUSTER, DETAILS_HTTP)['transport_socket_matches']).toBeUndefined();
    expect(tlsOf(named(all, CLUSTER, DETAILS_HTTP)).names).toContain(
      'exact,spiffe://cluster.local/ns/default/sa/details',
    );
    expect(tlsOf(named(all, CLUSTER, 'outbound|80||egress.example.com'))).toEqual({
      sni: 'a.example',
      alpn: ['istio', 'http/1.1'],
      names: ['prefix,spiffe://cluster.local/', 'prefix,spiffe://old.example/'],
    });
    expect(await validate(all)).toContain('OK');
  });

  test('of mode ISTIO_MUTUAL calls nobody from a proxy that gets no certificates', async () => {
    const all = reviews(await meshOf(rule('details', '{ mode: ISTIO_MUTUAL }')), {});
    expect(named(all, CLUSTER, DETAILS_HTTP)).toMatchObject({ type: 'STATIC' });
    expect(names(all, ENDPOINTS)).not.toContain(DETAILS_HTTP);
    expect(JSON.stringify(all)).not.toContain('sds_config');
    expect(await validate(all)).toContain('OK');
  });

  test('of mode SIMPLE or DISABLE is as before, and so is all of a mesh without identities', async () => {
    const simple = reviews(
      await meshOf(
        `${rule('details', '{ mode: SIMPLE, insecureSkipVerify: true }')}---${rule('reviews', '{ mode: DISABLE }')}`,
      ),
    );
    expect(JSON.stringify(named(simple, CLUSTER, DETAILS_HTTP))).toContain('UpstreamTlsContext');
    expect(JSON.stringify(named(simple, CLUSTER, DETAILS_HTTP))).not.toContain('sds_config');
    expect(JSON.stringify(named(simple, CLUSTER, 'outbound|9080||reviews.default.svc.cluster.local'))).not.toContain(
      'tls',
    );
    const before = reviews(await meshOf('', {}));
    expect(JSON.stringify(before)).not.toMatch(/sds_config|tlsMode|tls_inspector/);
    expect(await validate(simple)).toContain('OK');
  });
});
