import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterEach, describe, expect, test } from 'vitest';
import type { Wire } from '../../../src/attributes/bag.ts';
import { parseIp } from '../../../src/attributes/network.ts';
import { Duration, Timestamp, type Value } from '../../../src/attributes/values.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import type { Engine } from '../../../src/core/call.ts';
import { otlpMethods } from '../../../src/frontends/index.ts';
import { GrpcError, Status } from '../../../src/transport/transport.ts';
import { rangeOf } from '../../../src/transport/byte-range.ts';
import { RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import {
  type ExportLogsPartialSuccess,
  ExportLogsServiceRequestSchema,
  ExportLogsServiceResponseSchema,
} from '../../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts';
import {
  type AnyValue,
  AnyValueSchema,
  ArrayValueSchema,
  type KeyValue,
  KeyValueListSchema,
  KeyValueSchema,
} from '../../../gen/opentelemetry/proto/common/v1/common_pb.ts';
import { type LogRecord, LogRecordSchema } from '../../../gen/opentelemetry/proto/logs/v1/logs_pb.ts';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { fixedEngine } from '../../parts/fixed-engine.ts';
import { serve, type Serving, TRANSPORTS } from '../transport/serving.ts';
import { CONTEXT, readerOf } from './call.ts';

type Any = AnyValue;
type Record_ = Partial<Omit<LogRecord, '$typeName' | '$unknown'>>;

const any = (value: AnyValue['value']): Any => create(AnyValueSchema, { value });
const text = (value: string): Any => any({ case: 'stringValue', value });
const int = (value: bigint): Any => any({ case: 'intValue', value });
const bool = (value: boolean): Any => any({ case: 'boolValue', value });
const double = (value: number): Any => any({ case: 'doubleValue', value });
const bytes = (...value: number[]): Any => any({ case: 'bytesValue', value: Uint8Array.from(value) });
const map = (values: Readonly<Record<string, Any>>): Any =>
  any({ case: 'kvlistValue', value: create(KeyValueListSchema, { values: keyValues(values) }) });
const list = (...values: Any[]): Any => any({ case: 'arrayValue', value: create(ArrayValueSchema, { values }) });
const keyValues = (values: Readonly<Record<string, Any | string>>): KeyValue[] =>
  Object.entries(values).map(([key, value]) =>
    create(KeyValueSchema, { key, value: typeof value === 'string' ? text(value) : value }),
  );

function requestOf(
  records: readonly Record_[],
  resource: Readonly<Record<string, Any | string>> = {},
  scope: { name?: string; version?: string } = {},
): Uint8Array {
  return toBinary(
    ExportLogsServiceRequestSchema,
    create(ExportLogsServiceRequestSchema, {
      resourceLogs: [
        {
          resource: { attributes: keyValues(resource) },
          scopeLogs: [{ scope, logRecords: records.map((record) => create(LogRecordSchema, record)) }],
        },
      ],
    }),
  );
}
const entry = (attributes: Readonly<Record<string, Any | string>>, more: Record_ = {}): Record_ => ({
  ...more,
  attributes: keyValues({ 'sluice.call': 'log', ...attributes }),
});

interface Sent {
  readonly calls: { readonly call: string; readonly read: (name: string) => Value | undefined; readonly wire: Wire }[];
  readonly partial: ExportLogsPartialSuccess | undefined;
  readonly refused: string[];
}

/** The calls of a request, and the answer. */
async function send(request: Uint8Array, engine: Partial<Engine> = {}): Promise<Sent> {
  const calls: Sent['calls'] = [];
  const refused: string[] = [];
  const methods = otlpMethods(
    fixedEngine({ report: (call, wire) => void calls.push({ call, read: readerOf(wire), wire }), ...engine }),
    { onRefusedEntry: (why) => refused.push(why), nowMs: () => 5000 },
  );
  const reply = await handle(methods)(rangeOf(request), CONTEXT);
  return { calls, refused, partial: fromBinary(ExportLogsServiceResponseSchema, reply).partialSuccess };
}
function handle([method]: ReturnType<typeof otlpMethods>) {
  if (method?.[1].kind !== 'unary') throw new Error('no unary method');
  return method[1].handle;
}

describe('a log record', () => {
  test('becomes an otlp-log call with its own vocabulary', async () => {
    const { calls, partial } = await send(
      requestOf(
        [
          {
            timeUnixNano: 1_700_000_000_123_456_789n,
            observedTimeUnixNano: 1_700_000_001_000_000_000n,
            severityNumber: 17,
            severityText: 'ERROR',
            eventName: 'order.failed',
            body: map({ text: text('no stock'), left: int(0n), parts: list(text('a'), int(-3n)) }),
            attributes: keyValues({
              order: int(9_007_199_254_740_993n),
              ratio: double(0.5),
              paid: bool(true),
              raw: bytes(0, 255),
              nothing: create(AnyValueSchema),
            }),
            flags: 1,
            traceId: Buffer.from('0af7651916cd43dd8448eb211c80319c', 'hex'),
            spanId: Buffer.from('00f067aa0ba902b7', 'hex'),
          },
        ],
        { 'service.name': 'shop' },
        { name: 'lib', version: '1.2' },
      ),
    );
    expect([partial, calls.map(({ call }) => call)]).toEqual([undefined, ['otlp-log']]);
    const read = calls[0]?.read ?? (() => undefined);
    const expected: Record<string, Value> = {
      'log.body': new Map<string, Value>([
        ['text', 'no stock'],
        ['left', 0n],
        ['parts', ['a', -3n]],
      ]),
      'log.severity': 'ERROR',
      'log.severity_number': 17,
      'log.event_name': 'order.failed',
      'log.time': new Timestamp(1_700_000_000, 123_456_789),
      'log.observed_time': new Timestamp(1_700_000_001, 0),
      'log.attributes': new Map<string, Value>([
        ['order', 9_007_199_254_740_993n],
        ['ratio', 0.5],
        ['paid', true],
        ['raw', Uint8Array.of(0, 255)],
        ['nothing', null],
      ]),
      'log.resource': new Map([['service.name', 'shop']]),
      'log.scope.name': 'lib',
      'log.scope.version': '1.2',
      'log.scope.attributes': new Map(),
      'trace.id': '0af7651916cd43dd8448eb211c80319c',
      'trace.span_id': '00f067aa0ba902b7',
      'trace.sampled': true,
      'context.time': new Timestamp(1_700_000_000, 123_456_789),
    };
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, read(name)]))).toEqual(expected);
    const carried = VOCABULARY.filter(({ carriedBy }) => carriedBy['otlp-log'] !== undefined).map(({ name }) => name);
    expect(carried.filter((name) => read(name) === undefined)).toEqual([]);
  });

  test('without fields has empty maps, and the time of its arrival', async () => {
    const { calls } = await send(requestOf([{}]));
    const read = calls[0]?.read ?? (() => undefined);
    expect(
      [
        'log.body',
        'log.severity',
        'log.severity_number',
        'log.attributes',
        'log.resource',
        'log.scope.name',
        'log.time',
      ].map(read),
    ).toEqual([undefined, undefined, 0, new Map(), new Map(), undefined, undefined]);
    expect([read('context.time'), read('trace.id'), read('trace.sampled')]).toEqual([
      new Timestamp(5, 0),
      undefined,
      false,
    ]);
  });

  test.each([
    [127, 'short'],
    [128, 'with a length of two bytes'],
    [16_383, 'the longest with two bytes'],
    [16_384, 'with a length of three bytes'],
  ])('a text of %i bytes is read whole (%s), and so is its neighbour', async (length) => {
    const long = 'x'.repeat(length);
    const { calls } = await send(requestOf([{ attributes: keyValues({ a: long, [long]: 'b', c: 'd' }) }]));
    expect(calls[0]?.read('log.attributes')).toEqual(
      new Map([
        ['a', long],
        [long, 'b'],
        ['c', 'd'],
      ]),
    );
  });

  test('values may nest 32 levels; a record with deeper ones is rejected, and the others are reported', async () => {
    const nested = (depth: number): Any => (depth === 0 ? text('end') : list(nested(depth - 1)));
    const { calls, partial, refused } = await send(
      requestOf([
        { body: nested(32) },
        { body: nested(33) },
        { attributes: keyValues({ deep: map({ a: nested(40) }) }) },
        {},
      ]),
    );
    expect(calls).toHaveLength(2);
    expect(partial).toMatchObject({
      rejectedLogRecords: 2n,
      errorMessage: '2 of 4 records were rejected; record 2: a value is nested deeper than 32 levels',
    });
    expect(refused).toHaveLength(2);
  });

  test('a value of 100 000 levels is rejected without a stack overflow', async () => {
    const LEVELS = 100_000;
    /** A tag, and a length of four bytes. */
    const head = (tag: number, length: number): number[] => [
      tag,
      (length & 127) | 128,
      ((length >> 7) & 127) | 128,
      ((length >> 14) & 127) | 128,
      (length >> 21) & 127,
    ];
    const parts: number[] = [];
    const [record, scopeLogs, resourceLogs, body] = [0x12, 0x12, 0x0a, 0x2a];
    const inner = LEVELS * 10;
    for (const [at, tag] of [resourceLogs, scopeLogs, record, body].entries())
      parts.push(...head(tag, inner + 15 - at * 5));
    // An array_value with one item, in it another.
    for (let left = LEVELS; left > 0; left--) parts.push(...head(0x2a, left * 10 - 5), ...head(0x0a, left * 10 - 10));
    const { calls, partial } = await send(Uint8Array.from(parts));
    expect([calls.length, partial?.errorMessage]).toEqual([
      0,
      '1 of 1 records were rejected; record 1: a value is nested deeper than 32 levels',
    ]);
  });

  test('a malformed record is rejected and counted', async () => {
    const good = requestOf([{ eventName: 'good' }]);
    const record = Buffer.from([0x12, 0x03, 0x32, 0x7f, 0x00]); // an attribute that ends after its record
    const scopeLogs = Buffer.concat([Buffer.from([0x12, record.length]), record]);
    const resourceLogs = Buffer.concat([Buffer.from([0x0a, scopeLogs.length]), scopeLogs]);
    const { calls, partial, refused } = await send(Buffer.concat([resourceLogs, good]));
    expect(calls.map(({ read }) => read('log.event_name'))).toEqual(['good']);
    expect([partial?.rejectedLogRecords, refused.length]).toEqual([1n, 1]);
  });
});

