/** Messages as Envoy sends them, with every field that an attribute is read from. */
import { AnySchema, anyPack, StringValueSchema, StructSchema } from '@bufbuild/protobuf/wkt';
import { create, fromJson, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import {
  HTTPAccessLogEntrySchema,
  TCPAccessLogEntrySchema,
  AccessLogType,
} from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { StreamAccessLogsMessage_IdentifierSchema } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { AttributeContext_PeerSchema } from '../../../gen/envoy/service/auth/v3/attribute_context_pb.ts';
import { CheckRequestSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';

/** Subject C=NL, O=Shop, CN=web; URI SAN spiffe://cluster.local/ns/shop/sa/web; DNS SAN web.shop. Good until 2126. */
export const PEM = `-----BEGIN CERTIFICATE-----
MIIB6jCCAY+gAwIBAgIUSvBYoB1p6wolBG02Y/6pNyuS67EwCgYIKoZIzj0EAwIw
KjELMAkGA1UEBhMCTkwxDTALBgNVBAoMBFNob3AxDDAKBgNVBAMMA3dlYjAgFw0y
NjExMjQwNDEwMTBaGA8yMTI2MTAzMTA0MTAxMFowKjELMAkGA1UEBhMCTkwxDTAL
BgNVBAoMBFNob3AxDDAKBgNVBAMMA3dlYjBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABEd73BTtMF90U0kGFJzFjqrLvZ3syOn5b5AONWlZ103M4kHt4su2eXglrxoJ
5oqRIXHqZBcMVqnm8LEFV/+GXmejgZAwgY0wHQYDVR0OBBYEFHh8se/9in5gXDC6
v4P6snNmeAQrMB8GA1UdIwQYMBaAFHh8se/9in5gXDC6v4P6snNmeAQrMA8GA1Ud
EwEB/wQFMAMBAf8wOgYDVR0RBDMwMYYlc3BpZmZlOi8vY2x1c3Rlci5sb2NhbC9u
cy9zaG9wL3NhL3dlYoIId2ViLnNob3AwCgYIKoZIzj0EAwIDSQAwRgIhAIoHpiym
UOTUCo3A7107C2yzZgKzbhU0pGI/yMbbZsVdAiEAiD84cbLchZwyWkKFp2JXOF/Y
olc8P6HeuK+1QdFWJ+s=
-----END CERTIFICATE-----
`;

export const FORWARDED_CERTIFICATE =
  'Hash=ab;Subject="CN=app";URI=spiffe://cluster.local/ns/phone/sa/app;DNS=app.phone;By=spiffe://cluster.local/ns/shop/sa/web';

const address = (ip: string, port: number) =>
  ({
    address: { case: 'socketAddress', value: { address: ip, portSpecifier: { case: 'portValue', value: port } } },
  }) as const;

const JWT = { payload: { iss: 'https://issuer', sub: 'ann', aud: ['shop'], azp: 'app' } };

export const httpCheck = (): MessageShape<typeof CheckRequestSchema> =>
  create(CheckRequestSchema, {
    attributes: {
      source: {
        address: address('10.0.0.7', 40000),
        service: 'front',
        principal: 'spiffe://cluster.local/ns/shop/sa/web',
        certificate: encodeURIComponent(PEM),
      },
      destination: {
        address: address('10.0.0.1', 8080),
        labels: { app: 'shop' },
        principal: 'spiffe://cluster.local/ns/shop/sa/shop',
      },
      request: {
        time: { seconds: 1_700_000_000n, nanos: 5 },
        http: {
          id: '1234',
          method: 'POST',
          path: '/a//b?api=1',
          host: 'shop.example:80',
          scheme: 'https',
          protocol: 'HTTP/2',
          size: 5n,
          body: 'hello',
          headers: {
            ':path': '/a//b?api=1',
            'x-request-id': 'r-1',
            'user-agent': 'curl',
            referer: 'https://r',
            'x-forwarded-for': '203.0.113.9',
            'x-forwarded-client-cert': FORWARDED_CERTIFICATE,
            traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`,
            'x-api-key': 'k',
            'content-type': 'text/plain',
            'content-length': '5',
          },
        },
      },
      contextExtensions: { tier: 'gold' },
      metadataContext: { filterMetadata: { 'envoy.filters.http.jwt_authn': JWT, other: { n: 1.5 } } },
      routeMetadataContext: { filterMetadata: { route: { team: 'shop' } } },
      tlsSession: { sni: 'shop.example' },
    },
  });

export const tcpCheck = (
  source?: MessageInitShape<typeof AttributeContext_PeerSchema>,
): MessageShape<typeof CheckRequestSchema> =>
  create(CheckRequestSchema, {
    attributes: {
      source: source ?? {
        address: address('10.0.0.7', 40000),
        principal: 'spiffe://cluster.local/ns/shop/sa/web',
        certificate: encodeURIComponent(PEM),
      },
      destination: {
        address: address('10.0.0.1', 8080),
        labels: { app: 'shop' },
        principal: 'spiffe://cluster.local/ns/shop/sa/shop',
        service: 'db.example',
      },
      request: {},
      metadataContext: { filterMetadata: { other: { n: 1.5 } } },
    },
  });

const span = (ms: number) => ({ seconds: BigInt(Math.trunc(ms / 1000)), nanos: (ms % 1000) * 1e6 });
const certificate = (uri: string) => ({
  subjectAltName: [
    { san: { case: 'uri', value: uri } as const },
    { san: { case: 'dns', value: 'name.example' } as const },
  ],
  subject: 'CN=web',
  issuer: 'CN=ca',
});

const common = () => ({
  downstreamRemoteAddress: address('203.0.113.9', 0),
  downstreamDirectRemoteAddress: address('10.0.0.7', 40000),
  downstreamLocalAddress: address('10.0.0.1', 8080),
  upstreamRemoteAddress: address('10.0.0.2', 9000),
  upstreamLocalAddress: address('10.0.0.1', 50000),
  upstreamCluster: 'inbound|8080|v1|shop.prod.svc.cluster.local',
  tlsProperties: {
    tlsVersion: 4 as const,
    tlsCipherSuite: 4865,
    tlsSniHostname: 'shop.example',
    tlsSessionId: 'session',
    ja3Fingerprint: 'ja3',
    peerCertificateProperties: certificate('spiffe://cluster.local/ns/shop/sa/web'),
    localCertificateProperties: certificate('spiffe://cluster.local/ns/shop/sa/shop'),
  },
  startTime: { seconds: 1_700_000_000n, nanos: 900_000_000 },
  timeToLastRxByte: span(1),
  timeToFirstUpstreamTxByte: span(2),
  timeToLastUpstreamTxByte: span(3),
  timeToFirstUpstreamRxByte: span(1100),
  timeToLastUpstreamRxByte: span(1202),
  timeToFirstDownstreamTxByte: span(1210),
  timeToLastDownstreamTxByte: span(1240),
  duration: span(1250),
  responseFlags: { upstreamRequestTimeout: true, unauthorizedDetails: { reason: 1 as const } },
  metadata: {
    filterMetadata: {
      'envoy.filters.http.jwt_authn': JWT,
      'envoy.filters.http.ratelimit': { sluice: { id: 'v-8', rule: 'per-user', outcome: 'deny' } },
      'envoy.filters.http.ext_authz': {
        sluice: { id: 'v-1', rule: 'closed', outcome: 'deny', shadow: [] },
        ext_authz_duration: 3,
      },
    },
  },
  upstreamTransportFailureReason: 'tls',
  downstreamTransportFailureReason: 'reset',
  routeName: 'route-1',
  streamId: 'stream-1',
  connectionTerminationDetails: 'gone',
  upstreamRequestAttemptCount: 2,
  customTags: { tag: 'value', trace_id: '1'.repeat(32), span_id: '2'.repeat(16) },
  downstreamWireBytesSent: 11n,
  downstreamWireBytesReceived: 12n,
  upstreamWireBytesSent: 13n,
  upstreamWireBytesReceived: 14n,
  filterStateObjects: {
    downstream_peer: anyPack(
      StructSchema,
      fromJson(StructSchema, {
        namespace: 'front',
        workload: 'web',
        name: 'web-1',
        app: 'web',
        version: 'v1',
        service: 'web-service',
        revision: 'r1',
        cluster: 'east',
        labels: { app: 'web' },
      }),
    ),
    upstream_peer: anyPack(
      StructSchema,
      fromJson(StructSchema, {
        workload: 'api',
        service: 'api-service',
        cluster: 'west',
        identity: 'spiffe://cluster.local/ns/other/sa/api',
      }),
    ),
    'envoy.filters.http.grpc_stats': create(AnySchema, {
      typeUrl: 'type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterObject',
      value: new Uint8Array([0x08, 0x03, 0x10, 0x96, 0x01]),
    }),
    word: anyPack(StringValueSchema, create(StringValueSchema, { value: 'said' })),
  },
});

export const httpEntry = (): MessageShape<typeof HTTPAccessLogEntrySchema> =>
  create(HTTPAccessLogEntrySchema, {
    commonProperties: { ...common(), accessLogType: AccessLogType.DownstreamEnd },
    protocolVersion: 3,
    request: {
      requestMethod: 3,
      scheme: 'https',
      authority: 'Shop.example:8443',
      path: '/rewritten',
      originalPath: '/a//b?x=1',
      userAgent: 'curl',
      referer: 'https://r',
      forwardedFor: '203.0.113.9',
      requestId: 'r-1',
      requestHeadersBytes: 100n,
      requestBodyBytes: 5n,
      requestHeaders: {
        'X-Api-Key': 'k',
        'x-forwarded-client-cert': FORWARDED_CERTIFICATE,
        traceparent: `00-${'3'.repeat(32)}-${'4'.repeat(16)}-01`,
      },
    },
    response: {
      responseCode: 503,
      responseHeadersBytes: 40n,
      responseBodyBytes: 2n,
      responseHeaders: { 'content-type': 'x' },
      responseTrailers: { 'grpc-status': '14', 'grpc-message': 'down' },
      responseCodeDetails: 'via_upstream',
    },
  });

export const tcpEntry = (): MessageShape<typeof TCPAccessLogEntrySchema> =>
  create(TCPAccessLogEntrySchema, {
    commonProperties: { ...common(), accessLogType: AccessLogType.TcpConnectionEnd },
    connectionProperties: { receivedBytes: 9_007_199_254_740_993n, sentBytes: 7n },
  });

export const identifier = (): MessageShape<typeof StreamAccessLogsMessage_IdentifierSchema> =>
  create(StreamAccessLogsMessage_IdentifierSchema, {
    logName: 'http.inbound',
    node: {
      id: 'edge-1',
      cluster: 'edge',
      locality: { region: 'eu', zone: 'a', subZone: '1' },
      userAgentVersionType: {
        case: 'userAgentBuildVersion',
        value: { version: { majorNumber: 1, minorNumber: 40, patch: 2 } },
      },
      metadata: {
        NAME: 'shop-1',
        NAMESPACE: 'prod',
        LABELS: {
          app: 'shop',
          version: 'v2',
          'service.istio.io/canonical-name': 'shop-service',
          'service.istio.io/canonical-revision': 'r2',
        },
        CLUSTER_ID: 'north',
        WORKLOAD_NAME: 'shop',
        OWNER: 'deployment/shop',
        SERVICE_ACCOUNT: 'shop',
        APP_CONTAINERS: 'shop',
      },
    },
  });
