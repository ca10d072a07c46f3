/** examples/istio-metrics behind a real server: what proxies log becomes the series that Istio's boards and Kiali read. */
import { create, fromJson, type JsonObject, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { anyPack, StructSchema } from '@bufbuild/protobuf/wkt';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  AccessLogType,
  type HTTPAccessLogEntrySchema,
  type TCPAccessLogEntrySchema,
} from '../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { StreamAccessLogsMessageSchema } from '../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { dialGrpc } from '../../src/transport/index.ts';
import { eventually } from '../../src/adapters/testing/index.ts';
import { startPrometheus, type PrometheusPart } from '../parts/prometheus.ts';
import { run } from './command.ts';
import boards from './istio-board-queries.json' with { type: 'json' };
import { type ServedSluice, serveSluice, until } from './sluice.ts';

const POLICY = readFileSync(join(import.meta.dirname, '../../examples/istio-metrics/policy.yaml'), 'utf8');
/** As the policy says: the seconds of Istio 1.0's boards are in its comments. */
const WITH_SECONDS = POLICY.replaceAll(
  /^( +)# (istio_request_duration_seconds.*|- istio_request_duration_seconds|  \w+: .*)$/gm,
  '$1$2',
);

type Init<T> = Extract<T, { readonly $typeName?: never }>;
type HttpEntry = Init<MessageInitShape<typeof HTTPAccessLogEntrySchema>>;
type TcpEntry = Init<MessageInitShape<typeof TCPAccessLogEntrySchema>>;
type Common = Init<NonNullable<HttpEntry['commonProperties']>>;

// The proxies of Istio's own tests: a client productpage and a server ratings.
const CLIENT = node('productpage', 'productpage-v1', 'client-cluster');
const SERVER = node('ratings', 'ratings', 'server-cluster');
function node(app: string, canonical: string, cluster: string): JsonObject {
  return {
    ISTIO_VERSION: '1.5-dev',
    NAMESPACE: 'default',
    CLUSTER_ID: cluster,
    WORKLOAD_NAME: `${app}-v1`,
    LABELS: {
      app,
      version: 'v1',
      'service.istio.io/canonical-name': canonical,
      'service.istio.io/canonical-revision': 'version-1',
    },
  };
}
const peerOf = ({ NAMESPACE, CLUSTER_ID, WORKLOAD_NAME, LABELS }: JsonObject) => {
  const labels = LABELS as Readonly<Record<string, string>>;
  return anyPack(
    StructSchema,
    fromJson(StructSchema, {
      namespace: NAMESPACE,
      cluster: CLUSTER_ID,
      workload: WORKLOAD_NAME,
      app: labels['app'],
      version: labels['version'],
      service: labels['service.istio.io/canonical-name'],
      revision: labels['service.istio.io/canonical-revision'],
    } as JsonObject),
  );
};
const SERVICES = '[{"host":"server.default.svc.cluster.local","name":"server","namespace":"default"}]';
const CLIENT_SAN = 'spiffe://cluster.local/ns/default/sa/client';
const SERVER_SAN = 'spiffe://cluster.local/ns/default/sa/server';
const certificate = (uri: string) => ({ subjectAltName: [{ san: { case: 'uri', value: uri } as const }] });

