/** A collector of OTLP logs over HTTP or gRPC, with its own copy of the schema (opentelemetry-proto 1.x). */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
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

/** An HTTP answer, or a gRPC status with its trailer grpc-status-details-bin. */
export interface CollectorAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly code?: number;
  readonly details?: Buffer;
  readonly partial?: { readonly rejected: number; readonly message: string };
  readonly never?: boolean;
}

export interface LogCollector {
  readonly url: string;
  readonly port: number;
  /** Records of requests that were answered as taken. */
  readonly logs: CollectedLog[];
  /** Records of each request. */
  readonly requests: number[];
  readonly headers: Record<string, unknown>[];
  /** Chooses the answer to a request of so many records and octets. */
  answer: (records: number, bytes: number) => CollectorAnswer;
  stop(): Promise<void>;
}

const TAKEN: CollectorAnswer = {};

export async function startLogCollector(protocol: 'http' | 'grpc', port = 0): Promise<LogCollector> {
  const own = { logs: [] as CollectedLog[], requests: [] as number[], headers: [] as Record<string, unknown>[] };
  const collector = { ...own, answer: (() => TAKEN) as LogCollector['answer'] };
  function take(body: Buffer): CollectorAnswer {
    const logs = logsOf(body);
    own.requests.push(logs.length);
    const answer = collector.answer(logs.length, body.length);
    if (answer.status === undefined && answer.code === undefined && answer.never !== true) own.logs.push(...logs);
    return answer;
  }
  const listening = await (protocol === 'http' ? overHttp(take, own.headers, port) : overGrpc(take, own.headers, port));
  return Object.assign(collector, listening);
}

async function overHttp(
  take: (body: Buffer) => CollectorAnswer,
  headers: Record<string, unknown>[],
  port: number,
): Promise<Pick<LogCollector, 'url' | 'port' | 'stop'>> {
  const waiting = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      headers.push({ ...request.headers, path: request.url });
      const body = Buffer.concat(chunks);
      const answer = take(request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body);
      waiting.add(response);
      if (answer.never === true) return;
      response
        .writeHead(answer.status ?? 200, { 'content-type': 'application/x-protobuf', ...answer.headers })
        .end(answer.details ?? responseOf(answer));
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${own}`,
    port: own,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function overGrpc(
  take: (body: Buffer) => CollectorAnswer,
  headers: Record<string, unknown>[],
  port: number,
): Promise<Pick<LogCollector, 'url' | 'port' | 'stop'>> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  const same = (bytes: Buffer): Buffer => bytes;
  server.addService(
    {
      export: {
        path: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
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
        const answer = take(call.request);
        if (answer.never === true) return;
        if (answer.code === undefined) return done(null, responseOf(answer));
        const metadata = new Metadata();
        if (answer.details !== undefined) metadata.set('grpc-status-details-bin', answer.details);
        done({ code: answer.code, details: 'no', metadata });
      },
    },
  );
  const own = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    url: `http://127.0.0.1:${own}`,
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
message Request { repeated ResourceLogs resource_logs = 1; }
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

function logsOf(body: Buffer): CollectedLog[] {
  const request = type('Request').decode(body) as unknown as {
    resourceLogs: {
      resource: { attributes: KeyValue[] };
      scopeLogs: { logRecords: Record<string, never>[] }[];
    }[];
  };
  const ms = (nanos: unknown): number => Number(String(nanos)) / 1e6;
  return request.resourceLogs.flatMap(({ resource, scopeLogs }) =>
    scopeLogs.flatMap(({ logRecords }) =>
      logRecords.map((record): CollectedLog => ({
        timeMs: ms(record['timeUnixNano']),
        observedMs: ms(record['observedTimeUnixNano']),
        severity: record['severityText'] as unknown as string,
        severityNumber: record['severityNumber'] as unknown as number,
        body: plain(record['body']),
        eventName: record['eventName'] as unknown as string,
        traceId: Buffer.from(record['traceId'] as unknown as Buffer).toString('hex'),
        spanId: Buffer.from(record['spanId'] as unknown as Buffer).toString('hex'),
        flags: record['flags'] as unknown as number,
        attributes: mapOf(record['attributes'] as unknown as KeyValue[]),
        resource: mapOf(resource.attributes),
      })),
    ),
  );
}
