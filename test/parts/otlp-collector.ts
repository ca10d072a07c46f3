/** A collector of OTLP logs, spans and metrics over HTTP or gRPC, with its own copy of the schema (opentelemetry-proto 1.x). */
import { once } from 'node:events';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

export interface CollectedLog {
  readonly timeMs: number;
  readonly observedMs: number;
  readonly severity: string;
  readonly severityNumber: number;
  readonly body: unknown;
  readonly eventName: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly status: { readonly code: number; readonly message: string };
  readonly flags: number;
  readonly events: readonly { readonly name: string; readonly timeMs: number }[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

/** A data point with its metric. */
export interface CollectedPoint {
  readonly metric: string;
  readonly kind: 'gauge' | 'sum' | 'histogram';
  readonly unit: string;
  readonly description: string;
  /** 1 delta, 2 cumulative. */
  readonly temporality: number | undefined;
  readonly isMonotonic: boolean | undefined;
  readonly startMs: number;
  readonly timeMs: number;
  /** Of a gauge or sum; the sum of a histogram. */
  readonly value: number;
  readonly count: number | undefined;
  readonly buckets: readonly number[] | undefined;
  readonly bounds: readonly number[] | undefined;
  readonly exemplars: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly value: number;
    readonly timeMs: number;
  }[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

/** An HTTP answer, or a gRPC status with its trailer grpc-status-details-bin. */
export interface CollectorAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly code?: number;
  /** The message of the gRPC status. */
  readonly says?: string;
  readonly details?: Buffer;
  readonly partial?: { readonly rejected: number; readonly message: string };
  readonly never?: boolean;
}

export interface Collector {
  readonly url: string;
  readonly port: number;
  /** Of requests that were answered as taken, as are spans and points. */
  readonly logs: CollectedLog[];
  readonly spans: CollectedSpan[];
  readonly points: CollectedPoint[];
  /** Records of each request. */
  readonly requests: number[];
  readonly headers: Record<string, unknown>[];
  /** Chooses the answer to a request of so many records and octets. */
  answer: (records: number, bytes: number) => CollectorAnswer;
  stop(): Promise<void>;
}

const TAKEN: CollectorAnswer = {};

/** PEM texts. */
export interface ServerTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Asks clients for a certificate of this authority. */
  readonly ca?: Buffer;
}
type Take = (signal: Signal, body: Buffer) => CollectorAnswer;

export async function startCollector(
  protocol: 'http' | 'grpc',
  { port = 0, tls }: { readonly port?: number; readonly tls?: ServerTls } = {},
): Promise<Collector> {
  const own = {
    logs: [] as CollectedLog[],
    spans: [] as CollectedSpan[],
    points: [] as CollectedPoint[],
    requests: [] as number[],
    headers: [] as Record<string, unknown>[],
  };
  const collector = { ...own, answer: (() => TAKEN) as Collector['answer'] };
  const keep: Readonly<Record<Signal, (body: Buffer) => { readonly records: number; readonly take: () => void }>> = {
    logs: (body) => kept(logsOf(body), own.logs),
    traces: (body) => kept(spansOf(body), own.spans),
    metrics: (body) => kept(pointsOf(body), own.points),
  };
  const take: Take = (signal, body) => {
    const { records, take: accept } = keep[signal](body);
    own.requests.push(records);
    const answer = collector.answer(records, body.length);
    if (answer.status === undefined && answer.code === undefined && answer.never !== true) accept();
    return answer;
  };
  const listening = await (protocol === 'http' ? overHttp : overGrpc)(take, own.headers, port, tls);
  return Object.assign(collector, listening);
}

const kept = <T>(records: readonly T[], list: T[]): { readonly records: number; readonly take: () => void } => ({
  records: records.length,
  take: () => void list.push(...records),
});

type Listening = Pick<Collector, 'url' | 'port' | 'stop'>;

async function overHttp(
  take: Take,
  headers: Record<string, unknown>[],
  port: number,
  tls: ServerTls | undefined,
): Promise<Listening> {
  const waiting = new Set<ServerResponse>();
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      headers.push({ ...request.headers, path: request.url });
      const body = Buffer.concat(chunks);
      const signal = SIGNALS.find((one) => request.url?.endsWith(`/v1/${one}`));
      if (signal === undefined) return void response.writeHead(404).end();
      const answer = take(signal, request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body);
      waiting.add(response);
      if (answer.never === true) return;
      response
        .writeHead(answer.status ?? 200, { 'content-type': 'application/x-protobuf', ...answer.headers })
        .end(answer.details ?? responseOf(answer));
    });
  };
  const server =
    tls === undefined
      ? createServer(listener)
      : createTlsServer({ ...tls, ...(tls.ca === undefined ? {} : { requestCert: true }) }, listener);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${own}`,
    port: own,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const SIGNALS = ['logs', 'traces', 'metrics'] as const;
type Signal = (typeof SIGNALS)[number];
const METHODS: Readonly<Record<Signal, string>> = {
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
};

async function overGrpc(
  take: Take,
  headers: Record<string, unknown>[],
  port: number,
  tls: ServerTls | undefined,
): Promise<Listening> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  const same = (bytes: Buffer): Buffer => bytes;
  for (const signal of SIGNALS)
    server.addService(
      {
        export: {
          path: METHODS[signal],
          requestStream: false,
          responseStream: false,
          requestSerialize: same,
          requestDeserialize: same,
          responseSerialize: same,
          responseDeserialize: same,
        },
      },
      {
        export(
          call: { request: Buffer; metadata: Metadata },
          done: (error: object | null, reply?: Buffer) => void,
        ): void {
          headers.push(call.metadata.getMap());
          const answer = take(signal, call.request);
          if (answer.never === true) return;
          if (answer.code === undefined) return done(null, responseOf(answer));
          const metadata = new Metadata();
          if (answer.details !== undefined) metadata.set('grpc-status-details-bin', answer.details);
          done({ code: answer.code, details: answer.says ?? 'no', metadata });
        },
      },
    );
  const credentials =
    tls === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(
          tls.ca ?? null,
          [{ cert_chain: tls.cert, private_key: tls.key }],
          tls.ca !== undefined,
        );
  const own = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${own}`,
    port: own,
    stop() {
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}