type Side = 'client' | 'server';
interface Told {
  readonly mtls?: boolean;
  readonly peer?: boolean;
  readonly services?: boolean;
  readonly cluster?: string;
  readonly common?: Common;
}
/** What both kinds of entry say of their connection, as the proxy of one side logs it. */
function common(side: Side, { mtls = false, peer = true, services = true, cluster, common: more }: Told): Common {
  const isClient = side === 'client';
  return {
    startTime: { seconds: 1_790_000_000n, nanos: 0 },
    duration: { seconds: 0n, nanos: 7_900_000 },
    upstreamCluster: cluster ?? (isClient ? 'outbound|9080|http|server.default.svc.cluster.local' : 'inbound|9080||'),
    upstreamRemoteAddress: {
      address: {
        case: 'socketAddress',
        value: { address: '10.0.0.2', portSpecifier: { case: 'portValue', value: 1 } },
      },
    },
    downstreamWireBytesReceived: 300n,
    downstreamWireBytesSent: 1200n,
    filterStateObjects: peer
      ? { [isClient ? 'upstream_peer' : 'downstream_peer']: peerOf(isClient ? SERVER : CLIENT) }
      : {},
    customTags: {
      ...(services ? { istio_services: SERVICES } : {}),
      ...(mtls && isClient ? { upstream_peer_san: SERVER_SAN, upstream_local_san: CLIENT_SAN } : {}),
    },
    ...(mtls && !isClient
      ? {
          tlsProperties: {
            peerCertificateProperties: certificate(CLIENT_SAN),
            localCertificateProperties: certificate(SERVER_SAN),
          },
        }
      : {}),
    ...more,
  };
}

const http = (side: Side, code: number, told: Told = {}, more: HttpEntry = {}): HttpEntry => ({
  commonProperties: common(side, { ...told, common: { accessLogType: AccessLogType.DownstreamEnd, ...told.common } }),
  request: { requestMethod: 1, path: '/', authority: '127.0.0.1:15001' },
  response: { responseCode: code },
  ...more,
});
const tcp = (
  side: Side,
  accessLogType: AccessLogType,
  bytes: readonly [number, number],
  told: Told = {},
): TcpEntry => ({
  commonProperties: common(side, {
    ...told,
    common: { accessLogType, streamId: `stream of the ${side}`, ...told.common },
  }),
  connectionProperties: { receivedBytes: BigInt(bytes[0]), sentBytes: BigInt(bytes[1]) },
});

async function send(
  sluice: ServedSluice,
  of: { readonly node: JsonObject; readonly id?: string; readonly http?: HttpEntry[]; readonly tcp?: TcpEntry[] },
): Promise<void> {
  const client = dialGrpc(`127.0.0.1:${sluice.grpcPort}`);
  const identifier = {
    logName: 'istio',
    node: { id: of.id ?? 'sidecar~10.0.0.1~pod-1.default~default.svc.cluster.local', metadata: of.node },
  };
  const messages = [
    { case: 'httpLogs' as const, value: { logEntry: of.http ?? [] } },
    { case: 'tcpLogs' as const, value: { logEntry: of.tcp ?? [] } },
  ].filter(({ value }) => value.logEntry.length > 0);
  const bytes = messages.map((logEntries) =>
    toBinary(StreamAccessLogsMessageSchema, create(StreamAccessLogsMessageSchema, { identifier, logEntries } as never)),
  );
  const path = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
  for await (const reply of client.stream(path, bytes)) expect(reply.length).toBe(0);
  client.close();
}

type Series = Readonly<Record<string, string>>;
async function seriesOf(sluice: ServedSluice, name: string): Promise<readonly { labels: Series; value: number }[]> {
  const page = await (await sluice.admin('/metrics')).text();
  return [...page.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))].map(([, labels = '', value]) => ({
    labels: Object.fromEntries(
      [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label, text]),
    ),
    value: Number(value),
  }));
}

/** Labels in common of Istio's own expectations for a client and a server with metadata exchange. */
const PEERS = {
  source_workload: 'productpage-v1',
  source_canonical_service: 'productpage-v1',
  source_canonical_revision: 'version-1',
  source_workload_namespace: 'default',
  source_principal: 'unknown',
  source_app: 'productpage',
  source_version: 'v1',
  source_cluster: 'client-cluster',
  destination_workload: 'ratings-v1',
  destination_workload_namespace: 'default',
  destination_principal: 'unknown',
  destination_app: 'ratings',
  destination_version: 'v1',
  destination_service: 'server.default.svc.cluster.local',
  destination_canonical_service: 'ratings',
  destination_canonical_revision: 'version-1',
  destination_service_name: 'server',
  destination_service_namespace: 'default',
  destination_cluster: 'server-cluster',
};
const UNKNOWN_DESTINATION = {
  destination_workload: 'unknown',
  destination_workload_namespace: 'unknown',
  destination_app: 'unknown',
  destination_version: 'unknown',
  destination_canonical_service: 'unknown',
  destination_canonical_revision: 'latest',
  destination_cluster: 'unknown',
};
const OF_HTTP = { request_protocol: 'http', response_code: '200', grpc_response_status: '', response_flags: '-' };
const SOURCE = { reporter: 'source', connection_security_policy: 'unknown' };
const DESTINATION = { reporter: 'destination', connection_security_policy: 'none' };
const MTLS = { source_principal: CLIENT_SAN, destination_principal: SERVER_SAN };

