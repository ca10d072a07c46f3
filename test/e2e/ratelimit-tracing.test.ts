/** Spans of `sluice ratelimit` at an OTLP collector, from real calls with trace headers. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { RateLimitResponse_Code as Code } from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { freePort } from '../parts/free-port.ts';
import { type LimitRequest, shopRequest, shouldRateLimit } from '../parts/ratelimit-client.ts';
import { type RateLimitPart, startSluiceRatelimit } from '../parts/ratelimits.ts';
import { type RedisPart, startRedis } from '../parts/redis.ts';
import { type CollectedSpan, startTraceCollector, type TraceCollector } from '../parts/trace-collector.ts';
import { until } from './sluice.ts';

const CONFIG = `
domain: shop
descriptors:
  - key: user
    rate_limit: { unit: day, requests_per_unit: 3 }
  - key: fast
    rate_limit: { unit: second, requests_per_unit: 1000 }
`;
const [TRACE, SPAN] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
const [CALL, EXECUTION, TRIP, JSON_SPAN] = [
  'envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
  'ShouldRateLimit Execution',
  'Redis Pipeline Execution',
  'NewJsonHandler Remaining Execution',
];

let redis: RedisPart;
let folder: string;
const running: { stop(): Promise<void> }[] = [];
beforeAll(async () => {
  redis = await startRedis();
  folder = await mkdtemp(join(tmpdir(), 'sluice-tracing-'));
  await mkdir(join(folder, 'config'));
  await writeFile(join(folder, 'config', 'shop.yaml'), CONFIG);
});
afterEach(async () => {
  for (const part of running.splice(0).reverse()) await part.stop();
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, { recursive: true });
});

async function collector(...as: Parameters<typeof startTraceCollector>): Promise<TraceCollector> {
  const one = await startTraceCollector(...as);
  running.push(one);
  return one;
}

/** Spans are exported at the drain, unless `env` says otherwise. */
async function start(url: string, env: NodeJS.ProcessEnv = {}): Promise<RateLimitPart> {
  const part = await startSluiceRatelimit({
    RUNTIME_ROOT: folder,
    REDIS_SOCKET_TYPE: 'tcp',
    REDIS_URL: `127.0.0.1:${redis.port}`,
    LOG_LEVEL: 'info',
    SLUICE_REDIS_DEADLINE: '1s',
    TRACING_ENABLED: 'true',
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_BSP_SCHEDULE_DELAY: '600000',
    ...env,
  });
  running.push(part);
  return part;
}

const user = (value: string): LimitRequest => shopRequest('user', value);

