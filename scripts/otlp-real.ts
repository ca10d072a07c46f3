/**
 * `npm run otlp:real`: log-otlp, traces-otlp and metrics-otlp against a real OpenTelemetry collector, which Go builds into .cache on first
 * use (two minutes). Over gRPC and HTTP, plain and TLS with client certificates, with gzip and without; every value is compared.
 */
import assert from 'node:assert/strict';
import { resolveOwnModules } from '../src/adapters/loading/own-modules.ts';
import type { Adapter, ReportEntry, Shape } from '../src/adapters/contract.ts';
import { eventually, fakeClock, type OpenedForTest, openForTest, testCall } from '../src/adapters/testing/index.ts';
import { startOtelCollector } from '../test/parts/otel-collector.ts';
import { attributesOf, type Json, recordsIn, type Signal } from './otlp-real/received.ts';
import { ATTRIBUTES, SHAPE, VALUES } from './otlp-real/values.ts';

resolveOwnModules();
const adapterOf = async (name: string): Promise<Adapter> =>
  ((await import(`../plugins/${name}/adapter.ts`)) as { default: Adapter }).default;
const [logs, traces, metrics] = await Promise.all(['log-otlp', 'traces-otlp', 'metrics-otlp'].map(adapterOf));
const realClock = { ...fakeClock(), nowMs: () => Date.now(), monotonicMs: () => performance.now() };
const WITHIN_MS = 20_000;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const collector = await startOtelCollector();
const client = await collector.authority.issue('client', 'DNS:client');
const records = async (signal: Signal, run: string): Promise<Json[]> =>
  recordsIn(await collector.received(signal), signal, run);
const TLS = { ca: collector.authority.ca, ...client };
let runs = 0;
try {
  for (const protocol of ['http', 'grpc'] as const)
    for (const transport of ['plain', 'tls'] as const)
      for (const compression of ['gzip', 'none'] as const) await everySignal(protocol, transport, compression);
  await withoutCertificate('http');
  await withoutCertificate('grpc');
  await tooLarge();
  await killed('http');
  await killed('grpc');
} finally {
  await collector.stop();
}

async function everySignal(
  protocol: 'http' | 'grpc',
  transport: 'plain' | 'tls',
  compression: 'gzip' | 'none',
): Promise<void> {
  const run = String(++runs);
  const config = {
    url: collector.urls[protocol][transport],
    protocol,
    compression,
    resource: { run },
    ...(transport === 'tls' ? { tls: TLS } : {}),
  };
  await logsArrive(config, run);
  await spansArrive(config, run);
  await metricsArrive(config, run);
  ok(`logs, spans and metrics over ${protocol}, ${transport}, compression ${compression}`);
}

async function logsArrive(config: Json, run: string): Promise<void> {
  const opened = await open(logs, config);
  const own = {
    time: new Date(1_700_000_000_123),
    body: 'GET / 200',
    severity: 'ERROR',
    trace_id: TRACE,
    span_id: SPAN,
    trace_sampled: true,
  };
  await write(opened, 1000, () => ({ ...own, ...VALUES }), { ...SHAPE, time: 'timestamp', body: 'string' });
  await opened.close();
  await eventually(async () => assert.equal((await records('logs', run)).length, 1000), WITHIN_MS);
  for (const [at, { observedTimeUnixNano, ...record }] of (await records('logs', run)).entries()) {
    assert.ok(Math.abs(Number(observedTimeUnixNano) / 1e6 - Date.now()) < 60_000);
    assert.deepEqual(
      { ...record, attributes: attributesOf(record) },
      {
        timeUnixNano: '1700000000123000000',
        severityNumber: 17,
        severityText: 'ERROR',
        body: { stringValue: 'GET / 200' },
        attributes: {
          ...ATTRIBUTES,
          name: { stringValue: VALUES.name },
          'log.record.uid': { stringValue: `${run}-${at}` },
        },
        flags: 1,
        traceId: TRACE,
        spanId: SPAN,
        eventName: 'envoy.access_log',
      },
    );
  }
}

