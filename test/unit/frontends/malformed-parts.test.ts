/** A malformed part of a message is absent. It fails no other attribute and no call; rules decide by their onError. */
import { fromBinary, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import type { Wire } from '../../../src/attributes/bag.ts';
import type { CallKind } from '../../../src/attributes/carrier.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { HttpEntryWire } from '../../../src/frontends/access-log/http-entry-wire.ts';
import { LogOrigin } from '../../../src/frontends/log-origin.ts';
import { CheckWire } from '../../../src/frontends/ext-authz/check-wire.ts';
import { HTTPAccessLogEntrySchema } from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { StreamAccessLogsMessage_IdentifierSchema } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { CheckRequestSchema, CheckResponseSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { extAuthzMethods } from '../../../src/frontends/index.ts';
import { lazyMessage } from '../../../src/protobuf/lazy-message.ts';
import { rangeOf } from '../../../src/transport/byte-range.ts';
import { GrpcError, Status } from '../../../src/transport/transport.ts';
import { engineOf } from '../core/engine-of.ts';
import { readerOf, unary } from './call.ts';
import { httpCheck, httpEntry, identifier } from './messages.ts';
import { Random } from '../../parts/random.ts';
import { seeds } from '../../parts/seeds.ts';

const RUNS = Number(process.env['RUNS'] ?? 400);

const valuesOf = (wire: Wire, call: CallKind): Map<string, unknown> => {
  const value = readerOf(wire);
  const names = VOCABULARY.filter(({ carriedBy }) => carriedBy[call] !== undefined).map(({ name }) => name);
  return new Map(
    names.map((name) => {
      const said = value(name);
      return [name, said instanceof Map ? new Map(said) : said];
    }),
  );
};

/** Deeper than a protobuf decoder goes. */
const LEVELS = 200;
const deep = (levels: number): JsonObject => (levels === 0 ? { end: true } : { in: deep(levels - 1) });
const deepCheck = (): Uint8Array => {
  const request = httpCheck();
  Object.assign(request.attributes?.metadataContext?.filterMetadata ?? {}, { deep: deep(LEVELS) });
  return toBinary(CheckRequestSchema, request);
};

const field = (number: number, body: readonly number[]): number[] => [
  ...varint(number * 8 + 2),
  ...varint(body.length),
  ...body,
];
const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]);
/** A length beyond the end of the message. */
const BROKEN = [0x0a, 0x7f];