const { root } = protobuf.parse(`
syntax = "proto3";
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
  ArrayValue array_value = 5; KeyValueList kvlist_value = 6; bytes bytes_value = 7; } }
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }
message KeyValue { string key = 1; AnyValue value = 2; }
message Resource { repeated KeyValue attributes = 1; }
message Scope { string name = 1; string version = 2; }
message LogRecord { fixed64 time_unix_nano = 1; int32 severity_number = 2; string severity_text = 3; AnyValue body = 5;
  repeated KeyValue attributes = 6; uint32 dropped_attributes_count = 7; fixed32 flags = 8; bytes trace_id = 9; bytes span_id = 10;
  fixed64 observed_time_unix_nano = 11; string event_name = 12; }
message ScopeLogs { Scope scope = 1; repeated LogRecord log_records = 2; string schema_url = 3; }
message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; string schema_url = 3; }
message Logs { repeated ResourceLogs resource_logs = 1; }
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message SpanStatus { string message = 2; int32 code = 3; }
message Span { bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; repeated Event events = 11;
  SpanStatus status = 15; fixed32 flags = 16; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Traces { repeated ResourceSpans resource_spans = 1; }
message Exemplar { repeated KeyValue filtered_attributes = 7; fixed64 time_unix_nano = 2;
  oneof value { double as_double = 3; sfixed64 as_int = 6; } bytes span_id = 4; bytes trace_id = 5; }
message NumberPoint { repeated KeyValue attributes = 7; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
  oneof value { double as_double = 4; sfixed64 as_int = 6; } repeated Exemplar exemplars = 5; uint32 flags = 8; }
message HistogramPoint { repeated KeyValue attributes = 9; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4;
  double sum = 5; repeated fixed64 bucket_counts = 6; repeated double explicit_bounds = 7; repeated Exemplar exemplars = 8; }
message Gauge { repeated NumberPoint data_points = 1; }
message Sum { repeated NumberPoint data_points = 1; int32 aggregation_temporality = 2; bool is_monotonic = 3; }
message Histogram { repeated HistogramPoint data_points = 1; int32 aggregation_temporality = 2; }
message Metric { string name = 1; string description = 2; string unit = 3;
  oneof data { Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9; } }
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }
message Metrics { repeated ResourceMetrics resource_metrics = 1; }
message PartialSuccess { int64 rejected_log_records = 1; string error_message = 2; }
message Response { PartialSuccess partial_success = 1; }
message Duration { int64 seconds = 1; int32 nanos = 2; }
message RetryInfo { Duration retry_delay = 1; }
message Any { string type_url = 1; bytes value = 2; }
message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
`);
const type = (name: string): protobuf.Type => root.lookupType(name);

function responseOf({ partial }: CollectorAnswer): Buffer {
  const message =
    partial === undefined
      ? {}
      : { partialSuccess: { rejectedLogRecords: partial.rejected, errorMessage: partial.message } };
  return Buffer.from(type('Response').encode(message).finish());
}

/** An ExportLogsServiceRequest of records with a text as body and texts as attributes. */
export function encodedLogs(
  records: readonly { readonly body?: string; readonly attributes?: Readonly<Record<string, string>> }[],
): Buffer {
  const logRecords = records.map(({ body, attributes = {} }) => ({
    ...(body === undefined ? {} : { body: { stringValue: body } }),
    attributes: Object.entries(attributes).map(([key, value]) => ({ key, value: { stringValue: value } })),
  }));
  return Buffer.from(
    type('Logs')
      .encode({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] })
      .finish(),
  );
}