async function spansArrive(config: Json, run: string): Promise<void> {
  const opened = await open(traces, config);
  const own = {
    time: new Date(1_700_000_000_123),
    duration: 250,
    trace_id: TRACE,
    parent_span_id: SPAN,
    'http.response.status_code': 503,
    status_message: 'no upstream',
    'event.sent': 20,
  };
  const shape: Shape = {
    ...SHAPE,
    time: 'timestamp',
    duration: 'duration',
    'http.response.status_code': 'int',
    'event.sent': 'duration',
  };
  await write(opened, 1000, () => ({ ...own, ...VALUES }), shape);
  await opened.close();
  await eventually(async () => assert.equal((await records('traces', run)).length, 1000), WITHIN_MS);
  const spans = await records('traces', run);
  assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, 1000);
  for (const { spanId, ...span } of spans) {
    assert.match(String(spanId), /^[0-9a-f]{16}$/);
    assert.deepEqual(
      { ...span, attributes: attributesOf(span) },
      {
        traceId: TRACE,
        parentSpanId: SPAN,
        flags: 1,
        name: VALUES.name,
        kind: 2,
        startTimeUnixNano: '1700000000123000000',
        endTimeUnixNano: '1700000000373000000',
        attributes: {
          ...ATTRIBUTES,
          'http.response.status_code': { intValue: '503' },
          'error.type': { stringValue: '503' },
        },
        events: [{ timeUnixNano: '1700000000143000000', name: 'sent' }],
        status: { message: 'no upstream', code: 2 },
      },
    );
  }
}

async function metricsArrive(config: Json, run: string): Promise<void> {
  const opened = await open(metrics, {
    ...config,
    intervalMs: 86_400_000,
    maxSeries: 1000,
    metrics: {
      hits: { kind: 'counter', labels: ['user'], help: 'Hits.', unit: '{hit}' },
      level: { kind: 'gauge' },
      seconds: { kind: 'histogram', buckets: [0.1, 1], unit: 's' },
    },
  });
  const exemplar = { 'exemplar.trace_id': TRACE, 'exemplar.span_id': SPAN };
  await count(opened, 'hits', [
    ...Array.from({ length: 1200 }, (_, at) => ({ value: 2, 'labels.user': `ü${at}` })),
    { 'labels.user': 'ü0', ...exemplar },
  ]);
  await count(opened, 'level', [{ value: -7.5 }]);
  await count(opened, 'seconds', [{ value: 0.5 }, { value: 7, ...exemplar }]);
  const atMs = Date.now();
  await opened.close();
  await eventually(async () => assert.equal((await records('metrics', run)).length >= 3, true), WITHIN_MS);
  const received = await records('metrics', run);
  const pointsOf = (name: string, kind: string): Json[] =>
    received
      .filter((metric) => metric['name'] === name)
      .flatMap((metric) => (metric[kind] as { dataPoints: Json[] }).dataPoints);
  for (const point of received.flatMap(({ name, sum, gauge, histogram }) => {
    assert.ok(['hits', 'level', 'seconds'].includes(String(name)));
    return ((sum ?? gauge ?? histogram) as { dataPoints: Json[] }).dataPoints;
  })) {
    assert.ok(Math.abs(Number(point['timeUnixNano']) / 1e6 - atMs) < 10_000);
    assert.ok(Number(point['startTimeUnixNano'] ?? 0) <= Number(point['timeUnixNano']));
  }
  const hits = pointsOf('hits', 'sum');
  const byUser = new Map(
    hits.map((point) => [(attributesOf(point)['user'] as Json)['stringValue'], point['asDouble']]),
  );
  assert.equal(hits.length, 1001);
  assert.deepEqual([byUser.get('ü0'), byUser.get('ü999'), byUser.get('other')], [3, 2, 400]);
  const [sum] = received.filter(({ name }) => name === 'hits');
  const { aggregationTemporality, isMonotonic } = (sum?.['sum'] ?? {}) as Json;
  assert.deepEqual(
    [sum?.['description'], sum?.['unit'], aggregationTemporality, isMonotonic],
    ['Hits.', '{hit}', 2, true],
  );
  const [exemplars] = hits.flatMap((point) => (point['exemplars'] ?? []) as Json[]);
  assert.deepEqual([exemplars?.['traceId'], exemplars?.['spanId'], exemplars?.['asDouble']], [TRACE, SPAN, 1]);
  assert.deepEqual(
    pointsOf('level', 'gauge').map((point) => point['asDouble']),
    [-7.5],
  );
  const [seconds] = pointsOf('seconds', 'histogram');
  assert.deepEqual(
    [seconds?.['count'], seconds?.['sum'], seconds?.['bucketCounts'], seconds?.['explicitBounds']],
    ['2', 7.5, ['0', '1', '1'], [0.1, 1]],
  );
}