describe('metadata nested deeper than a decoder goes', () => {
  test('its namespace is absent, the others are read', () => {
    const wire = new CheckWire(rangeOf(deepCheck()), () => 0);
    const metadata = readerOf(wire)('metadata') as ReadonlyMap<string, unknown>;
    expect([...metadata.keys()].toSorted()).toEqual(['envoy.filters.http.jwt_authn', 'other']);
    expect(wire.carried({ kind: 'metadata', namespace: 'deep', path: ['in'] })).toBeUndefined();
    expect(wire.carried({ kind: 'metadata', namespace: 'other', path: ['n'] })).toBe(1.5);
  });

  test('a rule that reads it fails, and its onError decides; a rule that does not read it decides as ever', async () => {
    const rules = (onError: string): string => `rules:
  - { name: reads, match: 'metadata["deep"]["in"] == "x"', deny: { status: 403 }, onError: ${onError} }
  - { name: reads-other, match: 'metadata["other"]["n"] == 1.5', deny: { status: 418 } }`;
    const ask = async (onError: string): Promise<number | undefined> => {
      const { engine } = await engineOf(rules(onError), {});
      const response = fromBinary(CheckResponseSchema, await unary(extAuthzMethods(engine))(deepCheck()));
      return response.httpResponse.case === 'deniedResponse' ? response.httpResponse.value.status?.code : undefined;
    };
    expect([await ask('deny'), await ask('allow')]).toEqual([503, 418]);
  });

  test('filter state beside it is read, in the access log', () => {
    const entry = httpEntry();
    Object.assign(entry.commonProperties?.metadata?.filterMetadata ?? {}, { deep: deep(LEVELS) });
    const bytes = Buffer.from(toBinary(HTTPAccessLogEntrySchema, entry));
    const wire = new HttpEntryWire(
      lazyMessage(HTTPAccessLogEntrySchema, bytes, 0, bytes.length),
      new LogOrigin(identifier()),
    );
    expect(wire.carried({ kind: 'filterState', name: 'word' })).toBe('said');
    expect(readerOf(wire)('verdict.id')).toBe('v-1');
  });

  test('a malformed object of grpc_stats leaves its counts absent', () => {
    const entry = httpEntry();
    const stats = entry.commonProperties?.filterStateObjects['envoy.filters.http.grpc_stats'];
    for (const value of [[0x47], BROKEN, [0x08]]) {
      Object.assign(stats ?? {}, { value: new Uint8Array(value) });
      const read = readerOf(new HttpEntryWire(entry, new LogOrigin(identifier())));
      expect([read('request.grpc_messages'), read('request.method')]).toEqual([undefined, 'POST']);
    }
  });

  test('the node of an access log: the rest of it is read', () => {
    const who = identifier();
    Object.assign(who, { node: { ...who.node, metadata: { ...who.node?.metadata, deep: deep(LEVELS) } } });
    const bytes = Buffer.from(toBinary(StreamAccessLogsMessage_IdentifierSchema, who));
    const read = readerOf(
      new HttpEntryWire(
        httpEntry(),
        new LogOrigin(lazyMessage(StreamAccessLogsMessage_IdentifierSchema, bytes, 0, bytes.length)),
      ),
    );
    expect([
      read('context.node.id'),
      read('context.log_name'),
      read('context.node.metadata'),
      read('destination.name'),
    ]).toEqual(['edge-1', 'http.inbound', undefined, undefined]);
  });
});