describe('a record of an access log', () => {
  test('becomes the call that it names, by attributes in their own names', async () => {
    const { calls, partial } = await send(
      requestOf(
        [
          entry(
            {
              'request.method': 'POST',
              'request.path': '/a//b?x=1',
              'request.authority': 'Shop.example:80',
              'request.protocol': 'HTTP/2',
              'request.size': '5',
              'request.headers_bytes': '100',
              'request.headers': map({ 'user-agent': text('curl'), 'x-absent': text('-') }),
              'response.code': '503',
              'response.flags': 'UT,UAEX',
              'response.size': int(7n),
              'response.headers_bytes': '-',
              'response.duration': '1250ms',
              'response.trailers': map({ 'grpc-status': text('14') }),
              'context.time_to_first_upstream_tx_byte': '1000000ns',
              'context.time_to_last_upstream_rx_byte': '-ns',
              'source.ip': '10.0.0.7',
              'source.port': '40000',
              'connection.uri_san_peer_certificate': 'spiffe://cluster.local/ns/shop/sa/web,spiffe://other',
              'context.upstream.cluster': 'inbound|80||shop.prod.svc.cluster.local',
              'context.stream_id': '-',
              metadata: map({
                'envoy.filters.http.ext_authz': text('{"sluice":{"id":"v-1","rule":"closed","outcome":"deny"}}'),
                other: text('-'),
              }),
              filter_state: map({ word: text('"said"'), plain: text('said') }),
              zone: 'blue',
            },
            {
              timeUnixNano: 1_700_000_000_000_000_001n,
              traceId: Buffer.from('0af7651916cd43dd8448eb211c80319c', 'hex'),
              spanId: Buffer.from('00f067aa0ba902b7', 'hex'),
            },
          ),
        ],
        { log_name: 'edge', node_name: 'edge-1', zone_name: 'a', cluster_name: '', 'service.name': 'envoy' },
      ),
    );
    expect([partial, calls.map(({ call }) => call)]).toEqual([undefined, ['log']]);
    const [first] = calls;
    const read = first?.read ?? (() => undefined);
    const expected: Record<string, Value | undefined> = {
      'request.method': 'POST',
      'request.url_path': '/a/b',
      'request.host': 'shop.example',
      'request.size': 5,
      'request.total_size': 105,
      'request.headers': new Map([['user-agent', 'curl']]),
      'request.useragent': 'curl',
      'request.time': new Timestamp(1_700_000_000, 1),
      'response.code': 503,
      'response.flags': ['UT', 'UAEX'],
      'response.size': 7,
      'response.headers_bytes': 0,
      'response.headers': new Map(),
      'response.duration': new Duration(1, 250_000_000),
      'response.time': new Timestamp(1_700_000_001, 250_000_001),
      'response.grpc_status': '14',
      'response.backend_latency': undefined,
      'context.time_to_first_upstream_tx_byte': new Duration(0, 1_000_000),
      'context.time_to_last_upstream_rx_byte': undefined,
      'context.proxy_error_code': 'UT,UAEX',
      'context.auth_failure_reason': 'EXTERNAL_SERVICE',
      'context.reporter.kind': 'inbound',
      'context.reporter.uid': 'edge-1',
      'context.log_name': 'edge',
      'context.log_phase': 'end',
      'context.node.id': 'edge-1',
      'context.node.zone': 'a',
      'context.node.cluster': undefined,
      'context.stream_id': undefined,
      'context.protocol': 'http',
      'source.ip': parseIp('10.0.0.7'),
      'source.port': 40_000,
      'source.principal': 'cluster.local/ns/shop/sa/web',
      'source.namespace': undefined, // two URI SANs are no SPIFFE ID
      'connection.uri_sans_peer_certificate': ['spiffe://cluster.local/ns/shop/sa/web', 'spiffe://other'],
      'connection.mtls': true,
      'destination.service.name': 'shop',
      'trace.id': '0af7651916cd43dd8448eb211c80319c',
      'trace.span_id': '00f067aa0ba902b7',
      'verdict.id': 'v-1',
      'verdict.rule': 'closed',
      'verdict.outcome': 'deny',
      metadata: new Map<string, Value>([
        [
          'envoy.filters.http.ext_authz',
          new Map([['sluice', new Map(Object.entries({ id: 'v-1', rule: 'closed', outcome: 'deny' }))]]),
        ],
      ]),
      // Not sent: the proxy is not configured to.
      'request.scheme': undefined,
      'context.upstream.request_attempt_count': undefined,
    };
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, read(name)]))).toEqual(expected);
    const carried = first?.wire.carried.bind(first.wire);
    expect([
      carried?.({ kind: 'customTag', name: 'zone' }),
      carried?.({ kind: 'customTag', name: 'request.path' }),
      carried?.({ kind: 'filterState', name: 'word' }),
      carried?.({ kind: 'filterState', name: 'plain' }),
      carried?.({ kind: 'filterState', name: 'none' }),
      carried?.({ kind: 'header', name: 'User-Agent' }),
    ]).toEqual(['blue', undefined, 'said', 'said', undefined, 'curl']);
  });

  test.each([
    ['connection.uri_san_peer_certificate', 'spiffe://td/ns/shop/sa/web'],
    ['source.principal', 'td/ns/shop/sa/web'],
  ])('proves a SPIFFE ID by %s', async (name, value) => {
    const ids: unknown[] = [];
    await send(requestOf([entry({ 'sluice.call': 'log', [name]: value })], {}), {
      report: (_, wire) => {
        ids.push(readerOf(wire)('source.spiffe.id'));
        return undefined;
      },
    });
    expect(ids).toEqual(['spiffe://td/ns/shop/sa/web']);
  });

  test('of a connection has bytes as differences between its entries', async () => {
    const seen: unknown[] = [];
    const tcp = (type: string, total: string): Record_ =>
      entry({
        'sluice.call': 'tcp-log',
        'context.log_type': type,
        'connection.id': 'c-1',
        'connection.received.bytes_total': total,
        'connection.sent.bytes_total': '0',
      });
    const request = requestOf(
      [tcp('TcpConnectionStart', '0'), tcp('TcpPeriodic', '10'), tcp('TcpConnectionEnd', '15')],
      {
        node_name: 'edge-1',
      },
    );
    await send(request, {
      report: (call, wire) => {
        const read = readerOf(wire);
        seen.push([
          call,
          read('connection.event'),
          read('connection.received.bytes'),
          read('connection.received.bytes_total'),
          read('connection.sent.bytes'),
        ]);
        return undefined;
      },
    });
    expect(seen).toEqual([
      ['tcp-log-interim', 'open', 0, 0, 0],
      ['tcp-log-interim', 'continue', 10, 10, 0],
      ['tcp-log', 'close', 5, 15, 0],
    ]);
  });

  test.each<[string, Readonly<Record<string, Any | string>>, string]>([
    ['a kind of call that is none', { 'sluice.call': 'http' }, 'sluice.call is "http"; expected log or tcp-log'],
    ['a kind of call that is no text', { 'sluice.call': int(1n) }, 'sluice.call is null; expected log or tcp-log'],
    ['an int with letters', { 'response.code': '5xx' }, 'response.code: "5xx" is no int'],
    ['an int that is long', { 'response.code': '9'.repeat(30) }, `response.code: "${'9'.repeat(30)}" is no int`],
    ['an int that is a list', { 'response.code': list(int(1n)) }, 'response.code: found a list; expected int'],
    ['an int that is a double', { 'response.code': double(1) }, 'response.code: found a double; expected int'],
    ['a text that is an int', { 'request.path': int(1n) }, 'request.path: found an int; expected string'],
    ['a text that is a bool', { 'request.path': bool(true) }, 'request.path: found a bool; expected string'],
    ['a text that is a map', { 'request.path': map({}) }, 'request.path: found a map; expected string'],
    ['a text that is bytes', { 'request.path': bytes(1) }, 'request.path: found bytes; expected string'],
    ['an address that is none', { 'source.ip': 'host' }, 'source.ip: "host" is no ip'],
    ['a duration without unit', { 'response.duration': '12' }, 'response.duration: "12" is no duration'],
    ['a time of day', { 'request.time': '12:00' }, 'request.time: "12:00" is no timestamp'],
    ['a bool in other words', { 'connection.mtls': 'yes' }, 'connection.mtls: "yes" is no bool'],
    ['a name that is misspelt', { 'request.pth': '/a' }, 'no access log has an attribute request.pth'],
    [
      'an attribute of other calls',
      { 'ratelimit.domain': 'x', 'request.body': 'x' },
      'no access log has an attribute request.body',
    ],
  ])('is rejected for %s; the next one is not', async (_, attributes, why) => {
    const { calls, partial, refused } = await send(requestOf([entry(attributes), entry({})]));
    expect(calls).toHaveLength(1);
    expect(partial).toMatchObject({
      rejectedLogRecords: 1n,
      errorMessage: `1 of 2 records were rejected; record 1: ${why}`,
    });
    expect(refused).toEqual([why]);
  });

  test('is rejected if its resource has a wrong type; an otlp-log record beside it is not', async () => {
    const { calls, partial } = await send(requestOf([entry({}), {}], { node_name: int(3n) }));
    expect(calls.map(({ call }) => call)).toEqual(['otlp-log']);
    expect(partial?.errorMessage).toContain('context.node.id of the resource: found an int; expected string');
  });

  test('values of the right form that are none are absent', async () => {
    const { calls } = await send(requestOf([entry({ 'source.ip': '1.2.3', 'request.time': '2026-99-01T00:00:00Z' })]));
    expect([calls[0]?.read('source.ip'), calls[0]?.read('request.time')]).toEqual([undefined, undefined]);
  });

  test.each<[string, Duration | undefined]>([
    ['0ms', new Duration(0, 0)],
    ['999999999ns', new Duration(0, 999_999_999)],
    ['1000000001ns', new Duration(1, 1)],
    ['1500us', new Duration(0, 1_500_000)],
    ['90061ms', new Duration(90, 61_000_000)],
    ['9007199254740993ns', new Duration(9_007_199, 254_740_993)],
    ['3s', new Duration(3, 0)],
    ['1h30m', new Duration(5400, 0)],
    ['1.5s', new Duration(1, 500_000_000)],
    ['-2ms', new Duration(0, -2_000_000)],
    ['-ms', undefined],
    ['-', undefined],
  ])('has the duration %s', async (written, duration) => {
    const { calls } = await send(requestOf([entry({ 'response.duration': written })]));
    expect(calls[0]?.read('response.duration')).toEqual(duration);
  });

  test('records with other keys in another order are not mistaken for the ones before', async () => {
    const { calls } = await send(
      requestOf([
        entry({ 'request.path': '/a', 'request.authority': 'x' }),
        entry({ 'request.authority': 'y', 'request.path': '/b' }),
        { attributes: keyValues({ 'request.path': '/c', 'sluice.call': 'log' }) },
      ]),
    );
    expect(calls.map(({ read }) => [read('request.path'), read('request.authority')])).toEqual([
      ['/a', 'x'],
      ['/b', 'y'],
      ['/c', undefined],
    ]);
  });
});

