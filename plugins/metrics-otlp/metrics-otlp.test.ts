import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Adapter, Rejected, type Shape } from 'sluice/plugin';
import { eventually, fakeClock, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { freePort } from '../../test/parts/free-port.ts';
import { type CollectedPoint, type Collector, retryStatus, startCollector } from '../../test/parts/otlp-collector.ts';
import adapter from './adapter.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

/** The newest point of each series. */
const newest = (points: readonly CollectedPoint[]): CollectedPoint[] => [
  ...new Map(points.map((point) => [JSON.stringify([point.metric, point.attributes, point.resource]), point])).values(),
];

describe.each(['http', 'grpc'] as const)('over %s', (protocol) => {
  let collector: Collector;
  beforeAll(async () => {
    collector = await startCollector(protocol);
  });
  afterAll(() => collector.stop());

  let marks = 0;
  const metrics = { hits: { kind: 'counter', labels: ['path'] } };
  testAdapter(adapter, {
    runner: { describe, test },
    config: () => ({ url: collector.url, protocol, intervalMs: 100, metrics, resource: { mark: String(++marks) } }),
    badConfigs: [
      { config: { protocol, metrics }, says: /url: Invalid input/ },
      { config: { url: 'http://a', metrics: { '1a': { kind: 'gauge' } } }, says: /begins with a letter/ },
      { config: { url: 'http://a', metrics: { a: { kind: 'gauge', merge: 'max' } } }, says: /remove merge/ },
      { config: { url: 'http://a', metrics: { a: { kind: 'gauge', unit: 'a b' } } }, says: /such as s or By/ },
      { config: { url: 'http://a', metrics: { sluice_a: { kind: 'gauge' } } }, says: /reserved/ },
    ],
    report: {
      params: { metric: 'hits' },
      shape: { value: 'double?', 'labels.path': 'string' },
      input: (at) => ({ value: at + 1, 'labels.path': `/${at}` }),
      read: () =>
        newest(collector.points.filter(({ resource }) => resource['mark'] === String(marks))).map(
          ({ value, attributes }) => ({ value, 'labels.path': attributes['path'] }),
        ),
    },
  });
});

type Metric = Readonly<Record<string, unknown>>;
interface Given {
  readonly protocol?: 'http' | 'grpc';
  readonly config?: object;
  readonly port?: number;
  readonly clock?: ReturnType<typeof fakeClock>;
}

async function opened(metrics: Readonly<Record<string, Metric>>, given: Given = {}) {
  const { protocol = 'http', config = {}, clock } = given;
  const collector = await startCollector(protocol, given.port === undefined ? {} : { port: given.port });
  const handler = await openForTest(adapter, {
    config: { url: collector.url, protocol, intervalMs: 100, metrics, ...config },
    ...(clock === undefined ? {} : { clock }),
  });
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await handler.close();
    isOpen = false;
  };
  onTestFinished(async () => {
    await close();
    await collector.stop();
  });
  const count = async (metric: string | string[], ...inputs: readonly object[]): Promise<void> => {
    const sink = handler.handler.sink?.({ rule: 'r', input: {} as Shape, params: { metric } });
    const entries = inputs.map((input, at) => ({ sink, id: `${at}`, timeMs: 1e12, input: { ...input } }));
    await handler.handler.write?.(entries, testCall());
  };
  const settled = async (show: (points: readonly CollectedPoint[]) => void): Promise<void> =>
    eventually(() => show(newest(collector.points)));
  return { ...handler, close, collector, count, settled };
}

test('counters, gauges and histograms arrive with names, units, start times, labels and exemplars', async () => {
  const clock = fakeClock();
  const bornMs = clock.nowMs();
  const { count, close, collector } = await opened(
    {
      'http.server.requests': { kind: 'counter', labels: ['http.route'], unit: '{request}', help: 'Requests.' },
      'http.server.active': { kind: 'gauge' },
      'http.server.duration': { kind: 'histogram', labels: ['http.route'], unit: 's', buckets: [0.1, 1] },
    },
    { clock, config: { intervalMs: 86_400_000, resource: { 'service.name': 'shop' } } },
  );
  const exemplar = { 'exemplar.trace_id': TRACE, 'exemplar.span_id': SPAN };
  await count(
    'http.server.requests',
    { value: 2, 'labels.http.route': '/ü', ...exemplar },
    { 'labels.http.route': '/ü' },
  );
  await count('http.server.active', { value: 4 }, { value: -7.5 });
  await count(
    'http.server.duration',
    ...[0.05, 0.5, 0.6, 7].map((value) => ({ value, 'labels.http.route': '/a', ...(value > 1 ? exemplar : {}) })),
  );
  clock.advance(5000);
  await close();
  const resource = {
    'service.name': 'shop',
    'service.instance.id': expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
  };
  const times = { startMs: bornMs, timeMs: bornMs + 5000 };
  expect(collector.points).toEqual([
    {
      metric: 'http.server.requests',
      kind: 'sum',
      unit: '{request}',
      description: 'Requests.',
      temporality: 2,
      isMonotonic: true,
      ...times,
      value: 3,
      count: undefined,
      buckets: undefined,
      bounds: undefined,
      exemplars: [{ traceId: TRACE, spanId: SPAN, value: 2, timeMs: 1e12 }],
      attributes: { 'http.route': '/ü' },
      resource,
    },
    expect.objectContaining({
      metric: 'http.server.active',
      kind: 'gauge',
      timeMs: times.timeMs,
      value: -7.5,
      attributes: {},
      resource,
    }),
    {
      metric: 'http.server.duration',
      kind: 'histogram',
      unit: 's',
      description: 'Reported by rules.',
      temporality: 2,
      isMonotonic: undefined,
      ...times,
      value: expect.closeTo(8.15) as number,
      count: 4,
      buckets: [1, 2, 1],
      bounds: [0.1, 1],
      exemplars: [{ traceId: TRACE, spanId: SPAN, value: 7, timeMs: 1e12 }],
      attributes: { 'http.route': '/a' },
      resource,
    },
  ]);
});

