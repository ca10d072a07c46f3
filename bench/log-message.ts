/** Messages of an access log stream with 100 HTTP entries. */
import { create, fromJson, toBinary } from '@bufbuild/protobuf';
import { anyPack, StructSchema } from '@bufbuild/protobuf/wkt';
import {
  AccessLogType,
  type HTTPAccessLogEntry,
  HTTPAccessLogEntrySchema,
} from '../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import {
  StreamAccessLogsMessage_HTTPAccessLogEntriesSchema,
  StreamAccessLogsMessageSchema,
} from '../gen/envoy/service/accesslog/v3/als_pb.ts';

export const PER_MESSAGE = 100;

/** With four fields in each entry. */
export const logMessage = (): Uint8Array =>
  toBinary(
    StreamAccessLogsMessageSchema,
    create(StreamAccessLogsMessageSchema, {
      logEntries: {
        case: 'httpLogs',
        value: create(StreamAccessLogsMessage_HTTPAccessLogEntriesSchema, {
          logEntry: Array.from({ length: PER_MESSAGE }, (_, at) =>
            create(HTTPAccessLogEntrySchema, {
              commonProperties: { duration: { seconds: 0n, nanos: 7_000_000 + at } },
              request: { requestMethod: 1, path: `/ratings/${at}`, requestHeaders: { 'x-user': 'ann' } },
              response: { responseCode: 200 },
            }),
          ),
        }),
      },
    }),
  );

/** The other side, as metadata exchange tells it. */
const PEER = anyPack(
  StructSchema,
  fromJson(StructSchema, {
    namespace: 'shop',
    cluster: 'east',
    workload: 'ratings-v1',
    app: 'ratings',
    version: 'v1',
    service: 'ratings',
    revision: 'v1',
  }),
);
const NODE = {
  id: 'sidecar~10.0.0.1~productpage-v1.shop~shop.svc.cluster.local',
  metadata: {
    ISTIO_VERSION: '1.27.0',
    NAMESPACE: 'shop',
    CLUSTER_ID: 'east',
    WORKLOAD_NAME: 'productpage-v1',
    LABELS: { app: 'productpage', version: 'v1', 'service.istio.io/canonical-name': 'productpage' },
  },
};

const entryOf = (at: number, isIstio: boolean): HTTPAccessLogEntry =>
  create(HTTPAccessLogEntrySchema, {
    commonProperties: {
      startTime: { seconds: 1_790_000_000n, nanos: 5 },
      duration: { seconds: 0n, nanos: 7_000_000 + at },
      upstreamCluster: 'outbound|8080||ratings.shop.svc.cluster.local',
      ...(isIstio
        ? {
            accessLogType: AccessLogType.DownstreamEnd,
            downstreamWireBytesReceived: 600n,
            downstreamWireBytesSent: 1900n,
            filterStateObjects: { upstream_peer: PEER },
            customTags: {
              upstream_peer_san: 'spiffe://cluster.local/ns/shop/sa/ratings',
              upstream_local_san: 'spiffe://cluster.local/ns/shop/sa/productpage',
            },
          }
        : {}),
      downstreamDirectRemoteAddress: {
        address: {
          case: 'socketAddress',
          value: { address: '10.4.2.17', portSpecifier: { case: 'portValue', value: 40_000 } },
        },
      },
    },
    request: {
      requestMethod: 1,
      path: `/ratings/${at}`,
      authority: 'shop.example.com',
      userAgent: 'Mozilla/5.0',
      requestId: `id-${at}`,
      requestHeaders: { 'x-user': 'ann' },
    },
    response: { responseCode: 200, responseBodyBytes: 1234n },
  });
/** With the fields of a proxy's entries; `isIstio`: and those of Istio's proxies, with the data of the other side. */
export const proxyMessage = (isIstio: boolean): Uint8Array =>
  toBinary(
    StreamAccessLogsMessageSchema,
    create(StreamAccessLogsMessageSchema, {
      ...(isIstio ? { identifier: { logName: 'outbound', node: NODE } } : {}),
      logEntries: {
        case: 'httpLogs',
        value: create(StreamAccessLogsMessage_HTTPAccessLogEntriesSchema, {
          logEntry: Array.from({ length: PER_MESSAGE }, (_, at) => entryOf(at, isIstio)),
        }),
      },
    }),
  );