const ask = async (
  { grpcPort }: RateLimitPart,
  request: LimitRequest,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Code> => (await shouldRateLimit(grpcPort, request, { metadata })).overallCode;

const named = (spans: readonly CollectedSpan[], name: string): CollectedSpan => {
  const [span, ...others] = spans.filter((one) => one.name === name);
  if (span === undefined || others.length > 0)
    throw new Error(`one span "${name}" is expected; there are: ${spans.map((one) => one.name).join(', ')}`);
  return span;
};

describe('a call', () => {
  test.each(['http', 'grpc'] as const)(
    "has a span of the caller's trace, and what it does stands below it: %s",
    async (protocol) => {
      const { url, spans } = await collector(protocol);
      const part = await start(url, {
        TRACING_EXPORTER_PROTOCOL: protocol,
        TRACING_SERVICE_NAMESPACE: 'edge',
        TRACING_SERVICE_INSTANCE_ID: 'pod-1',
        OTEL_RESOURCE_ATTRIBUTES: 'zone=a,service.name=no',
      });
      const request: LimitRequest = {
        domain: 'shop',
        hitsAddend: 2,
        descriptors: [
          { entries: [{ key: 'user', value: `a"nn-${protocol}` }] },
          { entries: [{ key: 'fast', value: '' }], limit: { unit: 1, requestsPerUnit: 7 } },
        ],
      };
      expect(await ask(part, request, { traceparent: `00-${TRACE}-${SPAN}-01` })).toBe(Code.OK);
      await part.stop();

      const [call, execution, trip] = [named(spans, CALL), named(spans, EXECUTION), named(spans, TRIP)];
      expect([call, execution, trip].map(({ traceId, parentSpanId, kind }) => [traceId, parentSpanId, kind])).toEqual([
        [TRACE, SPAN, 2],
        [TRACE, call.spanId, 1],
        [TRACE, execution.spanId, 1],
      ]);
      expect(call.attributes).toEqual({
        'rpc.system': 'grpc',
        'rpc.service': 'envoy.service.ratelimit.v3.RateLimitService',
        'rpc.method': 'ShouldRateLimit',
        'rpc.grpc.status_code': 0,
        'net.sock.peer.addr': '127.0.0.1',
        'net.sock.peer.port': expect.any(Number) as number,
      });
      expect(execution.attributes).toEqual({
        domain: 'shop',
        'request string': `domain:"shop" descriptors:{entries:{key:"user" value:"a\\"nn-${protocol}"}} descriptors:{entries:{key:"fast"} limit:{requests_per_unit:7 unit:SECOND}} hits_addend:2`,
      });
      expect(trip.attributes).toEqual({ 'pipeline length': 4, 'perSecondPipeline length': 0 });
      expect(call.resource).toMatchObject({
        'service.name': 'RateLimit',
        'service.namespace': 'edge',
        'service.instance.id': 'pod-1',
        zone: 'a',
      });
      expect(call.tookNs).toBeGreaterThanOrEqual(execution.tookNs);
      expect(execution.tookNs).toBeGreaterThanOrEqual(trip.tookNs);
    },
  );

  test('an unsampled caller is followed, too, by traceparent or b3', async () => {
    const { url, spans } = await collector();
    const part = await start(url);
    await ask(part, user('w3c'), { traceparent: `00-${TRACE}-${SPAN}-00` });
    await ask(part, user('b3'), { b3: `${TRACE}-${SPAN}-0` });
    await ask(part, user('b3-many'), { 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN, 'x-b3-sampled': '0' });
    await ask(part, user('traced'), { 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN, 'x-b3-sampled': '1' });
    await ask(part, user('traced-too'), { b3: `${TRACE}-${SPAN}-1` });
    await part.stop();
    expect(
      spans.filter(({ name }) => name === EXECUTION).map(({ attributes }) => attributes['request string']),
    ).toEqual([expect.stringContaining('"traced"'), expect.stringContaining('"traced-too"')]);
    expect(
      spans.filter(({ name }) => name === CALL).map(({ traceId, parentSpanId }) => [traceId, parentSpanId]),
    ).toEqual([
      [TRACE, SPAN],
      [TRACE, SPAN],
    ]);
  });

  test('traceparent takes precedence over b3', async () => {
    const { url, spans } = await collector();
    const part = await start(url);
    await ask(part, user('both'), {
      traceparent: `00-${TRACE}-${SPAN}-01`,
      b3: 'f'.repeat(32).concat('-1111111111111111-0'),
    });
    await part.stop();
    expect(named(spans, CALL).traceId).toBe(TRACE);
  });

  test('TRACING_SAMPLING_RATE applies to new traces', async () => {
    const { url, spans } = await collector();
    const part = await start(url, { TRACING_SAMPLING_RATE: '0' });
    await ask(part, user('own'));
    await ask(part, user('followed'), { traceparent: `00-${TRACE}-${SPAN}-01` });
    await part.stop();
    expect(named(spans, EXECUTION).attributes['request string']).toContain('followed');
  });

  test("without a caller's trace it starts one; errors are recorded", async () => {
    const { url, spans } = await collector();
    const part = await start(url);
    await expect(ask(part, { domain: '' })).rejects.toThrow('rate limit domain must not be empty');
    await part.stop();
    const call = named(spans, CALL);
    expect(call).toMatchObject({
      parentSpanId: '',
      status: { code: 2, message: 'rate limit domain must not be empty' },
      attributes: { 'rpc.grpc.status_code': 2 },
    });
    expect(named(spans, EXECUTION)).toMatchObject({ traceId: call.traceId, parentSpanId: call.spanId });
    expect(call.resource['service.instance.id']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
  });

  test('windows of a second in their own Redis', async () => {
    const own = await startRedis();
    running.push(own);
    const { url, spans } = await collector();
    const part = await start(url, {
      REDIS_PERSECOND: 'true',
      REDIS_PERSECOND_SOCKET_TYPE: 'tcp',
      REDIS_PERSECOND_URL: `127.0.0.1:${own.port}`,
    });
    await ask(part, shopRequest('fast', ''));
    await part.stop();
    expect(named(spans, TRIP).attributes).toEqual({ 'pipeline length': 0, 'perSecondPipeline length': 2 });
  });

  test('Redis that is away', async () => {
    const own = await startRedis();
    const { url, spans } = await collector();
    const part = await start(url, { REDIS_URL: `127.0.0.1:${own.port}` });
    await own.kill();
    await expect(ask(part, user('gone'))).rejects.toThrow(/Redis: /);
    await own.stop();
    await part.stop();
    expect(named(spans, TRIP).status).toEqual({ code: 2, message: expect.stringMatching(/^Redis: /) as string });
    expect(named(spans, CALL).attributes['rpc.grpc.status_code']).toBe(2);
  });
});

test('a call of /json is one trace, continued from its headers', async () => {
  const { url, spans } = await collector();
  const part = await start(url);
  const body = JSON.stringify({ domain: 'shop', descriptors: [{ entries: [{ key: 'user', value: 'json' }] }] });
  const post = async (headers: Readonly<Record<string, string>>): Promise<number> =>
    (await fetch(`http://127.0.0.1:${part.httpPort}/json`, { method: 'POST', body, headers })).status;
  expect([await post({ traceparent: `00-${TRACE}-${SPAN}-01` }), await post({})]).toEqual([200, 200]);
  await part.stop();
  const [followed, own] = [
    spans.filter(({ traceId }) => traceId === TRACE),
    spans.filter(({ traceId }) => traceId !== TRACE),
  ];
  for (const [trace, parent] of [
    [followed, SPAN],
    [own, ''],
  ] as const) {
    const execution = named(trace, EXECUTION);
    expect(execution.parentSpanId).toBe(parent);
    expect([TRIP, JSON_SPAN].map((name) => [named(trace, name).traceId, named(trace, name).parentSpanId])).toEqual([
      [execution.traceId, execution.spanId],
      [execution.traceId, execution.spanId],
    ]);
  }
  expect(named(followed, JSON_SPAN).attributes['response']).toMatch(
    /^overall_code:OK statuses:\{code:OK current_limit:\{requests_per_unit:3 unit:DAY\} limit_remaining:2 duration_until_reset:\{seconds:\d+\}\}$/,
  );
});

test('each worker exports its own calls, and all are one instance', async () => {
  const { url, spans } = await collector();
  const part = await start(url, { SLUICE_WORKERS: '2' });
  const calls = Array.from({ length: 16 }, async (_, at) =>
    ask(part, user(`of ${at}`), { traceparent: `00-${String(at + 1).padStart(32, '0')}-${SPAN}-01` }),
  );
  expect(await Promise.all(calls)).toEqual(calls.map(() => Code.OK));
  const body = JSON.stringify({ domain: 'shop', descriptors: [{ entries: [{ key: 'user', value: 'json of one' }] }] });
  expect(
    (
      await fetch(`http://127.0.0.1:${part.httpPort}/json`, {
        method: 'POST',
        body,
        headers: { traceparent: `00-${TRACE}-${SPAN}-01` },
      })
    ).status,
  ).toBe(200);
  await part.stop();
  const traces = Map.groupBy(
    spans.filter(({ name }) => name !== JSON_SPAN),
    ({ traceId }) => traceId,
  );
  for (const trace of traces.values())
    expect(named(trace, TRIP)).toMatchObject({ parentSpanId: named(trace, EXECUTION).spanId });
  expect(traces.size).toBe(17);
  expect(named(spans, JSON_SPAN).traceId).toBe(TRACE);
  expect(new Set(spans.map(({ resource }) => resource['service.instance.id'])).size).toBe(1);
});

describe('a collector', () => {
  test('that rejects spans affects no answer, and is logged now and then', async () => {
    const { url, asked } = await collector('http', 400);
    const part = await start(url, { OTEL_BSP_SCHEDULE_DELAY: '10' });
    for (let batch = 1; batch <= 3; batch++) {
      expect(await ask(part, user(`refused-${batch}`))).toBe(Code.OK);
      await until('a batch', () => (asked() >= batch ? true : undefined));
    }
    await until('it is said', () => (part.printed().includes('does not accept them') ? true : undefined));
    await part.stop();
    const lost = part.printed().matchAll(/spans lost: the trace collector does not accept them.*?lost"?[=:](\d+)/g);
    const lines = Array.from(lost, ([, count]) => Number(count));
    expect(lines).toHaveLength(2); // of the first batch, and of the others at the end
    expect(lines.every((count) => count > 0)).toBe(true);
  });

  test('that is unreachable is logged, too', async () => {
    const part = await start(`http://127.0.0.1:${await freePort()}`, {
      OTEL_BSP_SCHEDULE_DELAY: '10',
      OTEL_EXPORTER_OTLP_TIMEOUT: '200',
    });
    expect(await ask(part, user('away'))).toBe(Code.OK);
    await until('it is said', () => (/does not accept them.*ECONNREFUSED/.test(part.printed()) ? true : undefined));
  });

  test.each([
    ['hangs', '1'],
    ['is not there', '1'],
    ['hangs', '2'],
  ])('that %s does not delay the drain: %s workers', async (how, workers) => {
    const url = how === 'hangs' ? (await collector('http', 'never')).url : `http://127.0.0.1:${await freePort()}`;
    const part = await start(url, { SLUICE_WORKERS: workers, OTEL_EXPORTER_OTLP_TIMEOUT: '600000' });
    await ask(part, user(`held-${how}-${workers}`));
    await part.stop(60_000); // longer than a test may take, since it exits by itself
    expect(part.printed()).toContain('spans lost: the trace collector did not accept the last ones in time');
  });
});

describe('an environment', () => {
  test('with unexpected values is logged at the start', async () => {
    const part = await start('no url', { OTEL_EXPORTER_OTLP_TIMEOUT: 'soon', OTEL_BSP_SCHEDULE_DELAY: 'later' });
    for (const why of [
      /Could not parse environment-provided export URL: 'no url'/,
      /'soon' for OTEL_EXPORTER_OTLP_TIMEOUT/,
      /'later' for OTEL_BSP_SCHEDULE_DELAY/,
    ])
      expect(part.printed()).toMatch(why);
  });

  test('without a usable exporter ends the process', async () => {
    await expect(start('http://[x', { TRACING_EXPORTER_PROTOCOL: 'grpc' })).rejects.toThrow(
      /CLI_SETTING OTEL_EXPORTER_OTLP_\.\.\.: Invalid URL/,
    );
  });
});
