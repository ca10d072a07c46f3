import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { Rejected } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { promtool } from '../../test/parts/fetch.ts';
import { turnsDuring } from '../../test/parts/loop-turns.ts';
import adapter from './adapter.ts';

const METRICS = {
  shop_requests_total: { kind: 'counter', help: 'Requests.', labels: ['method', 'code'] },
  shop_last: { kind: 'gauge', labels: ['route'] },
  shop_seconds: { kind: 'histogram', help: 'How long.', labels: ['route'], buckets: [0.1, 1] },
  shop_bare_total: { kind: 'counter' },
} as const;

const metric = (of: object): object => ({ metrics: { m: of } });

testAdapter(adapter, {
  runner: { describe, test },
  in: ['process', 'protocol', 'worker', 'grpc'],
  module: new URL('./adapter.ts', import.meta.url),
  config: { metrics: METRICS },
  badConfigs: [
    { config: metric({ kind: 'summary' }), says: /kind/ },
    { config: { metrics: { 'shop-requests': { kind: 'counter' } } }, says: /letters, digits/ },
    { config: { metrics: { sluice_calls: { kind: 'counter' } } }, says: /Sluice's own/ },
    { config: metric({ kind: 'counter', labels: ['__name'] }), says: /nor __/ },
    { config: metric({ kind: 'counter', labels: ['a', 'a'] }), says: /named twice/ },
    { config: metric({ kind: 'counter', buckets: [1] }), says: /has no buckets/ },
    { config: metric({ kind: 'histogram', labels: ['le'] }), says: /the label le is reserved/ },
    { config: metric({ kind: 'histogram', buckets: [1, 1] }), says: /ascend/ },
    {
      config: { metrics: { m: { kind: 'histogram' }, m_sum: { kind: 'counter' } } },
      says: /taken by a series of the histogram m/,
    },
    {
      config: { metrics: { m_total: { kind: 'counter' }, m: { kind: 'gauge' } } },
      says: /taken by the counter m_total/,
    },
    { config: metric({ kind: 'gauge', unit: 'seconds' }), says: /does not end in _seconds/ },
    { config: metric({ kind: 'counter', merge: 'max' }), says: /always summed/ },
    { config: { ...metric({ kind: 'gauge' }), labels: { path: {} } }, says: /no metric has this label/ },
    {
      config: { ...metric({ kind: 'gauge', labels: ['path'] }), labels: { path: { paths: ['/a/b{c}'] } } },
      says: /has the segment "b\{c\}"/,
    },
  ],
  skip: {
    'accepted entries are delivered even if the handler closes at once':
      'a closed handler has no page; what is read is the page',
  },
  report: {
    params: { metric: 'shop_requests_total' },
    shape: { value: 'double?', 'labels.method': 'string', 'labels.code': 'string' },
    input: (n) => ({ value: n + 1, 'labels.method': 'GET', 'labels.code': String(n) }),
    read: async ({ metrics }) =>
      [...(await metrics()).matchAll(/^shop_requests_total\{method="GET",code="(\d+)"\} (\d+)$/gm)].map(
        ([, code, value]) => ({ value: Number(value), 'labels.method': 'GET', 'labels.code': code }),
      ),
  },
});

describe('metrics-prometheus', () => {
  async function open(config: object = {}) {
    const opened = await openForTest(adapter, { config: { metrics: METRICS, ...config } });
    const write = async (name: string | readonly string[], ...inputs: readonly Record<string, unknown>[]) => {
      const sink = opened.handler.sink?.({ rule: 'r', input: {}, params: { metric: name } });
      await opened.handler.write?.(
        inputs.map((input, n) => ({ sink, id: `id-${n}`, timeMs: 0, input })),
        testCall(),
      );
    };
    return { ...opened, write };
  }
  const labels = (method: unknown, code: unknown) => ({ 'labels.method': method, 'labels.code': code });

  test('the input of a rule is the value and the labels of its metric', () => {
    const input = adapter.serves.report?.input as unknown as (config: unknown, params: unknown) => unknown;
    const config = adapter.config.parse({ metrics: METRICS });
    const exemplar = { 'exemplar.trace_id': 'string?', 'exemplar.span_id': 'string?' };
    expect(input(config, { metric: 'shop_requests_total' })).toEqual({
      value: 'double?',
      'labels.method': 'string',
      'labels.code': 'string',
      ...exemplar,
    });
    expect(input(config, { metric: 'shop_seconds' })).toEqual({
      value: 'double',
      'labels.route': 'string',
      ...exemplar,
    });
    expect(input(config, { metric: 'shop_last' })).toEqual({ value: 'double', 'labels.route': 'string' });
    expect(input(config, { metric: ['shop_seconds', 'shop_last'] })).toEqual({
      'values.shop_seconds': 'double?',
      'values.shop_last': 'double?',
      'labels.route': 'string',
      ...exemplar,
    });
    expect(() => input(config, { metric: ['shop_seconds', 'shop_requests_total'] })).toThrow(
      'the metrics of a rule must have the same labels; shop_seconds has route, shop_requests_total has method, code',
    );
    expect(() => input(config, { metric: 'shop_request_total' })).toThrow(
      /no metric "shop_request_total".*shop_requests_total, shop_last/,
    );
    expect(() => input(config, { metric: 'toString' })).toThrow(/no metric "toString"/);
  });

  test('counts, sets and observes; a counter without a value counts 1', async () => {
    const { write, metrics } = await open();
    await write(
      'shop_requests_total',
      labels('GET', '200'),
      { value: 2.5, ...labels('GET', '200') },
      labels('PUT', '200'),
    );
    await write('shop_last', { value: 3, 'labels.route': '/a' }, { value: -1, 'labels.route': '/a' });
    await write(
      'shop_seconds',
      { value: 0.05, 'labels.route': '/a' },
      { value: 0.5, 'labels.route': '/a' },
      { value: 5, 'labels.route': '/a' },
    );
    await write('shop_bare_total', {});
    const page = await metrics();
    for (const line of [
      'shop_requests_total{method="GET",code="200"} 3.5',
      'shop_requests_total{method="PUT",code="200"} 1',
      'shop_last{route="/a"} -1',
      'shop_seconds_bucket{le="0.1",route="/a"} 1',
      'shop_seconds_bucket{le="1",route="/a"} 2',
      'shop_seconds_bucket{le="+Inf",route="/a"} 3',
      'shop_seconds_sum{route="/a"} 5.55',
      'shop_seconds_count{route="/a"} 3',
      'shop_bare_total 1',
    ])
      expect(page.split('\n')).toContain(line);
  });

  test('a label that failed is "unknown"; one that is too long is cut', async () => {
    const { write, metrics } = await open({ maxLabelLength: 10 });
    await write('shop_requests_total', labels(null, undefined), labels('x'.repeat(11), 'y'.repeat(10)));
    const page = await metrics();
    expect(page).toContain('{method="unknown",code="unknown"} 1');
    expect(page).toContain(`{method="${'x'.repeat(9)}…",code="${'y'.repeat(10)}"} 1`);
  });

  test('beyond maxSeries new label values count under "other", known ones in their series', async () => {
    const { write, metrics } = await open({ maxSeries: 2 });
    for (const code of ['a', 'b', 'c', 'd', 'a']) await write('shop_requests_total', labels('GET', code));
    const page = await metrics();
    expect(page).toContain('{method="GET",code="a"} 2');
    expect(page).toContain('{method="other",code="other"} 2');
    expect(page).not.toContain('code="c"');
    expect(page).toContain('sluice_plugin_metrics_prometheus_overflow_total{handler="tested"} 2');
  });

  test('a series without updates is removed, and its place is free', async () => {
    const { write, metrics, clock } = await open({ maxSeries: 3, expireAfterMs: 60_000 });
    await write('shop_requests_total', labels('GET', 'kept'), labels('SCAN', '1'), labels('SCAN', '2'));
    await write('shop_requests_total', labels('POD', 'early'));
    clock.advance(59_000);
    await write('shop_requests_total', labels('GET', 'kept'), labels('POD', 'still early'));
    expect((await metrics()).match(/^shop_requests_total\{.*$/gm)).toEqual([
      'shop_requests_total{method="GET",code="kept"} 2',
      'shop_requests_total{method="SCAN",code="1"} 1',
      'shop_requests_total{method="SCAN",code="2"} 1',
      'shop_requests_total{method="other",code="other"} 2',
    ]);
    clock.advance(2000);
    await write('shop_requests_total', labels('POD', 'late'));
    expect((await metrics()).match(/^shop_requests_total\{.*$/gm)).toEqual([
      'shop_requests_total{method="GET",code="kept"} 2',
      'shop_requests_total{method="POD",code="late"} 1',
      'shop_requests_total{method="other",code="other"} 2',
    ]);
    clock.advance(61_000);
    expect((await metrics()).match(/^shop_requests_total\{.*$/gm)).toEqual([
      'shop_requests_total{method="other",code="other"} 2',
    ]);
    expect(await metrics()).toContain('shop_bare_total 0');
  });

  test('with expireAfterMs 0 no series is removed', async () => {
    const { write, metrics, clock } = await open({ expireAfterMs: 0 });
    await write('shop_requests_total', labels('GET', '1'));
    clock.advance(30 * 86_400_000);
    expect(await metrics()).toContain('shop_requests_total{method="GET",code="1"} 1');
  });

  test('labels that are really "other" share the overflow series', async () => {
    const { write, metrics } = await open({ maxSeries: 1, expireAfterMs: 0 });
    await write('shop_requests_total', labels('other', 'other'), labels('a', 'b'));
    await write(
      'shop_seconds',
      { value: 1, 'labels.route': 'a' },
      { value: 1, 'labels.route': 'b' },
      { value: 1, 'labels.route': 'other' },
    );
    const page = await metrics();
    expect(page.match(/^shop_requests_total\{.*$/gm)).toEqual(['shop_requests_total{method="other",code="other"} 2']);
    expect(page.match(/^shop_seconds_count\{.*$/gm)).toEqual([
      'shop_seconds_count{route="a"} 1',
      'shop_seconds_count{route="other"} 2',
    ]);
  });

  test('one report may update several metrics with the same labels, each by its own value', async () => {
    const { write, metrics } = await open();
    await write(['shop_seconds', 'shop_last'], {
      'values.shop_seconds': 0.5,
      'values.shop_last': 7,
      'labels.route': '/a',
    });
    await write(['shop_seconds', 'shop_last'], { 'values.shop_seconds': null, 'labels.route': '/a' }); // neither is known
    await expect(
      write(['shop_seconds', 'shop_last'], {
        'values.shop_seconds': -1,
        'values.shop_last': 8,
        'labels.route': '/a',
      }),
    ).rejects.toThrow('shop_seconds: the value is -1');
    const page = await metrics();
    expect(page).toContain('shop_seconds_sum{route="/a"} 0.5\nshop_seconds_count{route="/a"} 1\n');
    expect(page).toContain('shop_last{route="/a"} 7\n');
  });

  test('a bucket and a counter keep their newest exemplar, if one is given', async () => {
    const { handler, metrics } = await open();
    const write = (name: string, timeMs: number, value: number, ids: object) =>
      handler.write?.(
        [
          {
            sink: handler.sink?.({ rule: 'r', input: {}, params: { metric: name } }),
            id: 'i',
            timeMs,
            input: { value, 'labels.route': '/', ...ids },
          },
        ],
        testCall(),
      );
    const trace = (id: string, span?: string) => ({ 'exemplar.trace_id': id, 'exemplar.span_id': span });
    await write('shop_seconds', 2000, 0.05, trace('a', 'b'));
    await write('shop_seconds', 1000, 0.06, trace('earlier', 'b'));
    await write('shop_seconds', 3000, 0.07, {});
    await write('shop_seconds', 3500, 0.5, trace('x'.repeat(120), 'y'));
    await write('shop_seconds', 3500, 7, trace('c'));
    await write('shop_bare_total', 4000, 3, trace('d', ''));
    const page = await metrics();
    expect(page.match(/^shop_(?:seconds_bucket|bare).*$/gm)).toEqual([
      'shop_seconds_bucket{le="0.1",route="/"} 3 # {trace_id="a",span_id="b"} 0.05 2',
      'shop_seconds_bucket{le="1",route="/"} 4',
      'shop_seconds_bucket{le="+Inf",route="/"} 5 # {trace_id="c"} 7 3.5',
      'shop_bare_total 3 # {trace_id="d"} 3 4',
    ]);
  });

  test('paths that match a template share its series', async () => {
    const { write, metrics } = await open({
      metrics: { hits_total: { kind: 'counter', labels: ['path'] } },
      labels: {
        path: { paths: ['/users/{id}', '/users/me', '/users/{id}/cart/*', '/static/**', '/users/{id}/**', '/'] },
      },
    });
    const paths = ['/users/7?a=/b', '/users/8', '/users/me', '/users/7/cart/1', '/users/', '/static', '/static/a/b'];
    await write(
      'hits_total',
      ...[...paths, '/users/me/x', '/', '/other', '*'].map((path) => ({ 'labels.path': path })),
    );
    expect([...(await metrics()).matchAll(/^hits_total\{path="(.*)"\} (\d)$/gm)].map(([, ...found]) => found)).toEqual([
      ['/users/{id}', '2'],
      ['/users/me', '1'],
      ['/users/{id}/cart/*', '1'],
      ['/users/', '1'],
      ['/static/**', '2'],
      ['/users/{id}/**', '1'],
      ['/', '1'],
      ['/other', '1'],
      ['*', '1'],
    ]);
  });

  test('a label limited to its most frequent values counts the others as "other", and all are counted', async () => {
    const { write, metrics } = await open({
      metrics: { hits_total: { kind: 'counter', labels: ['user'] } },
      labels: { user: { top: 3 } },
    });
    const frequent = ['ann', 'bob', 'cid'];
    const reports = Array.from({ length: 6000 }, (_, n) =>
      n % 2 === 0 ? `scan ${n}` : (frequent[Math.floor(n / 2) % 3] as string),
    );
    for (let from = 0; from < reports.length; from += 500)
      await write('hits_total', ...reports.slice(from, from + 500).map((user) => ({ 'labels.user': user })));
    const counts = new Map(
      [...(await metrics()).matchAll(/^hits_total\{user="(.*)"\} (\d+)$/gm)].map(
        ([, user, count]) => [user, Number(count)] as const,
      ),
    );
    expect([...counts.values()].reduce((a, b) => a + b)).toBe(6000);
    for (const user of frequent) expect(counts.get(user)).toBeGreaterThan(950);
    expect(counts.get('other')).toBeGreaterThan(2900);
    expect(counts.size).toBeLessThan(10); // those that had a place before the frequent ones
  });

  test('a page of 100 000 series is rendered in pieces of 64 KB, each in a turn of the event loop of its own', async () => {
    const { write, metrics } = await open({ maxSeries: 100_000 });
    const series = Array.from({ length: 100_000 }, (_, n) => labels('GET', String(n)));
    for (let from = 0; from < series.length; from += 10_000)
      await write('shop_requests_total', ...series.slice(from, from + 10_000));
    let page = '';
    const turns = await turnsDuring(async () => {
      page = await metrics();
    });
    expect(page.match(/^shop_requests_total\{/gm)).toHaveLength(100_000);
    expect(turns).toBeGreaterThanOrEqual(Math.floor(page.length / (66 * 1024)));
  });

  test('label values that contain the separators of keys are separate series', async () => {
    const { write, metrics } = await open();
    const sets = [
      ['', ''],
      ['\0', ''],
      ['', '\0'],
      ['\0\0', '\0'],
      ['a\0b', 'c'],
      ['a', 'b\0c'],
      ['1:a', ''],
      ['', '1:a'],
    ];
    await write('shop_requests_total', ...sets.map(([method, code]) => labels(method, code)));
    const found = [...(await metrics()).matchAll(/^shop_requests_total\{method="(.*)",code="(.*)"\} 1$/gm)];
    expect(found.map(([, ...values]) => values)).toEqual(sets);
  });

  test('negative and huge values are refused', async () => {
    const { write, metrics } = await open();
    const of = (value: unknown) => ({ value, 'labels.route': 'r' });
    const refused: unknown = await write(
      'shop_seconds',
      of(-1),
      of(Number.NaN),
      of(Infinity),
      of(1e300),
      of('1'),
      of(0),
    ).catch((error: unknown) => error);
    expect((refused as Rejected).entries).toEqual([0, 1, 2, 3, 4]);
    expect((refused as Rejected).message).toBe('shop_seconds: the value is -1; a histogram never decreases');
    await expect(write('shop_bare_total', { value: 1e300 })).rejects.toThrow(
      'shop_bare_total: the value is 1e+300; above 2^53 a counter loses smaller increments',
    );
    expect(await metrics()).toContain('shop_seconds_count{route="r"} 1\n');
  });

  test('an invalid value is refused without affecting others', async () => {
    const { write, metrics } = await open();
    const refused: unknown = await write(
      'shop_requests_total',
      labels('A', '1'),
      { value: null, ...labels('B', '1') },
      { value: -1, ...labels('C', '1') },
      { value: Number.NaN, ...labels('D', '1') },
      labels('E', '1'),
    ).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Rejected);
    expect((refused as Rejected).entries).toEqual([1, 2, 3]);
    const page = await metrics();
    expect([...page.matchAll(/method="(.)"/g)].map(([, method]) => method)).toEqual(['A', 'E']);
  });

  test('promtool accepts the page with any text in labels', async () => {
    const { write, metrics } = await open();
    await write('shop_requests_total', labels('a"b\\c\nd', 'ü\u0000'), labels('GET', '200'));
    await write('shop_seconds', { value: 1, 'labels.route': '/' });
    await write('shop_last', { value: 1, 'labels.route': '/' });
    const checked = spawnSync(await promtool(), ['check', 'metrics'], { input: await metrics(), encoding: 'utf8' });
    expect({ status: checked.status, printed: checked.stdout + checked.stderr }).toEqual({ status: 0, printed: '' });
  });

  test('label values with the same concatenation are separate series', async () => {
    const { write, metrics } = await open();
    await write(
      'shop_requests_total',
      labels('a,b', 'c'),
      labels('a', 'b,c'),
      labels('a","b', 'c'),
      labels('x,code:y', 'z'),
      labels('x', 'y,code:z'),
    );
    expect((await metrics()).match(/^shop_requests_total\{.*\} 1$/gm)).toHaveLength(5);
  });
});
