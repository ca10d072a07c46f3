/**
 * log-otlp beside the JS exporters of OpenTelemetry, in turn in one process: batches of 512 records with 21 attributes, one after the
 * other, to a server on the other core that answers at once. `node --import ./src/adapters/register.ts bench/otlp.ts [SECONDS]`
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { OTLPLogExporter as GrpcExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as HttpExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { type CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableLogRecord } from '@opentelemetry/sdk-logs';
import { openForTest, testCall } from '../src/adapters/testing/index.ts';
import adapter from '../plugins/log-otlp/adapter.ts';
import { median } from './figures.ts';
import { startOnCore } from './process.ts';

const BATCH = 512;
const ROUNDS = 5;
const SHAPE = {
  'http.request.method': 'string',
  'url.path': 'string',
  'url.query': 'string',
  'url.scheme': 'string',
  'http.response.status_code': 'int',
  'http.request.size': 'int',
  'http.response.size': 'int',
  'server.address': 'string',
  'server.port': 'int',
  'client.address': 'string',
  'client.port': 'int',
  'network.peer.address': 'string',
  'network.protocol.name': 'string',
  'network.protocol.version': 'string',
  'user_agent.original': 'string',
  'envoy.response_flags': 'string',
  'envoy.upstream_cluster': 'string',
  'envoy.upstream_host': 'string',
  'envoy.route_name': 'string',
  'envoy.duration_ms': 'double',
} as const;
const inputOf = (at: number): Record<string, string | number> => ({
  'http.request.method': 'GET',
  'url.path': `/ratings/${at}`,
  'url.query': 'a=b&c=d',
  'url.scheme': 'https',
  'http.response.status_code': 200,
  'http.request.size': 345 + at,
  'http.response.size': 12_345 + at,
  'server.address': 'shop.example.com',
  'server.port': 443,
  'client.address': '203.0.113.9',
  'client.port': 40_000 + at,
  'network.peer.address': '10.4.2.17',
  'network.protocol.name': 'http',
  'network.protocol.version': '2',
  'user_agent.original': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36',
  'envoy.response_flags': '-',
  'envoy.upstream_cluster': 'outbound|8080||ratings.shop.svc.cluster.local',
  'envoy.upstream_host': '10.4.3.21:8080',
  'envoy.route_name': 'default',
  'envoy.duration_ms': 7.25 + at,
});
const INPUTS = Array.from({ length: BATCH }, (_, at) => inputOf(at));
const TRACE = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', traceFlags: 1 };

interface Side {
  readonly name: string;
  /** Sends one batch, and waits for the answer. */
  send(): Promise<void>;
}

if (process.argv[2] === 'answer') await answer();
else await compare(Number(process.argv[2] ?? 3));

async function answer(): Promise<void> {
  const http = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
  });
  await new Promise<void>((done) => void http.listen(0, '127.0.0.1', done));
  const grpc = new Server();
  const same = (bytes: Buffer): Buffer => bytes;
  grpc.addService(
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
    { export: (_: unknown, done: (error: null, reply: Buffer) => void) => done(null, Buffer.alloc(0)) },
  );
  const port = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  console.log(`http ${(http.address() as AddressInfo).port} grpc ${port}`);
}

async function compare(seconds: number): Promise<void> {
  const server = await startOnCore(
    0,
    ['--import', './src/adapters/register.ts', 'bench/otlp.ts', 'answer'],
    /http (\d+) grpc (\d+)/,
  );
  try {
    for (const protocol of ['http', 'grpc'] as const)
      for (const compression of ['none', 'gzip'] as const) {
        const port = server.match[protocol === 'http' ? 1 : 2];
        const url = `http://127.0.0.1:${port}`;
        const sides = [await ours(url, protocol, compression), theirs(url, protocol, compression)];
        await show(`${protocol}, ${compression}`, sides, seconds);
      }
  } finally {
    await server.stop();
  }
  process.exit(0); // the exporters keep connections
}

async function ours(url: string, protocol: 'http' | 'grpc', compression: 'none' | 'gzip'): Promise<Side> {
  const { handler } = await openForTest(adapter, { config: { url, protocol, compression } });
  const params = adapter.serves.report?.params?.parse({});
  const sink = handler.sink?.({ rule: 'r', input: { ...SHAPE, trace_id: 'string', span_id: 'string' }, params });
  let batches = 0;
  return {
    name: 'log-otlp',
    async send() {
      const batch = ++batches;
      const entries = INPUTS.map((input, at) => ({
        sink,
        id: `${batch}-${at}`,
        timeMs: 1_790_000_000_000,
        input: { ...input, trace_id: TRACE.traceId, span_id: TRACE.spanId },
      }));
      await handler.write?.(entries, testCall());
    },
  };
}

function theirs(url: string, protocol: 'http' | 'grpc', compression: 'none' | 'gzip'): Side {
  const options = {
    url: protocol === 'http' ? `${url}/v1/logs` : url,
    compression: compression as CompressionAlgorithm,
  };
  const exporter = protocol === 'http' ? new HttpExporter(options) : new GrpcExporter(options);
  const resource = resourceFromAttributes({ 'service.name': 'sluice' });
  const instrumentationScope = { name: 'sluice' };
  let batches = 0;
  return {
    name: 'the JS exporter',
    send() {
      const batch = ++batches;
      const records = INPUTS.map((input, at): ReadableLogRecord => ({
        hrTime: [1_790_000_000, 0],
        hrTimeObserved: [1_790_000_000, 0],
        spanContext: TRACE,
        severityNumber: 9,
        severityText: 'INFO',
        eventName: 'envoy.access_log',
        resource,
        instrumentationScope,
        attributes: { 'log.record.uid': `${batch}-${at}`, ...input },
        droppedAttributesCount: 0,
      }));
      return new Promise((done, fail) => {
        exporter.export(records, ({ error }) => (error === undefined ? done() : fail(error)));
      });
    },
  };
}

/** Rounds of both sides in turn; the median of each. */
async function show(name: string, sides: readonly Side[], seconds: number): Promise<void> {
  const rounds = sides.map(() => ({ perSecond: [] as number[], cpuUs: [] as number[] }));
  for (let round = 0; round <= ROUNDS; round++)
    for (const [at, side] of sides.entries()) {
      const began = performance.now();
      const cpu = process.cpuUsage();
      let records = 0;
      for (; performance.now() - began < (seconds * 1000) / ROUNDS; records += BATCH) await side.send();
      const { user, system } = process.cpuUsage(cpu);
      if (round === 0) continue; // not compiled yet
      rounds[at]?.perSecond.push(records / ((performance.now() - began) / 1000));
      rounds[at]?.cpuUs.push((user + system) / records);
    }
  const [own, other] = rounds.map(({ perSecond, cpuUs }) => ({ perSecond: median(perSecond), cpuUs: median(cpuUs) }));
  if (own === undefined || other === undefined) throw new Error('two sides are compared');
  console.log(
    `${name}: ${sides.map(({ name: side }, at) => `${side} ${Math.round([own, other][at]?.perSecond ?? 0)} records/s, ${([own, other][at]?.cpuUs ?? 0).toFixed(2)} us of CPU each`).join('; ')}; ratio ${(own.perSecond / other.perSecond).toFixed(2)}, of CPU ${(own.cpuUs / other.cpuUs).toFixed(2)}`,
  );
}
