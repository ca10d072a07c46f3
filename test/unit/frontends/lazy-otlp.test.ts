/** Records of OTLP read in place equal a full decode, for every valid encoding, also where messages are sent in parts. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ExportLogsServiceRequestSchema } from '../../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts';
import type { AnyValue, KeyValue } from '../../../gen/opentelemetry/proto/common/v1/common_pb.ts';
import { Timestamp } from '../../../src/attributes/values.ts';
import { RecordScan } from '../../../src/frontends/otlp/record-scan.ts';
import { RecordWire } from '../../../src/frontends/otlp/record-wire.ts';
import { checkRequest, recordsOf } from '../../../src/frontends/otlp/request-scan.ts';
import { Random } from '../../parts/random.ts';
import { seeds } from '../../parts/seeds.ts';
import { oddly, type Shape } from './odd-encodings.ts';
import { randomMessage } from './random-message.ts';

const RUNS = Number(process.env['RUNS'] ?? 400);
const NAMES = [
  'log.body',
  'log.severity',
  'log.severity_number',
  'log.event_name',
  'log.time',
  'log.observed_time',
  'log.attributes',
  'log.resource',
  'log.scope.name',
  'log.scope.version',
  'log.scope.attributes',
  'trace.id',
  'trace.span_id',
  'trace.sampled',
] as const;

type Record = { readonly [name in (typeof NAMES)[number]]: unknown };

// ---------------------------------------------------------------- the full decode

const present = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
const timeOf = (nanos: bigint): Timestamp | undefined =>
  nanos === 0n ? undefined : new Timestamp(Number(nanos / 1_000_000_000n), Number(nanos % 1_000_000_000n));
const idOf = (bytes: Uint8Array, length: number): string | undefined =>
  bytes.length === length && bytes.some((one) => one !== 0) ? Buffer.from(bytes).toString('hex') : undefined;

function dynOf(any: AnyValue | undefined): unknown {
  if (any === undefined) return null;
  switch (any.value.case) {
    case undefined:
      return null;
    case 'arrayValue':
      return any.value.value.values.map(dynOf);
    case 'kvlistValue':
      return mapOf(any.value.value.values);
    default:
      return any.value.value;
  }
}
const mapOf = (all: readonly KeyValue[] | undefined): ReadonlyMap<string, unknown> =>
  new Map((all ?? []).map(({ key, value }) => [key, dynOf(value)]));

const decoded = (bytes: Uint8Array): readonly Record[] =>
  fromBinary(ExportLogsServiceRequestSchema, bytes).resourceLogs.flatMap(({ resource, scopeLogs }) =>
    scopeLogs.flatMap(({ scope, logRecords }) =>
      logRecords.map((record) => ({
        'log.body': record.body?.value.case === undefined ? undefined : dynOf(record.body),
        'log.severity': present(record.severityText),
        'log.severity_number': record.severityNumber,
        'log.event_name': present(record.eventName),
        'log.time': timeOf(record.timeUnixNano),
        'log.observed_time': timeOf(record.observedTimeUnixNano),
        'log.attributes': mapOf(record.attributes),
        'log.resource': mapOf(resource?.attributes),
        'log.scope.name': present(scope?.name),
        'log.scope.version': present(scope?.version),
        'log.scope.attributes': mapOf(scope?.attributes),
        'trace.id': idOf(record.traceId, 16),
        'trace.span_id': idOf(record.spanId, 8),
        'trace.sampled': (record.flags & 1) !== 0,
      })),
    ),
  );

/** In the middle of a larger buffer. */
function inPlace(request: Uint8Array): readonly Record[] {
  const bytes = Buffer.concat([Buffer.from([0x0a, 0x80]), request, Buffer.from([0x0a, 0x00])]);
  checkRequest(bytes, 2, 2 + request.length);
  return [...recordsOf(bytes, 2, 2 + request.length)].map(({ from, to, resource, scope }) => {
    const wire = new RecordWire(new RecordScan(bytes, from, to, resource, scope), () => 0);
    return Object.fromEntries(NAMES.map((name) => [name, wire.read(name)])) as Record;
  });
}

// ---------------------------------------------------------------- encodings

