/**
 * Cost of an access log entry: messages of 100 HTTP entries into one counter and one histogram, on one core.
 * `node bench/log.ts [SECONDS] [istio | otlp]`; with otlp, the same entries as acknowledged log records, 16 requests at a time; with istio,
 * entries as Istio's proxies send them, into its standard metrics (25 labels, one counter
 * and three histograms, by examples/istio-metrics). The sender (grpc-js) runs on the other core, and the metrics page proves that all
 * entries arrived.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ExportLogsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts';
import { KeyValueSchema } from '../gen/opentelemetry/proto/common/v1/common_pb.ts';
import { LogRecordSchema } from '../gen/opentelemetry/proto/logs/v1/logs_pb.ts';
import { dialGrpc } from '../src/transport/index.ts';
import { PER_MESSAGE, proxyMessage } from './log-message.ts';
import { startOnCore } from './process.ts';

const seconds = Number(process.argv[2] ?? 5);
const isIstio = process.argv[3] === 'istio';
const isOtlp = process.argv[3] === 'otlp';
const OTLP_AT_ONCE = 16;

const message = proxyMessage(isIstio);

/** The same, as Envoy's logger formats them by docs/envoy.md. */
const textsOf = (at: number): Readonly<Record<string, string>> => ({
  'sluice.call': 'log',
  'request.method': 'GET',
  'request.path': `/ratings/${at}`,
  'request.authority': 'shop.example.com',
  'request.scheme': 'http',
  'request.protocol': 'HTTP/1.1',
  'request.size': '0',
  'request.headers_bytes': '120',
  'response.code': '200',
  'response.code_details': 'via_upstream',
  'response.size': '1234',
  'response.headers_bytes': '80',
  'response.duration': '7ms',
  'response.flags': '-',
  'source.ip': '10.4.2.17',
  'source.port': '40000',
  'destination.ip': '10.4.2.18',
  'destination.port': '8080',
  'context.log_type': 'DownstreamEnd',
  'context.stream_id': `id-${at}`,
  'context.upstream.cluster': 'outbound|8080||ratings.shop.svc.cluster.local',
  'context.upstream.ip': '10.4.2.19',
  'context.upstream.port': '9080',
});
const exported = toBinary(
  ExportLogsServiceRequestSchema,
  create(ExportLogsServiceRequestSchema, {
    resourceLogs: [
      {
        scopeLogs: [
          {
            logRecords: Array.from({ length: PER_MESSAGE }, (_, at) =>
              create(LogRecordSchema, {
                timeUnixNano: 1_790_000_000_000_000_005n,
                attributes: Object.entries(textsOf(at)).map(([key, value]) =>
                  create(KeyValueSchema, { key, value: { value: { case: 'stringValue', value } } }),
                ),
              }),
            ),
          },
        ],
      },
    ],
  }),
);

const server = await startOnCore(
  0,
  [
    'src/cli/bin.ts',
    'serve',
    isIstio ? 'examples/istio-metrics' : 'bench/policy/log.yaml',
    '--grpc',
    '127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
    '--log-level',
    'warn',
  ],
  /gRPC\s+\S*?127\.0\.0\.1:(\d+)[^]*admin\s+\S*?127\.0\.0\.1:(\d+)/,
);
try {
  const [, grpcPort, adminPort] = server.match;
  const client = dialGrpc(`127.0.0.1:${grpcPort}`);
  let sent = 0;
  const send = async (forSeconds: number): Promise<number> => {
    const [from, untilMs] = [sent, performance.now() + forSeconds * 1000];
    if (isOtlp) {
      const path = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
      const senders = Array.from({ length: OTLP_AT_ONCE }, async () => {
        for (; performance.now() < untilMs; sent += PER_MESSAGE)
          if ((await client.unary(path, exported)).length > 0) throw new Error('records were rejected');
      });
      await Promise.all(senders);
      return sent - from;
    }
    const messages = function* messages(): Generator<Uint8Array> {
      for (; performance.now() < untilMs; sent += PER_MESSAGE) yield message;
    };
    for await (const reply of client.stream(
      '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
      messages(),
    ))
      if (reply.length > 0) throw new Error('the reply should be empty');
    return sent - from;
  };
  await send(3); // warm-up
  const [cpuBefore, beganAtMs] = [server.cpuUs(), performance.now()];
  const entries = await send(seconds);
  const tookS = (performance.now() - beganAtMs) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 2000)); // the last batches
  const page = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  const counted = Number(/^(?:log|istio)_requests_total\{.*\} (\S+)$/m.exec(page)?.[1]);
  if (counted !== sent) throw new Error(`${sent} entries were sent, ${counted} counted`);
  console.log(
    `${Math.round(entries / tookS)} entries/s, ${((server.cpuUs() - cpuBefore) / entries).toFixed(1)} us of CPU each; all ${sent} were counted`,
  );
  client.close();
} finally {
  await server.stop();
}