test('its cases pass', async () => {
  const { code, out } = await run(['test', 'examples/istio-metrics']);
  expect([code, out.split('\n').filter((line) => line.startsWith('failed'))]).toEqual([0, []]);
});

describe('the labels, as the proxies of Istio derive them', () => {
  let sluice: ServedSluice;
  beforeAll(async () => {
    sluice = await serveSluice(POLICY);
  });
  afterAll(() => sluice.stop());

  const grpc: HttpEntry = {
    request: { path: '/a.B/C', authority: 'server', requestHeaders: { 'content-type': 'application/grpc' } },
  };
  test.each<[string, JsonObject, HttpEntry, Series]>([
    ['of a client', CLIENT, http('client', 200), { ...PEERS, ...OF_HTTP, ...SOURCE }],
    ['of a server', SERVER, http('server', 200), { ...PEERS, ...OF_HTTP, ...DESTINATION }],
    [
      'of a client with mTLS',
      CLIENT,
      http('client', 201, { mtls: true }),
      { ...PEERS, ...OF_HTTP, ...SOURCE, ...MTLS, response_code: '201' },
    ],
    [
      'of a server with mTLS',
      SERVER,
      http('server', 201, { mtls: true }),
      { ...PEERS, ...OF_HTTP, ...DESTINATION, ...MTLS, response_code: '201', connection_security_policy: 'mutual_tls' },
    ],
    [
      'without a response',
      CLIENT,
      http('client', 0, { common: { responseFlags: { downstreamConnectionTermination: true } } }),
      { ...PEERS, ...OF_HTTP, ...SOURCE, response_code: '0', response_flags: 'DC' },
    ],
    [
      'by the Host header, without metadata of the cluster',
      CLIENT,
      http('client', 202, { services: false, cluster: 'outbound|9080|http' }),
      {
        ...PEERS,
        ...OF_HTTP,
        ...SOURCE,
        response_code: '202',
        destination_service: '127.0.0.1:15001',
        destination_service_name: '127.0.0.1:15001',
      },
    ],
    [
      'by the name of the cluster, without its metadata',
      CLIENT,
      http('client', 203, { services: false }),
      { ...PEERS, ...OF_HTTP, ...SOURCE, response_code: '203' },
    ],
    [
      'by the canonical service, of a server without Host header',
      SERVER,
      http('server', 203, { services: false }, { request: { path: '/' } }),
      {
        ...PEERS,
        ...OF_HTTP,
        ...DESTINATION,
        response_code: '203',
        destination_service: 'ratings',
        destination_service_name: 'ratings',
      },
    ],
    [
      'out of the mesh',
      CLIENT,
      http('client', 204, { services: false, peer: false, cluster: 'PassthroughCluster' }),
      {
        ...PEERS,
        ...OF_HTTP,
        ...SOURCE,
        ...UNKNOWN_DESTINATION,
        response_code: '204',
        destination_service: '127.0.0.1:15001',
        destination_service_name: 'PassthroughCluster',
        destination_service_namespace: 'unknown',
      },
    ],
    [
      'of an endpoint without metadata exchange, by the control plane',
      CLIENT,
      http('client', 205, {
        peer: false,
        common: {
          customTags: {
            istio_services: SERVICES,
            istio_workload: 'ratings-v1;default;ratings;version-1;server-cluster',
          },
        },
      }),
      {
        ...PEERS,
        ...OF_HTTP,
        ...SOURCE,
        response_code: '205',
        destination_app: 'unknown',
        destination_version: 'unknown',
      },
    ],
    [
      'of a server whose client is known by its certificate alone',
      SERVER,
      http('server', 206, { mtls: true, peer: false }),
      {
        ...PEERS,
        ...OF_HTTP,
        ...DESTINATION,
        ...MTLS,
        response_code: '206',
        connection_security_policy: 'mutual_tls',
        source_workload: 'unknown',
        source_canonical_service: 'unknown',
        source_canonical_revision: 'latest',
        source_app: 'unknown',
        source_version: 'unknown',
        source_cluster: 'unknown',
      },
    ],
    [
      'of a gRPC call, by its trailer',
      CLIENT,
      http('client', 200, {}, { ...grpc, response: { responseCode: 200, responseTrailers: { 'grpc-status': '7' } } }),
      { ...PEERS, ...OF_HTTP, ...SOURCE, request_protocol: 'grpc', grpc_response_status: '7' },
    ],
    [
      'of a gRPC call without a status',
      CLIENT,
      http('client', 503, {}, { ...grpc, response: { responseCode: 503 } }),
      { ...PEERS, ...OF_HTTP, ...SOURCE, request_protocol: 'grpc', response_code: '503', grpc_response_status: '14' },
    ],
  ])('%s', async (_, proxy, entry, expected) => {
    expect(Object.keys(expected)).toHaveLength(25);
    await send(sluice, { node: proxy, http: [entry] });
    await eventually(async () => {
      const all = await seriesOf(sluice, 'istio_requests_total');
      expect(all.map(({ labels }) => labels)).toContainEqual(expected);
    });
  });

  test('of a waypoint, which is neither side', async () => {
    const told: Told = {
      cluster: 'inbound-vip|9080|http|server.default.svc.cluster.local',
      common: {
        filterStateObjects: {
          downstream_peer: peerOf(CLIENT),
          upstream_peer: anyPack(
            StructSchema,
            fromJson(StructSchema, { workload: 'ratings-v1', namespace: 'default', identity: SERVER_SAN }),
          ),
        },
      },
    };
    await send(sluice, { node: SERVER, id: 'waypoint~10.0.0.9~wp.default~d', http: [http('server', 207, told)] });
    const found = await until('the series is there', async () =>
      (await seriesOf(sluice, 'istio_requests_total')).find(({ labels }) => labels['response_code'] === '207'),
    );
    expect(found.labels).toEqual({
      ...PEERS,
      ...OF_HTTP,
      ...DESTINATION,
      ...UNKNOWN_DESTINATION,
      reporter: 'waypoint',
      response_code: '207',
      destination_workload: 'ratings-v1',
      destination_workload_namespace: 'default',
      destination_principal: SERVER_SAN,
      destination_canonical_revision: 'unknown',
    });
  });
});