describe('malformed parts of a check', () => {
  const http = (more: readonly number[]): number[] => [
    ...field(2, [...Buffer.from('GET')]),
    ...field(4, [...Buffer.from('/a')]),
    ...more,
  ];
  const request = (parts: { readonly http?: readonly number[]; readonly more?: readonly number[] }): Uint8Array =>
    Uint8Array.from(field(1, [...field(4, field(2, http(parts.http ?? []))), ...(parts.more ?? [])]));
  const sound = valuesOf(new CheckWire(rangeOf(request({})), () => 0), 'http');

  test.each<[string, Uint8Array, string[]]>([
    ['source', request({ more: field(1, BROKEN) }), []],
    ['destination', request({ more: field(2, BROKEN) }), ['destination.labels']],
    ['an entry of context_extensions', request({ more: field(10, BROKEN) }), []],
    ['metadata', request({ more: field(11, BROKEN) }), ['metadata']],
    ['an entry of metadata', request({ more: field(11, field(1, BROKEN)) }), []],
    ['the TLS session', request({ more: field(12, BROKEN) }), []],
    ['route metadata', request({ more: field(13, BROKEN) }), ['context.route_metadata']],
    ['the time', Uint8Array.from(field(1, field(4, [...field(1, BROKEN), ...field(2, http([]))]))), []],
    ['an entry of the headers', request({ http: field(3, BROKEN) }), []],
    ['a raw header', request({ http: field(13, field(1, BROKEN)) }), []],
    [
      'the raw headers',
      request({ http: field(13, BROKEN) }),
      ['request.headers', 'request.header_values', 'request.size', 'request.body_is_partial', 'context.protocol'],
    ],
  ])('%s: only what it would have said is absent', (_name, bytes, absent) => {
    const values = valuesOf(new CheckWire(rangeOf(bytes), () => 0), 'http');
    const expected = new Map(sound);
    for (const name of absent) expected.set(name, undefined);
    expect(values).toEqual(expected);
  });

  test('a part that is sent twice beside a malformed one', () => {
    const bytes = request({
      more: [
        ...field(1, field(2, [...Buffer.from('front')])),
        ...field(1, field(4, [...Buffer.from('ann')])),
        ...field(11, BROKEN),
      ],
    });
    const read = readerOf(new CheckWire(rangeOf(bytes), () => 0));
    expect([read('source.cluster'), read('source.principal'), read('request.path'), read('metadata')]).toEqual([
      'front',
      'ann',
      '/a',
      undefined,
    ]);
  });

  test('a header beside a malformed one is found', () => {
    const entry = field(3, [...field(1, [...Buffer.from('x-a')]), ...field(2, [...Buffer.from('b')])]);
    const wire = new CheckWire(rangeOf(request({ http: [...field(3, BROKEN), ...entry] })), () => 0);
    expect([
      wire.headers()?.get('x-a'),
      wire.carried({ kind: 'header', name: 'x-a' }),
      [...(wire.headers() ?? [])],
    ]).toEqual(['b', 'b', [['x-a', 'b']]]);
  });

  test(`${RUNS} with bytes changed: INVALID_ARGUMENT at once, or every attribute is read without an error`, () => {
    const whole = toBinary(CheckRequestSchema, httpCheck());
    let refused = 0;
    for (const seed of seeds(RUNS)) {
      const random = new Random(seed);
      const bytes = whole.slice();
      for (let changes = 1 + random.below(3); changes > 0; changes--)
        bytes[random.below(bytes.length)] = random.below(256);
      let wire: CheckWire;
      try {
        wire = new CheckWire(rangeOf(bytes), () => 0);
      } catch (error) {
        expect((error as GrpcError).code, `seed ${seed}: ${String(error)}`).toBe(Status.INVALID_ARGUMENT);
        refused++;
        continue;
      }
      expect(valuesOf(wire, 'http').size, `seed ${seed}`).toBeGreaterThan(30);
      wire.carried({ kind: 'contextExtension', name: 'tier' });
    }
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThan(RUNS / 2);
  });

  test(`${RUNS} log entries with bytes changed: refused when they are made, or every attribute is read without an error`, () => {
    const whole = toBinary(HTTPAccessLogEntrySchema, httpEntry());
    for (const seed of seeds(RUNS)) {
      const random = new Random(seed);
      const bytes = Buffer.from(whole);
      for (let changes = 1 + random.below(3); changes > 0; changes--)
        bytes[random.below(bytes.length)] = random.below(256);
      let wire: HttpEntryWire;
      try {
        wire = new HttpEntryWire(
          lazyMessage(HTTPAccessLogEntrySchema, bytes, 0, bytes.length),
          new LogOrigin(identifier()),
        );
      } catch (error) {
        expect((error as GrpcError).code, `seed ${seed}: ${String(error)}`).toBe(Status.INVALID_ARGUMENT);
        continue;
      }
      expect(valuesOf(wire, 'log').size, `seed ${seed}`).toBeGreaterThan(30);
      for (const carrier of [
        { kind: 'customTag', name: 'tag' },
        { kind: 'filterState', name: 'word' },
        { kind: 'metadata', namespace: 'other', path: ['n'] },
      ] as const)
        wire.carried(carrier);
    }
  });
});

describe('tags and lengths beyond 32 bits', () => {
  test.each([
    ['a tag', [0x82 | 8, 0x80, 0x80, 0x80, 0x10, 0]],
    ['a tag of six bytes', [0x8a, 0x80, 0x80, 0x80, 0x80, 0x01, 0]],
    ['a length', [0x0a, 0x80, 0x80, 0x80, 0x80, 0x10]],
    ['a length within a group', [0x0b, 0x0a, 0x80, 0x80, 0x80, 0x80, 0x10, 0x0c]],
  ])('%s is refused', (_name, encoded) => {
    expect(() => new CheckWire(rangeOf(Uint8Array.from([...encoded, ...field(1, field(4, []))])), () => 0)).toThrow(
      GrpcError,
    );
  });

  test('longer encodings than necessary mean the same', () => {
    const bytes = Uint8Array.from([0x8a, 0x80, 0x80, 0x80, 0x00, 0x82, 0x80, 0x80, 0x80, 0x80, 0x00, 0x22, 0x00]);
    expect(new CheckWire(rangeOf(bytes), () => 0).isHttp).toBe(false);
  });
});
