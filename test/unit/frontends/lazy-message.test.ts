/** Decoding field by field equals a full decode, for every valid encoding of the message. */
import { create, type DescField, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import {
  HTTPAccessLogEntrySchema,
  TCPAccessLogEntrySchema,
} from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import {
  type StreamAccessLogsMessage,
  StreamAccessLogsMessage_IdentifierSchema,
  StreamAccessLogsMessageSchema,
} from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { CheckRequestSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { scanLog } from '../../../src/frontends/access-log/log-scan.ts';
import { lazyMessage } from '../../../src/protobuf/lazy-message.ts';
import { GrpcError, Status } from '../../../src/transport/transport.ts';
import { httpEntry, identifier, tcpEntry } from './messages.ts';
import { Random } from '../../parts/random.ts';
import { seeds } from '../../parts/seeds.ts';
import { oddly, type Shape } from './odd-encodings.ts';
import { randomMessage } from './random-message.ts';

const RUNS = Number(process.env['RUNS'] ?? 300);

const SPAN: Shape = {};
const ADDRESS: Shape = { 1: {} };
const COMMON: Shape = {
  2: ADDRESS,
  3: ADDRESS,
  4: { 4: {}, 5: {} },
  5: {},
  6: SPAN,
  7: SPAN,
  8: SPAN,
  13: ADDRESS,
  14: ADDRESS,
  16: { 13: {} },
  17: {},
};
const HTTP: Shape = { 1: COMMON, 3: {}, 4: {} };
const TCP: Shape = { 1: COMMON, 2: {} };

const KNOWN = { readUnknownFields: false } as const;

type Fields = Readonly<Record<string, unknown>>;

/** Every field of a message, nested ones too, since a lazy message has no own properties. */
function allOf(schema: DescMessage, message: Fields): unknown {
  return Object.fromEntries(
    schema.members.map((member) => {
      if (member.kind === 'field') return [member.localName, valueOf(member, message[member.localName])];
      const chosen = message[member.localName] as { readonly case?: string; readonly value?: unknown };
      const field = member.fields.find(({ localName }) => localName === chosen.case);
      return [member.localName, field === undefined ? {} : { case: chosen.case, value: valueOf(field, chosen.value) }];
    }),
  );
}

const isPlain = ({ typeName }: DescMessage): boolean =>
  typeName === 'google.protobuf.Struct' || /^google\.protobuf\.\w+Value$/.test(typeName);

function valueOf(field: DescField, value: unknown): unknown {
  return field.fieldKind === 'message' && value !== undefined && !isPlain(field.message)
    ? allOf(field.message, value as Fields)
    : value;
}

const seen = (schema: DescMessage, bytes: Uint8Array): unknown =>
  allOf(schema, lazyMessage(schema, Buffer.from(bytes), 0, bytes.length) as unknown as Fields);
const told = (schema: DescMessage, bytes: Uint8Array): unknown =>
  allOf(schema, fromBinary(schema, bytes, KNOWN) as unknown as Fields);

describe('as a full decode', () => {
  test.each([
    ['HTTP entries', HTTPAccessLogEntrySchema, toBinary(HTTPAccessLogEntrySchema, httpEntry()), HTTP],
    ['TCP entries', TCPAccessLogEntrySchema, toBinary(TCPAccessLogEntrySchema, tcpEntry()), TCP],
    [
      'an identifier',
      StreamAccessLogsMessage_IdentifierSchema,
      toBinary(StreamAccessLogsMessage_IdentifierSchema, identifier()),
      { 1: { 4: {} } },
    ],
  ] as const)(`${RUNS} odd ways to write %s`, (_name, schema, usual, shape) => {
    for (const seed of seeds(RUNS)) {
      const bytes = Uint8Array.from(oddly([...usual], shape, new Random(seed)));
      expect(seen(schema, bytes), `seed ${seed}`).toEqual(told(schema, bytes));
    }
  });

  test.each([
    ['HTTP entries', HTTPAccessLogEntrySchema],
    ['TCP entries', TCPAccessLogEntrySchema],
    ['identifiers', StreamAccessLogsMessage_IdentifierSchema],
    ['checks', CheckRequestSchema],
  ] as const)(`${RUNS} random %s`, (_name, schema) => {
    for (const seed of seeds(RUNS)) {
      const bytes = Uint8Array.from(randomMessage(schema, new Random(seed)));
      expect(seen(schema, bytes), `seed ${seed}`).toEqual(told(schema, bytes));
    }
  });

  test('a bool whose bits are all beyond its 64', () => {
    const bytes = Uint8Array.from([10, 14, 130, 1, 11, 0x18, ...Array.from({ length: 9 }, () => 0x80), 0x7e]);
    expect(told(HTTPAccessLogEntrySchema, bytes)).toMatchObject({
      commonProperties: { responseFlags: { upstreamRequestTimeout: false } },
    });
    expect(seen(HTTPAccessLogEntrySchema, bytes)).toEqual(told(HTTPAccessLogEntrySchema, bytes));
  });

  test('extreme numbers, a negative enum, and a oneof that is set twice', () => {
    const entry = httpEntry();
    Object.assign(entry.request ?? {}, {
      requestBodyBytes: 2n ** 64n - 1n,
      requestHeadersBytes: 2n ** 49n,
      requestMethod: -1,
    });
    Object.assign(entry.response ?? {}, { responseHeaders: { ['__proto__']: 'x', a: '' } });
    if (entry.commonProperties !== undefined)
      entry.commonProperties.startTime = { $typeName: 'google.protobuf.Timestamp', seconds: -(2n ** 63n), nanos: -1 };
    const bytes = toBinary(HTTPAccessLogEntrySchema, entry);
    expect(seen(HTTPAccessLogEntrySchema, bytes)).toEqual(told(HTTPAccessLogEntrySchema, bytes));
    const twice = Uint8Array.from([10, 8, 18, 6, 10, 0, 18, 2, 10, 0]); // downstream_remote_address: a socket, then a pipe
    expect(seen(HTTPAccessLogEntrySchema, twice)).toEqual(told(HTTPAccessLogEntrySchema, twice));
    expect(seen(HTTPAccessLogEntrySchema, new Uint8Array(0))).toEqual(
      told(HTTPAccessLogEntrySchema, new Uint8Array(0)),
    );
  });
});

describe('a message of entries', () => {
  const frameOf = (bytes: Uint8Array): unknown => {
    const { identifier: who, kind, entries } = scanLog(Buffer.from(bytes));
    const schema = kind === 'http' ? HTTPAccessLogEntrySchema : TCPAccessLogEntrySchema;
    const found: unknown[] = [];
    for (let at = 0; at < entries.length; at += 2)
      found.push(fromBinary<DescMessage>(schema, bytes.subarray(entries[at], entries[at + 1]), KNOWN));
    return {
      kind: entries.length === 0 ? undefined : kind,
      found,
      who: who === undefined ? undefined : fromBinary(StreamAccessLogsMessage_IdentifierSchema, who, KNOWN),
    };
  };
  const decodedFrame = ({ identifier: who, logEntries }: StreamAccessLogsMessage): unknown => {
    const found = logEntries.value?.logEntry ?? [];
    return { kind: found.length === 0 ? undefined : logEntries.case === 'tcpLogs' ? 'tcp' : 'http', found, who };
  };
  const http = toBinary(
    StreamAccessLogsMessageSchema,
    create(StreamAccessLogsMessageSchema, {
      identifier: identifier(),
      logEntries: { case: 'httpLogs', value: { logEntry: [httpEntry(), httpEntry()] } },
    }),
  );
  const tcp = toBinary(
    StreamAccessLogsMessageSchema,
    create(StreamAccessLogsMessageSchema, { logEntries: { case: 'tcpLogs', value: { logEntry: [tcpEntry()] } } }),
  );

  test(`${RUNS} odd ways to write one`, () => {
    for (const seed of seeds(RUNS)) {
      const bytes = Uint8Array.from(oddly([...http], { 1: { 1: {} }, 2: {} }, new Random(seed)));
      expect(frameOf(bytes), `seed ${seed}`).toEqual(
        decodedFrame(fromBinary(StreamAccessLogsMessageSchema, bytes, KNOWN)),
      );
    }
  });

  test.each([[[http, tcp]], [[tcp, http]], [[http, tcp, tcp]], [[tcp, http, tcp]], [[http, http]]])(
    'of both kinds the last counts (%#)',
    (parts) => {
      const bytes = Buffer.concat(parts);
      expect(frameOf(bytes)).toEqual(decodedFrame(fromBinary(StreamAccessLogsMessageSchema, bytes, KNOWN)));
    },
  );

  test('cut anywhere: INVALID_ARGUMENT', () => {
    for (let length = 1; length < tcp.length; length++)
      expect(() => scanLog(Buffer.from(tcp.subarray(0, length))), `cut at ${length}`).toThrow(GrpcError);
  });
});

describe('bytes that are not an entry', () => {
  const usual = toBinary(HTTPAccessLogEntrySchema, httpEntry());

  test(`${RUNS * 10} with a byte changed: INVALID_ARGUMENT, or an answer`, () => {
    for (const seed of seeds(RUNS * 10)) {
      const random = new Random(seed);
      const bytes = usual.slice();
      bytes[random.below(bytes.length)] = random.below(256);
      try {
        expect(seen(HTTPAccessLogEntrySchema, bytes), `seed ${seed}`).toHaveProperty('commonProperties');
      } catch (error) {
        expect((error as GrpcError).code, `seed ${seed}: ${String(error)}`).toBe(Status.INVALID_ARGUMENT);
      }
    }
  });
});