async function withoutCertificate(protocol: 'http' | 'grpc'): Promise<void> {
  const { ca } = TLS;
  const opened = await open(logs, { url: collector.urls[protocol].tls, protocol, tls: { ca } });
  await assert.rejects(
    write(opened, 1, () => ({})),
    { name: 'Unavailable' },
  );
  assert.equal(opened.readiness().ready, false);
  await opened.close();
  ok(`without a client certificate over ${protocol}: Unavailable, and not ready (${opened.readiness().why})`);
}

async function tooLarge(): Promise<void> {
  const run = String(++runs);
  const opened = await open(logs, {
    url: collector.urls.grpc.plain,
    protocol: 'grpc',
    maxRequestBytes: 64 * 1024 * 1024,
    resource: { run },
  });
  await write(opened, 1000, () => ({ body: 'x'.repeat(20_000) }), { body: 'string' });
  await opened.close();
  await eventually(async () => assert.equal((await records('logs', run)).length, 1000), WITHIN_MS);
  ok('20 MB to a receiver that takes 4 MiB over gRPC are halved until it takes them, each record once');
}

async function killed(protocol: 'http' | 'grpc'): Promise<void> {
  const run = String(++runs);
  const opened = await open(logs, { url: collector.urls[protocol].plain, protocol, resource: { run } });
  await write(opened, 10, () => ({}));
  await eventually(async () => assert.equal((await records('logs', run)).length, 10), WITHIN_MS);
  await collector.kill();
  const entries = entriesOf(opened, 10, () => ({}), {}, 10);
  await assert.rejects(
    async () => {
      await opened.handler.write?.(entries, testCall());
    },
    { name: 'Unavailable' },
  );
  await collector.restart();
  await eventually(async () => {
    await opened.handler.write?.(entries, testCall());
  }, WITHIN_MS);
  await opened.close();
  const uids = async (): Promise<Set<unknown>> =>
    new Set((await records('logs', run)).map((record) => JSON.stringify(attributesOf(record)['log.record.uid'])));
  await eventually(async () => assert.equal((await uids()).size, 20), WITHIN_MS);
  ok(`the collector is killed and comes back over ${protocol}: Unavailable, then nothing is missing`);
}

function open(adapter: Adapter | undefined, config: Json): Promise<OpenedForTest> {
  assert.ok(adapter);
  return openForTest(adapter, { config, clock: realClock });
}

function entriesOf(
  { handler }: OpenedForTest,
  length: number,
  inputOf: (at: number) => object,
  shape: Shape,
  first = 0,
): ReportEntry[] {
  const names = Object.keys(inputOf(0));
  const input = { ...Object.fromEntries(names.map((name) => [name, 'any' as const])), ...shape };
  const params = (adapterParams: Adapter | undefined): unknown => adapterParams?.serves.report?.params?.parse({});
  const sink = handler.sink?.({ rule: 'r', input, params: { ...(params(logs) as Json), ...(params(traces) as Json) } });
  return Array.from({ length }, (_, at) => ({
    sink,
    id: `${runs}-${first + at}`,
    timeMs: Date.now(),
    input: { ...inputOf(at) },
  }));
}

async function write(
  opened: OpenedForTest,
  length: number,
  inputOf: (at: number) => object,
  shape: Shape = {},
): Promise<void> {
  await opened.handler.write?.(entriesOf(opened, length, inputOf, shape), testCall());
}

async function count({ handler }: OpenedForTest, metric: string, inputs: readonly object[]): Promise<void> {
  const sink = handler.sink?.({ rule: 'r', input: {}, params: { metric } });
  await handler.write?.(
    inputs.map((input, at) => ({ sink, id: String(at), timeMs: Date.now(), input: { ...input } })),
    testCall(),
  );
}

function ok(what: string): void {
  console.log(`ok  ${what}`);
}