test('pushes are cumulative, at the interval', async () => {
  const { count, settled, collector } = await opened({ hits: { kind: 'counter' } });
  await count('hits', {});
  await settled(([point]) => expect(point?.value).toBe(1));
  await count('hits', {}, {});
  await settled(([point]) => expect(point?.value).toBe(3));
  expect(new Set(collector.points.map(({ startMs }) => startMs)).size).toBe(1);
});

test('reports beyond maxSeries are pushed in the series of others', async () => {
  const { count, settled, metrics } = await opened(
    { hits: { kind: 'counter', labels: ['user'] } },
    { config: { maxSeries: 2 } },
  );
  await count('hits', ...['a', 'b', 'c', 'd', 'a'].map((user) => ({ 'labels.user': user })));
  await settled((points) =>
    expect(Object.fromEntries(points.map(({ attributes, value }) => [attributes['user'], value]))).toEqual({
      a: 2,
      b: 1,
      other: 2,
    }),
  );
  expect(await metrics()).toContain('sluice_plugin_metrics_otlp_overflow_total{handler="tested"} 2');
});

test('a metric with more series than a request may have bytes is divided, and none is missing', async () => {
  const { count, settled, collector } = await opened(
    { hits: { kind: 'counter', labels: ['user'] } },
    { config: { maxRequestBytes: 4000, maxSeries: 1000 } },
  );
  let largest = 0;
  collector.answer = (_, bytes) => {
    largest = Math.max(largest, bytes);
    return {};
  };
  await count('hits', ...Array.from({ length: 500 }, (_, at) => ({ 'labels.user': `user-${at}` })));
  await settled((points) => expect(points.length).toBe(500));
  expect(largest).toBeLessThanOrEqual(4000);
  expect(largest).toBeGreaterThan(2000);
});

test('a value that cannot be counted is refused, and the others are pushed', async () => {
  const { count, settled } = await opened({ hits: { kind: 'counter' } });
  await expect(count('hits', { value: -1 }, { value: 5 })).rejects.toBeInstanceOf(Rejected);
  await settled(([point]) => expect(point?.value).toBe(5));
});

test.each(['http', 'grpc'] as const)(
  'while the collector is away counting goes on, one line says so, and the newest values arrive after, over %s',
  async (protocol) => {
    const port = await freePort();
    const first = await opened({ hits: { kind: 'counter' } }, { protocol, port });
    await first.count('hits', {});
    await first.settled(([point]) => expect(point?.value).toBe(1));
    await first.collector.stop();
    await first.count('hits', {});
    const lines = (level: string): string[] =>
      first.logged.filter((line) => line.level === level).map(({ message }) => message);
    await eventually(() => expect(first.readiness().ready).toBe(false));
    await first.count('hits', {});
    await eventually(async () =>
      expect(await first.metrics()).toMatch(/metrics_otlp_failed_pushes_total\{handler="tested"\} [2-9]/),
    );
    expect(lines('warn')).toEqual(['metrics cannot be pushed; the newest are pushed once the collector answers']);
    const back = await startCollector(protocol, { port });
    onTestFinished(() => back.stop());
    await eventually(() => expect(newest(back.points)[0]?.value).toBe(3), 30_000);
    await eventually(() => expect(first.readiness().ready).toBe(true));
    expect(lines('info')).toEqual(['metrics are pushed again']);
  },
);

test.each([
  ['http', { status: 503, headers: { 'retry-after': '2' } }],
  ['grpc', { code: 14, details: retryStatus(14, 2) }],
] as const)('a collector that asks for a delay is pushed to after it, over %s', async (protocol, answer) => {
  const { count, settled, collector } = await opened({ hits: { kind: 'counter' } }, { protocol });
  const askedMs: number[] = [];
  collector.answer = () => (askedMs.push(performance.now()) === 1 ? answer : {});
  await count('hits', {});
  await settled(([point]) => expect(point?.value).toBe(1));
  expect((askedMs[1] as number) - (askedMs[0] as number)).toBeGreaterThan(1400);
});