/** A google.rpc.Status with a RetryInfo. */
export function retryStatus(code: number, seconds: number): Buffer {
  const value = type('RetryInfo').encode({ retryDelay: { seconds } }).finish();
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value }];
  return Buffer.from(type('Status').encode({ code, message: 'full', details }).finish());
}

interface Value {
  readonly value?: string;
  readonly [kind: string]: unknown;
}
interface KeyValue {
  readonly key: string;
  readonly value: Value;
}

function plain(value: Value | null | undefined): unknown {
  const of = value?.value === undefined ? undefined : value[value.value];
  if (value?.value === 'intValue') return Number(of);
  if (value?.value === 'arrayValue') return (of as { values: Value[] }).values.map(plain);
  if (value?.value === 'kvlistValue') return mapOf((of as { values: KeyValue[] }).values);
  return Buffer.isBuffer(of) ? of.toString('latin1') : of;
}
const mapOf = (list: readonly KeyValue[]): Record<string, unknown> =>
  Object.fromEntries(list.map(({ key, value }) => [key, plain(value)]));

type Message = Readonly<Record<string, unknown>>;
const listOf = (message: Message, name: string): Message[] => (message[name] ?? []) as Message[];
const ms = (nanos: unknown): number => Number(String(nanos)) / 1e6;
const hex = (bytes: unknown): string => Buffer.from(bytes as Buffer).toString('hex');
const attributesOf = (message: Message, name = 'attributes'): Record<string, unknown> =>
  mapOf(message[name] as KeyValue[]);

/** The records of an Export...ServiceRequest, each with its resource. */
function recordsOf(
  body: Buffer,
  request: 'Logs' | 'Spans' | 'Metrics',
  records: string,
): (readonly [Message, Record<string, unknown>])[] {
  const message = type(request === 'Spans' ? 'Traces' : request).decode(body) as unknown as Message;
  return listOf(message, `resource${request}`).flatMap((group) =>
    listOf(group, `scope${request}`)
      .flatMap((scope) => listOf(scope, records))
      .map((record) => [record, attributesOf(group['resource'] as Message)] as const),
  );
}

const logsOf = (body: Buffer): CollectedLog[] =>
  recordsOf(body, 'Logs', 'logRecords').map(([record, resource]) => ({
    timeMs: ms(record['timeUnixNano']),
    observedMs: ms(record['observedTimeUnixNano']),
    severity: record['severityText'] as string,
    severityNumber: record['severityNumber'] as number,
    body: plain(record['body'] as Value),
    eventName: record['eventName'] as string,
    traceId: hex(record['traceId']),
    spanId: hex(record['spanId']),
    flags: record['flags'] as number,
    attributes: attributesOf(record),
    resource,
  }));

const spansOf = (body: Buffer): CollectedSpan[] =>
  recordsOf(body, 'Spans', 'spans').map(([span, resource]) => {
    const { code = 0, message = '' } = (span['status'] ?? {}) as { code?: number; message?: string };
    return {
      traceId: hex(span['traceId']),
      spanId: hex(span['spanId']),
      parentSpanId: hex(span['parentSpanId']),
      name: span['name'] as string,
      kind: span['kind'] as number,
      startMs: ms(span['startTimeUnixNano']),
      endMs: ms(span['endTimeUnixNano']),
      status: { code, message },
      flags: span['flags'] as number,
      events: listOf(span, 'events').map((event) => ({
        name: event['name'] as string,
        timeMs: ms(event['timeUnixNano']),
      })),
      attributes: attributesOf(span),
      resource,
    };
  });

const pointsOf = (body: Buffer): CollectedPoint[] =>
  recordsOf(body, 'Metrics', 'metrics').flatMap(([metric, resource]) => {
    const kind = metric['data'] as unknown as CollectedPoint['kind'];
    const data = metric[kind] as Message;
    const isHistogram = kind === 'histogram';
    return listOf(data, 'dataPoints').map((point) => ({
      metric: metric['name'] as string,
      kind,
      unit: metric['unit'] as string,
      description: metric['description'] as string,
      temporality: data['aggregationTemporality'] as number | undefined,
      isMonotonic: data['isMonotonic'] as boolean | undefined,
      startMs: ms(point['startTimeUnixNano']),
      timeMs: ms(point['timeUnixNano']),
      value: Number(isHistogram ? point['sum'] : point[point['value'] as string]),
      count: isHistogram ? Number(point['count']) : undefined,
      buckets: isHistogram ? (point['bucketCounts'] as unknown[]).map(Number) : undefined,
      bounds: isHistogram ? (point['explicitBounds'] as number[]) : undefined,
      exemplars: listOf(point, 'exemplars').map((exemplar) => ({
        traceId: hex(exemplar['traceId']),
        spanId: hex(exemplar['spanId']),
        value: Number(exemplar[exemplar['value'] as string]),
        timeMs: ms(exemplar['timeUnixNano']),
      })),
      attributes: attributesOf(point),
      resource,
    }));
  });
