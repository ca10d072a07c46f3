import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { ReportEntry, Shape } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { type CollectedSpan, type Collector, startCollector } from '../../test/parts/otlp-collector.ts';
import adapter from './adapter.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe.each(['http', 'grpc'] as const)('over %s', (protocol) => {
  let collector: Collector;
  beforeAll(async () => {
    collector = await startCollector(protocol);
  });
  afterAll(() => collector.stop());

  let marks = 0;
  testAdapter(adapter, {
    runner: { describe, test },
    config: () => ({ url: collector.url, protocol, resource: { mark: String(++marks) } }),
    unreachable: { url: 'http://127.0.0.1:1', protocol },
    badConfigs: [{ config: { protocol }, says: /url: Invalid input/ }],
    report: {
      input: (at) => ({ trace_id: TRACE, 'url.path': `/${at}`, name: `n${at}` }),
      read: () =>
        Promise.resolve(
          collector.spans
            .filter(({ resource }) => resource['mark'] === String(marks))
            .map(({ traceId, name, attributes }) => ({ trace_id: traceId, name, ...attributes })),
        ),
    },
  });
});

/** The spans of one report for each input. */
async function spansOf(inputs: readonly object[], shape: Shape = {}, params: object = {}, config: object = {}) {
  const collector = await startCollector('http');
  const opened = await openForTest(adapter, { config: { url: collector.url, ...config } });
  onTestFinished(async () => {
    await opened.close();
    await collector.stop();
  });
  const names = inputs.flatMap((input) => Object.keys(input));
  const input = { ...Object.fromEntries(names.map((name) => [name, 'any' as const])), ...shape };
  const sink = opened.handler.sink?.({ rule: 'spans', input, params: adapter.serves.report?.params?.parse(params) });
  const entries = inputs.map((one, at): ReportEntry => ({ sink, id: `id-${at}`, timeMs: 1e12, input: { ...one } }));
  const write = async (): Promise<void> => {
    await opened.handler.write?.(entries, testCall(3000));
  };
  await write();
  return { ...opened, collector, spans: collector.spans, write };
}
const spanOf = async (...given: [input: object, shape?: Shape, params?: object]): Promise<CollectedSpan> => {
  const { spans } = await spansOf([given[0]], given[1], given[2]);
  expect(spans.length).toBe(1);
  return spans[0] as CollectedSpan;
};

test('a span has its ids, name, kind, times, events, typed attributes and resource', async () => {
  const span = await spanOf(
    {
      trace_id: TRACE,
      parent_span_id: SPAN,
      trace_sampled: true,
      time: new Date(1_700_000_000_123),
      duration: 250.5,
      'http.request.method': 'GET',
      'http.route': '/users/{id}',
      'url.path': '/users/7',
      'http.response.status_code': 200,
      'event.first_upstream_byte': 20,
      'resource.service.name': 'ratings',
      absent: undefined,
    },
    { duration: 'duration', 'event.first_upstream_byte': 'duration', 'http.response.status_code': 'int' },
  );
  expect(span).toEqual({
    traceId: TRACE,
    spanId: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    parentSpanId: SPAN,
    name: 'GET /users/{id}',
    kind: 2,
    startMs: 1_700_000_000_123,
    endMs: 1_700_000_000_373.5,
    status: { code: 0, message: '' },
    flags: 1,
    events: [{ name: 'first_upstream_byte', timeMs: 1_700_000_000_143 }],
    attributes: {
      'http.request.method': 'GET',
      'http.route': '/users/{id}',
      'url.path': '/users/7',
      'http.response.status_code': 200,
    },
    resource: { 'service.name': 'ratings' },
  });
  expect(span.spanId).not.toBe(SPAN);
});

test('an entry whose span the proxy exports, whose trace is not sampled, or without a trace id makes no span', async () => {
  const { spans, metrics, collector } = await spansOf([
    { trace_id: TRACE, span_id: SPAN },
    { trace_id: TRACE, trace_sampled: false },
    { trace_id: undefined },
    { trace_id: 'no-id' },
    { trace_id: TRACE, name: 'kept' },
  ]);
  expect(spans.map(({ name }) => name)).toEqual(['kept']);
  expect(collector.requests).toEqual([1]);
  expect(await metrics()).toContain('sluice_plugin_traces_otlp_omitted_total{handler="tested"} 4');
});