describe('an export', () => {
  test('is answered when its entries are safe', async () => {
    const safe = Promise.withResolvers<void>();
    let isAnswered = false;
    const answer = send(requestOf([{}]), { whenSafe: () => safe.promise }).then((sent) => {
      isAnswered = true;
      return sent;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(isAnswered).toBe(false);
    safe.resolve();
    expect((await answer).partial).toBeUndefined();
  });

  test('is refused while a queue is full, before any record is reported, with the time to come again', async () => {
    let reported = 0;
    const refused = send(requestOf([{}]), { reportsFull: () => true, report: () => void reported++ });
    const error: unknown = await refused.catch((thrown: unknown) => thrown);
    if (!(error instanceof GrpcError) || error.richStatus === undefined) throw new Error(`no status: ${String(error)}`);
    const status = fromBinary(StatusSchema, error.richStatus);
    const [detail] = status.details;
    expect([error.code, status.code, reported]).toEqual([Status.RESOURCE_EXHAUSTED, Status.RESOURCE_EXHAUSTED, 0]);
    expect(detail === undefined ? undefined : anyUnpack(detail, RetryInfoSchema)?.retryDelay?.seconds).toBe(1n);
  });

  test('waits for room after the record that filled a queue, then reports the rest', async () => {
    const room = Promise.withResolvers<void>();
    let reported = 0;
    const answer = send(requestOf([{}, {}, {}]), {
      report: () => (++reported === 2 ? room.promise : undefined),
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(reported).toBe(2);
    room.resolve();
    await answer;
    expect(reported).toBe(3);
  });

  test('whose records cannot be written is UNAVAILABLE, so that it is sent again', async () => {
    const error: unknown = await send(requestOf([{}]), {
      whenSafe: () => Promise.reject(new Error('the spool is closed')),
    }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: Status.UNAVAILABLE,
      message: 'the records could not be written to disk: the spool is closed',
    });
  });

  test.each([
    ['not protobuf', Buffer.from('{"resourceLogs":[]}')],
    ['cut off', Buffer.from(requestOf([{ severityText: 'a long text' }])).subarray(0, -3)],
    ['with a resource that is malformed', Buffer.from([0x0a, 0x04, 0x0a, 0x02, 0x0a, 0x7f])],
  ])('%s is refused as a whole', async (_, request) => {
    let reported = 0;
    const error: unknown = await send(request, { report: () => void reported++ }).catch((thrown: unknown) => thrown);
    expect([(error as GrpcError).code, reported]).toEqual([Status.INVALID_ARGUMENT, 0]);
  });

  test('of nothing is accepted', async () => {
    expect((await send(new Uint8Array())).partial).toBeUndefined();
  });

  test('of 20 000 records is taken in slices, so that others are served', async () => {
    const request = requestOf(Array.from({ length: 20_000 }, () => ({})));
    let reported = 0;
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const { partial } = await send(request, {
      report: () => {
        reported++;
        for (const until = performance.now() + 0.002; performance.now() < until;); // what a rule may cost
        return undefined;
      },
    });
    isOver = true;
    expect([partial, reported]).toEqual([undefined, 20_000]);
    expect(turns).toBeGreaterThan(5);
  });

  test('decodes no text that no rule reads', async () => {
    const long = 'a text of more than eight bytes';
    const records = [
      { body: text(long), attributes: keyValues({ [long]: map({ [long]: text(long) }) }) },
      entry({ 'request.path': long, 'request.headers': map({ [long]: text(long) }), [long]: long }),
    ];
    const read: Partial<Engine> = {
      report: (call, wire) => void readerOf(wire)(call === 'log' ? 'request.path' : 'log.body'),
    };
    const nothing: Partial<Engine> = { report: () => undefined };
    const request = requestOf(records, { node_name: long });
    await send(request, nothing); // the names of keys are remembered
    const decoded: string[] = [];
    const original = Buffer.prototype.toString;
    Buffer.prototype.toString = function toString(this: Buffer, ...given: never[]) {
      const said = original.apply(this, given);
      decoded.push(said);
      return said;
    };
    try {
      await send(request, nothing);
      expect(decoded).toEqual([]);
      await send(request, read);
    } finally {
      Buffer.prototype.toString = original;
    }
    expect(decoded.filter((said) => said === long)).toHaveLength(2);
  });
});

describe.each(TRANSPORTS)('over %s', (_, listen) => {
  let serving: Serving | undefined;
  afterEach(() => serving?.stop());

  test('a full queue is RESOURCE_EXHAUSTED with grpc-status-details-bin', async () => {
    const methods = otlpMethods(fixedEngine({ reportsFull: () => true }));
    serving = await serve(listen, Object.fromEntries(methods));
    const error: unknown = await serving.client
      .unary('/opentelemetry.proto.collector.logs.v1.LogsService/Export', requestOf([{}]))
      .catch((thrown: unknown) => thrown);
    const { cause } = error as { cause: { code: number; metadata: { get(key: string): unknown[] } } };
    const [details] = cause.metadata.get('grpc-status-details-bin');
    const status = fromBinary(StatusSchema, details as Buffer);
    expect([cause.code, status.details.map(({ typeUrl }) => typeUrl)]).toEqual([
      8,
      ['type.googleapis.com/google.rpc.RetryInfo'],
    ]);
  });

  test('an export is answered, and one over the size of messages is refused', async () => {
    let reported = 0;
    const methods = otlpMethods(fixedEngine({ report: () => void reported++ }));
    serving = await serve(listen, Object.fromEntries(methods), 4 * 1024 * 1024);
    const path = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
    expect(await serving.client.unary(path, requestOf([{}, {}]))).toHaveLength(0);
    const large = requestOf([{ body: text('x'.repeat(4 * 1024 * 1024)) }]);
    const error: unknown = await serving.client.unary(path, large).catch((thrown: unknown) => thrown);
    expect([(error as GrpcError).code, reported]).toEqual([Status.RESOURCE_EXHAUSTED, 2]);
  });
});