describe('the numbers', () => {
  let sluice: ServedSluice;
  beforeAll(async () => {
    sluice = await serveSluice(POLICY);
  });
  afterAll(() => sluice.stop());

  test('a request is counted once, at its end; durations are whole milliseconds, and absent ones are not observed', async () => {
    const at = (accessLogType: AccessLogType, more: Common = {}) =>
      http('client', 200, { common: { accessLogType, ...more } });
    const entries = [
      at(AccessLogType.DownstreamStart),
      at(AccessLogType.UpstreamPoolReady),
      at(AccessLogType.UpstreamEnd),
      at(AccessLogType.UpstreamEnd),
      at(AccessLogType.DownstreamPeriodic),
      at(AccessLogType.DownstreamEnd),
      at(AccessLogType.NotSet), // of an older Envoy
    ];
    const incomplete = at(AccessLogType.DownstreamEnd);
    delete (incomplete.commonProperties as { duration?: unknown }).duration;
    await send(sluice, { node: CLIENT, http: [...entries, incomplete] });
    await until('they are counted', async () =>
      (await seriesOf(sluice, 'istio_requests_total')).length > 0 ? true : undefined,
    );
    const values = async (name: string) => (await seriesOf(sluice, name)).map(({ value }) => value);
    expect(await values('istio_requests_total')).toEqual([3]);
    expect(await values('istio_request_duration_milliseconds_count')).toEqual([2]);
    expect(await values('istio_request_duration_milliseconds_sum')).toEqual([14]);
    expect(await values('istio_request_duration_milliseconds_bucket')).toEqual([0, 0, 0, ...Array<number>(17).fill(2)]);
    expect(await values('istio_request_bytes_sum')).toEqual([900]);
    expect(await values('istio_response_bytes_sum')).toEqual([3600]);
    expect(await seriesOf(sluice, 'istio_build')).toEqual([
      { labels: { component: 'proxy', tag: '1.5-dev' }, value: 1 },
    ]);
  });

  test('gRPC messages are counted at the end, with 20 labels', async () => {
    const entry = http('client', 200, {
      common: {
        filterStateObjects: {
          upstream_peer: peerOf(SERVER),
          'envoy.filters.http.grpc_stats': {
            typeUrl: 'type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterObject',
            value: new Uint8Array([0x08, 3, 0x10, 20]),
          },
        },
      },
    });
    const request = { path: '/a.B/C', authority: 'server', requestHeaders: { 'content-type': 'application/grpc' } };
    await send(sluice, { node: CLIENT, http: [{ ...entry, request }] });
    const [sent] = await until('they are counted', async () => {
      const all = await seriesOf(sluice, 'istio_response_messages_total');
      return all.length > 0 ? all : undefined;
    });
    expect(sent).toEqual({ labels: { reporter: 'source', ...PEERS }, value: 20 });
    expect((await seriesOf(sluice, 'istio_request_messages_total'))[0]?.value).toBe(3);
  });

  test('connections are opened and closed once, and their bytes are counted', async () => {
    const { TcpUpstreamConnected, TcpConnectionStart, TcpConnectionEnd } = AccessLogType;
    await send(sluice, {
      node: SERVER,
      tcp: [
        tcp('server', TcpConnectionStart, [0, 0], { mtls: true }),
        tcp('server', TcpUpstreamConnected, [0, 0], { mtls: true }),
        tcp('server', TcpConnectionEnd, [60, 7], { mtls: true }),
      ],
    });
    const unconnected = tcp('client', TcpConnectionEnd, [9, 0], { peer: false });
    delete (unconnected.commonProperties as { upstreamRemoteAddress?: unknown }).upstreamRemoteAddress;
    await send(sluice, { node: CLIENT, tcp: [unconnected] });
    const of = async (name: string) =>
      Object.fromEntries((await seriesOf(sluice, name)).map(({ labels, value }) => [labels['reporter'], value]));
    await eventually(async () =>
      expect(await of('istio_tcp_connections_closed_total')).toEqual({ source: 1, destination: 1 }),
    );
    expect(await of('istio_tcp_connections_opened_total')).toEqual({ source: 1, destination: 1 });
    expect(await of('istio_tcp_received_bytes_total')).toEqual({ source: 9, destination: 60 });
    expect(await of('istio_tcp_sent_bytes_total')).toEqual({ source: 0, destination: 7 });
    const all = await seriesOf(sluice, 'istio_tcp_received_bytes_total');
    expect(all.map(({ labels }) => labels)).toContainEqual({
      ...PEERS,
      ...MTLS,
      reporter: 'destination',
      request_protocol: 'tcp',
      response_flags: '-',
      connection_security_policy: 'mutual_tls',
    });
  });
});