test('a batch without spans asks nobody', async () => {
  const { collector } = await spansOf([{ trace_id: undefined }]);
  expect(collector.requests).toEqual([]);
});

test('a proxy that does not export its spans gives them its ids', async () => {
  const span = await spanOf({ trace_id: TRACE, span_id: SPAN }, {}, { proxyExports: false });
  expect(span).toMatchObject({ traceId: TRACE, spanId: SPAN });
});

test('a report that is sent again is the same span', async () => {
  const { spans, write, collector } = await spansOf([{ trace_id: TRACE }, { trace_id: TRACE }]);
  collector.answer = () => ({});
  await write();
  const first = spans.slice(0, 2).map(({ spanId }) => spanId);
  expect(new Set(first).size).toBe(2);
  const again = await spansOf([{ trace_id: TRACE }, { trace_id: TRACE }]);
  expect(again.spans.map(({ spanId }) => spanId)).toEqual(first);
});

test('the span of a try is a child of the span of its request, by their keys', async () => {
  const { spans } = await spansOf([
    { trace_id: TRACE, parent_span_id: SPAN, span_key: 'stream-1', kind: 'SERVER' },
    { trace_id: TRACE, span_key: 'stream-1/1', parent_span_key: 'stream-1', kind: 'CLIENT' },
  ]);
  const [request, attempt] = spans;
  expect(request).toMatchObject({ kind: 2, parentSpanId: SPAN });
  expect(attempt).toMatchObject({ kind: 3, parentSpanId: request?.spanId });
});

test('ids of 64 bits are padded, and a UUID is a trace id', async () => {
  expect((await spanOf({ trace_id: 'A3CE929D0E0E4736' })).traceId).toBe('0000000000000000a3ce929d0e0e4736');
  expect((await spanOf({ trace_id: '4bf92f35-77b3-4da6-a3ce-929d0e0e4736' })).traceId).toBe(TRACE);
});

test.each([
  [{ name: 'mine', 'rpc.method': 'a.B/C' }, 'mine'],
  [{ 'rpc.method': 'a.B/C', 'http.request.method': 'POST' }, 'a.B/C'],
  [{ 'http.request.method': 'POST' }, 'POST'],
  [{ 'http.request.method': '_OTHER', 'http.route': '/a' }, 'HTTP /a'],
  [{}, 'spans'],
])('of %j, the name is %s', async (input, name) => {
  expect((await spanOf({ trace_id: TRACE, ...input })).name).toBe(name);
});

test.each([
  ['SERVER', { 'http.response.status_code': 404 }, undefined],
  ['CLIENT', { 'http.response.status_code': 404 }, '404'],
  ['SERVER', { 'http.response.status_code': 503 }, '503'],
  ['SERVER', { 'http.response.status_code': 0, 'error.type': 'DC' }, 'DC'],
  ['SERVER', { 'http.response.status_code': 200, 'rpc.response.status_code': 'NOT_FOUND' }, undefined],
  ['CLIENT', { 'http.response.status_code': 200, 'rpc.response.status_code': 'NOT_FOUND' }, 'NOT_FOUND'],
  ['SERVER', { 'http.response.status_code': 200, 'rpc.response.status_code': '14' }, 'UNAVAILABLE'],
  ['CLIENT', { 'http.response.status_code': 200, 'rpc.response.status_code': '0' }, undefined],
] as const)('the span of a %s with %j has the error %s', async (kind, input, error) => {
  const span = await spanOf({ trace_id: TRACE, status_message: 'why', ...input }, {}, { kind });
  expect(span.status).toEqual(error === undefined ? { code: 0, message: '' } : { code: 2, message: 'why' });
  expect(span.attributes['error.type']).toBe(error);
});

test('without a decision of the caller, traces are sampled by their id, whole', async () => {
  const inputs = Array.from({ length: 512 }, (_, at) => ({
    trace_id: `${TRACE.slice(0, 18)}${(Math.floor(at / 2) % 256).toString(16).padStart(2, '0')}${TRACE.slice(20)}`,
  }));
  const { spans } = await spansOf(inputs, {}, { sampleRatio: 0.25 });
  expect(spans.length).toBe(128);
  expect(spans.every(({ traceId }) => Number.parseInt(traceId.slice(18, 20), 16) >= 192)).toBe(true);
  const decided = await spansOf([{ trace_id: TRACE, trace_sampled: true }], {}, { sampleRatio: 0 });
  expect(decided.spans.length).toBe(1);
});
