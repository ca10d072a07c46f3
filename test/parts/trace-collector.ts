/** A trace collector for OTLP over HTTP or gRPC, with its own copy of the schema (opentelemetry-proto 1.x). */
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

export interface CollectedSpan {
  readonly name: string;
  /** opentelemetry.proto.trace.v1.Span.SpanKind: 1 internal, 2 server. */
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root span. */
  readonly parentSpanId: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly resource: Readonly<Record<string, string | number>>;
  /** 2: an error. */
  readonly status: { readonly code: number; readonly message: string };
  readonly tookNs: number;
}

export interface TraceCollector {
  readonly url: string;
  readonly spans: readonly CollectedSpan[];
  /** Export requests so far. */
  readonly asked: () => number;
  stop(): Promise<void>;
}

/** `answers`: an HTTP status; `never`: it reads the request and does not respond. */
export async function startTraceCollector(
  protocol: 'http' | 'grpc' = 'http',
  answers: number | 'never' = 200,
): Promise<TraceCollector> {
  const spans: CollectedSpan[] = [];
  let asked = 0;
  const take = (body: Buffer): void => {
    asked++;
    spans.push(...spansOf(body));
  };
  return protocol === 'http' ? overHttp(spans, take, () => asked, answers) : overGrpc(spans, take, () => asked);
}

async function overHttp(
  spans: readonly CollectedSpan[],
  take: (body: Buffer) => void,
  asked: () => number,
  answers: number | 'never',
): Promise<TraceCollector> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url !== '/v1/traces' || request.headers['content-type'] !== 'application/x-protobuf')
        return void response.writeHead(404).end();
      take(Buffer.concat(chunks));
      if (answers !== 'never') response.writeHead(answers, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    asked,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function overGrpc(
  spans: readonly CollectedSpan[],
  take: (body: Buffer) => void,
  asked: () => number,
): Promise<TraceCollector> {
  const server = new Server();
  const asBytes = (bytes: Buffer): Buffer => bytes;
  server.addService(
    {
      export: {
        path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
        requestStream: false,
        responseStream: false,
        requestDeserialize: asBytes,
        requestSerialize: asBytes,
        responseDeserialize: asBytes,
        responseSerialize: asBytes,
      },
    },
    {
      export: ({ request }: { request: Buffer }, reply: (error: null, response: Buffer) => void) => {
        take(request);
        reply(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { url: `http://127.0.0.1:${port}`, spans, asked, stop: async () => server.forceShutdown() };
}

const { root } = protobuf.parse(`
syntax = "proto3";
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; Status status = 15;
}
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
message Status { string message = 2; int32 code = 3; }
`);
const REQUEST = root.lookupType('ExportTraceServiceRequest');

interface Pair {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string; readonly doubleValue?: number };
}
interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly Pair[];
  readonly status: { readonly code: number; readonly message: string } | null;
}
interface WireRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Pair[] };
    readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
}

function spansOf(body: Buffer): CollectedSpan[] {
  const { resourceSpans } = REQUEST.toObject(REQUEST.decode(body), {
    longs: String,
    bytes: String,
    defaults: true,
    arrays: true,
  }) as WireRequest;
  const hex = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        name: span.name,
        kind: span.kind,
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentSpanId: hex(span.parentSpanId),
        attributes: attributesOf(span.attributes),
        resource: attributesOf(resource.attributes),
        status: { code: span.status?.code ?? 0, message: span.status?.message ?? '' },
        tookNs: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)),
      })),
    ),
  );
}

const attributesOf = (pairs: readonly Pair[]): Record<string, string | number> =>
  Object.fromEntries(
    pairs.map(({ key, value }) => [key, value.stringValue ?? value.doubleValue ?? Number(value.intValue)]),
  );