describe('what a real Prometheus reads', () => {
  let sluice: ServedSluice;
  let prometheus: PrometheusPart;
  beforeAll(async () => {
    sluice = await serveSluice(WITH_SECONDS);
    prometheus = await startPrometheus(`127.0.0.1:${sluice.adminPort}`);
    const { TcpUpstreamConnected, TcpPeriodic, TcpConnectionEnd } = AccessLogType;
    const traffic = async (): Promise<void> => {
      for (const [side, proxy] of [
        ['client', CLIENT],
        ['server', SERVER],
      ] as const) {
        const told = [{ mtls: true }, { mtls: false }];
        await send(sluice, {
          node: proxy,
          http: told.flatMap((one) =>
            [200, 404, 500].map((code) =>
              http(side, code, {
                ...one,
                common: { customTags: { ...common(side, one).customTags, trace_id: '4'.repeat(32) } },
              }),
            ),
          ),
          tcp: told.flatMap((one) => [
            tcp(side, TcpUpstreamConnected, [0, 0], one),
            tcp(side, TcpPeriodic, [100, 200], one),
            tcp(side, TcpConnectionEnd, [150, 300], one),
          ]),
        });
      }
    };
    let scrapes = 0;
    await until('there are enough scrapes with all series', async () => {
      await traffic();
      const [found] = await prometheus.query('count_over_time(istio_tcp_sent_bytes_total{reporter="source"}[1m])');
      scrapes = Number(found?.value[1] ?? 0);
      return scrapes >= 4 ? true : undefined;
    });
  });
  afterAll(async () => {
    await prometheus?.stop();
    await sluice?.stop();
  });

  const filled = (query: string): string =>
    query
      .replaceAll(
        /\$(?:dstns|dstwl|srcns|srcwl|namespace|workload|dstsvc|service|adapter|dstcluster|srccluster)\b/g,
        '.*',
      )
      .replaceAll('$qrep', 'destination')
      .replaceAll('$__rate_interval', '1m');
  /** A client's proxy does not know whether the server saw its certificate: the label is "unknown" there. */
  const isEmptyByDesign = (query: string): boolean =>
    /reporter="source"[^}]*connection_security_policy="mutual_tls"|connection_security_policy="mutual_tls"[^}]*reporter="source"/.test(
      query,
    );

  test.each(Object.entries(boards))(
    'every query of the board %s that is not empty by design has data',
    async (_, queries) => {
      const empty: string[] = [];
      for (const query of queries) if ((await prometheus.query(filled(query))).length === 0) empty.push(query);
      expect(empty.filter((query) => !isEmptyByDesign(query))).toEqual([]);
      expect(empty).toEqual(queries.filter(isEmptyByDesign));
    },
  );

  test("every label that Kiali demands is on every series, and no call's bucket is missing", async () => {
    const ofSide = (side: string): string[] =>
      ['workload_namespace', 'workload', 'canonical_service', 'canonical_revision'].map((part) => `${side}_${part}`);
    const demanded = ofSide('source').concat(
      ofSide('destination'),
      ['', '_name', '_namespace'].map((part) => `destination_service${part}`),
    );
    for (const name of [
      'istio_requests_total',
      'istio_tcp_sent_bytes_total',
      'istio_request_duration_milliseconds_bucket',
    ]) {
      const all = await prometheus.query(name);
      expect(all.length).toBeGreaterThan(3);
      for (const label of demanded) expect(all.filter(({ metric }) => (metric[label] ?? '') === '')).toEqual([]);
    }
    for (const label of ['request_protocol', 'response_code', 'response_flags'])
      expect(await prometheus.query(`istio_requests_total{${label}=""}`)).toEqual([]);
    expect(await prometheus.query('count by (le) (istio_request_duration_milliseconds_bucket)')).toHaveLength(20);
  });

  test('the scrape is in OpenMetrics, with exemplars', async () => {
    const exemplars = (await prometheus.get(
      `query_exemplars?query=istio_request_duration_milliseconds_bucket&start=${Date.now() / 1000 - 300}&end=${Date.now() / 1000}`,
    )) as readonly { readonly exemplars: readonly { readonly labels: Series }[] }[];
    expect(exemplars[0]?.exemplars[0]?.labels['trace_id']).toBe('4'.repeat(32));
    const [health] = await prometheus.query('up');
    expect(health?.value[1]).toBe('1');
  });
});