const any = (value: AnyValue['value']) => ({ value }) as AnyValue;
const text = (value: string) => any({ case: 'stringValue', value });
const USUAL = create(ExportLogsServiceRequestSchema, {
  resourceLogs: [
    {
      resource: { attributes: [{ key: 'service.name', value: text('shop') }] },
      scopeLogs: [
        {
          scope: { name: 's', version: '1', attributes: [{ key: 'a', value: text('b') }] },
          logRecords: [
            {
              timeUnixNano: 5n,
              severityNumber: 9,
              severityText: 'INFO',
              traceId: new Uint8Array(16).fill(7),
              flags: 1,
              body: {
                value: {
                  case: 'kvlistValue',
                  value: {
                    values: [1, 2, 3].map((at) => ({
                      key: `k${at}`,
                      value: { value: { case: 'intValue' as const, value: BigInt(at) } },
                    })),
                  },
                },
              },
              attributes: [
                { key: 'list', value: { value: { case: 'arrayValue', value: { values: ['x', 'y', 'z'].map(text) } } } },
                { key: 'text', value: text('t') },
                {
                  key: 'map',
                  value: {
                    value: {
                      case: 'kvlistValue',
                      value: { values: ['p', 'q'].map((key) => ({ key, value: text(key) })) },
                    },
                  },
                },
              ],
            },
          ],
        },
      ],
    },
  ],
});

const LIST: Shape = { 1: { 5: {}, 6: {} } };
const MAP: Shape = { 1: { 2: { 5: {}, 6: {} } } };
const ANY: Shape = { 5: LIST, 6: MAP };
const ATTRIBUTE: Shape = { 2: ANY };
const SHAPE: Shape = {
  1: { 1: { 1: ATTRIBUTE }, 2: { 1: { 3: ATTRIBUTE }, 2: { 5: ANY, 6: ATTRIBUTE } } },
};

test(`${RUNS} odd ways to write an export`, () => {
  const usual = [...toBinary(ExportLogsServiceRequestSchema, USUAL)];
  for (const seed of seeds(RUNS)) {
    const bytes = Uint8Array.from(oddly(usual, SHAPE, new Random(seed)));
    expect(inPlace(bytes), `seed ${seed}`).toEqual(decoded(bytes));
  }
});

test(`${RUNS} random exports, in which messages are repeated and split`, () => {
  let records = 0;
  for (const seed of seeds(RUNS)) {
    const bytes = Uint8Array.from(randomMessage(ExportLogsServiceRequestSchema, new Random(seed)));
    expect(inPlace(bytes), `seed ${seed}`).toEqual(decoded(bytes));
    records += decoded(bytes).length;
  }
  expect(records).toBeGreaterThan(RUNS / 4);
});

/** A message of fields that are messages. */
const message = (...fields: readonly (readonly [number: number, body: readonly number[]])[]): number[] =>
  fields.flatMap(([number, body]) => [(number << 3) | 2, body.length, ...body]);
const record = (fields: number[]): Uint8Array => Uint8Array.from(message([1, message([2, message([2, fields])])]));
const STRING = message([1, [0x78]]);

test.each([
  ['a value of text, then an empty one', message([6, message([1, [0x61]], [2, STRING], [2, []])])],
  [
    'two lists',
    message([
      6,
      message([1, [0x61]], [2, message([5, message([1, STRING])])], [2, message([5, message([1, STRING])])]),
    ]),
  ],
  [
    'a list, text, and a list',
    message([6, message([1, [0x61]], [2, message([5, message([1, STRING])], [1, [0x79]], [5, message([1, STRING])])])]),
  ],
  [
    'two maps in one value',
    message([
      6,
      message(
        [1, [0x61]],
        [
          2,
          message(
            [6, message([1, message([1, [0x62]], [2, STRING])])],
            [6, message([1, message([1, [0x63]], [2, STRING])])],
          ),
        ],
      ),
    ]),
  ],
  ['two bodies', message([5, message([5, message([1, STRING])])], [5, message([5, message([1, STRING])])])],
  ['an empty body after text', message([5, STRING], [5, []])],
])('parts of %s are merged', (_, fields) => {
  const bytes = record(fields);
  expect(inPlace(bytes)).toEqual(decoded(bytes));
  expect(inPlace(bytes)).toHaveLength(1);
});