test('metrics that a collector refuses are named once in the log, and the next push still runs', async () => {
  const { count, settled, collector, logged } = await opened({ hits: { kind: 'counter' } });
  let asked = 0;
  collector.answer = () => (++asked < 4 ? { status: 400 } : {});
  await count('hits', {});
  await settled(([point]) => expect(point?.value).toBe(1));
  expect(logged.filter(({ level }) => level === 'warn')).toMatchObject([
    { message: /refuses metrics/, fields: { why: expect.stringMatching(/it answered 400/) as string } },
  ]);
});

test('a collector that hangs costs a push its time, and the close its own', async () => {
  const { count, collector, close, logged } = await opened(
    { hits: { kind: 'counter' } },
    { config: { timeoutMs: 200 } },
  );
  collector.answer = () => ({ never: true });
  await count('hits', {});
  await eventually(() => expect(logged.some(({ level }) => level === 'warn')).toBe(true));
  const startedMs = performance.now();
  await close();
  expect(performance.now() - startedMs).toBeLessThan(20_000); // the collector never answers
  expect(logged.map(({ message }) => message)).toContain('the last values of metrics were not pushed');
});

test('a close pushes what has changed since the last push alone', async () => {
  const clock = fakeClock();
  const { count, collector, close } = await opened(
    { hits: { kind: 'counter', labels: ['user'] }, active: { kind: 'gauge', labels: ['user'] } },
    { config: { maxSeries: 3 }, clock },
  );
  const users = (...names: string[]): object[] => names.map((user) => ({ value: 1, 'labels.user': user }));
  const pushed = async (pushes: number): Promise<void> => {
    const before = collector.requests.length;
    await eventually(() => expect(collector.requests.length).toBeGreaterThanOrEqual(before + pushes));
  };
  await count('hits', ...users('a', 'b', 'c', 'd'));
  await count('active', ...users('a', 'b'));
  clock.advance(1);
  await pushed(3); // the second one began after the clock moved, and has ended
  collector.answer = () => ({ never: true });
  await pushed(1);
  clock.advance(1);
  await count('hits', ...users('b', 'd'));
  await count('active', ...users('a'));
  collector.points.splice(0);
  collector.answer = () => ({});
  await close();
  expect(collector.points.map(({ metric, attributes, value }) => [metric, attributes['user'], value])).toEqual([
    ['hits', 'b', 2],
    ['hits', 'other', 2],
    ['active', 'a', 1],
  ]);
});

test('a close pushes in slices; the log says what a collector did not take in time', async () => {
  const { count, collector, close, logged } = await opened(
    { hits: { kind: 'counter', labels: ['user'] }, misses: { kind: 'counter', labels: ['user'] } },
    { config: { intervalMs: 86_400_000, maxRequestBytes: 4000, timeoutMs: 1000 } },
  );
  for (const metric of ['hits', 'misses'])
    await count(metric, ...Array.from({ length: 300 }, (_, at) => ({ 'labels.user': `user-${at}` })));
  let asked = 0;
  collector.answer = () => (++asked > 3 ? { never: true } : {});
  await close();
  const taken = newest(collector.points).length;
  expect(taken).toBeGreaterThan(50);
  expect(taken).toBeLessThan(300);
  expect(logged.filter(({ level }) => level === 'warn')).toEqual([
    {
      level: 'warn',
      message: 'the last values of metrics were not pushed',
      fields: expect.objectContaining({
        why: expect.any(String) as string,
        series: 600 - taken,
        metrics: [`${300 - taken} of hits`, '300 of misses'],
      }) as object,
    },
  ]);
});

test('a push that runs while the handler closes is cut short, and the last values are pushed', async () => {
  const { count, collector, close, settled } = await opened({ hits: { kind: 'counter' } });
  let isFirst = true;
  collector.answer = () => {
    const answer = isFirst ? { never: true } : {};
    isFirst = false;
    return answer;
  };
  await count('hits', {});
  await eventually(() => expect(collector.requests.length).toBe(1));
  await count('hits', {}, {});
  await close();
  await settled(([point]) => expect(point?.value).toBe(3));
});

test.each([
  [1, 'replica-7'],
  [4, 'replica-7-2'],
])('of %i workers, the second is the instance %s', async (count, instance) => {
  const collector = await startCollector('http');
  onTestFinished(() => collector.stop());
  const inWorker: Adapter = {
    ...adapter,
    open: (config: never, host) => adapter.open(config, { ...host, worker: { number: 2, count } }),
  };
  const { close } = await openForTest(inWorker, {
    config: {
      url: collector.url,
      metrics: { hits: { kind: 'counter' } },
      resource: { 'service.instance.id': 'replica-7' },
    },
  });
  await close();
  expect(collector.points.map(({ resource }) => resource['service.instance.id'])).toEqual([instance]);
});
