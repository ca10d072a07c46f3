/** Bytes that are not UTF-8 are U+FFFD in every attribute of every frontend, as in a lenient decode. */
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { anyPack, StringValueSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import type { Wire } from '../../../src/attributes/bag.ts';
import type { CallKind } from '../../../src/attributes/carrier.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { HttpEntryWire } from '../../../src/frontends/access-log/http-entry-wire.ts';
import { LogOrigin } from '../../../src/frontends/log-origin.ts';
import { TcpEntryWire } from '../../../src/frontends/access-log/tcp-entry-wire.ts';
import { CheckWire } from '../../../src/frontends/ext-authz/check-wire.ts';
import {
  HTTPAccessLogEntrySchema,
  TCPAccessLogEntrySchema,
} from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { CheckRequestSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { type RateLimitRequest, RateLimitRequestSchema } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { lazyMessage } from '../../../src/protobuf/lazy-message.ts';
import { lenientSchema } from '../../../src/protobuf/lenient-schema.ts';
import { DescriptorWire } from '../../../src/frontends/ratelimit/descriptor-wire.ts';
import { LimitScan } from '../../../src/frontends/ratelimit/limit-scan.ts';
import { rangeOf } from '../../../src/transport/byte-range.ts';
import { readerOf } from './call.ts';
import { httpCheck, httpEntry, identifier, tcpCheck, tcpEntry } from './messages.ts';
import { Random } from '../../parts/random.ts';
import { seeds } from '../../parts/seeds.ts';

const RUNS = Number(process.env['RUNS'] ?? 100);
const MARK = '~~~~';

/** Marks the end of random strings of a message, keys of its maps included. */
function marked(value: unknown, random: Random): unknown {
  if (typeof value === 'string') return random.below(2) === 0 ? value : value + MARK;
  if (Array.isArray(value)) return value.map((one) => marked(one, random));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const isMessage = '$typeName' in value;
  const isChoice = 'case' in value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      if (name === '$typeName' || (isChoice && name === 'case')) return [name, one];
      return [isMessage || isChoice || random.below(2) === 0 ? name : name + MARK, marked(one, random)];
    }),
  );
}

/** With random bytes in place of the marks. */
function spoilt<D extends DescMessage>(schema: D, message: MessageShape<D>, random: Random): Uint8Array {
  const bytes = Buffer.from(toBinary(schema, marked(message, random) as MessageShape<D>));
  for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at)) {
    for (const end = at + MARK.length; at < end; at++) bytes[at] = 0x80 + random.below(128);
  }
  return new Uint8Array(bytes);
}

/** The same message in UTF-8. */
const mended = <D extends DescMessage>(schema: D, bytes: Uint8Array): Uint8Array =>
  toBinary(schema, fromBinary(lenientSchema(schema), bytes) as MessageShape<D>);

const OCTETS_OF_BODY = ['request.raw_body', 'request.size'];

const read = (wire: Wire, call: CallKind, except: readonly string[] = []): Record<string, unknown> => {
  const value = readerOf(wire);
  const names = VOCABULARY.filter(({ name, carriedBy }) => carriedBy[call] !== undefined && !except.includes(name)).map(
    ({ name }) => name,
  );
  return Object.fromEntries(
    names.map((name) => {
      const said = value(name);
      return [name, said instanceof Map ? new Map(said) : said];
    }),
  );
};

test("the lenient decode reads what the platform's own decoder reads", () => {
  const encoded = Uint8Array.from([0x61, 0xff, 0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0xe2, 0x82]);
  const bytes = Uint8Array.from([10, encoded.length, ...encoded]);
  expect(fromBinary(lenientSchema(RateLimitRequestSchema), bytes)).toMatchObject({
    domain: new TextDecoder().decode(encoded),
  });
  expect(() => fromBinary(RateLimitRequestSchema, bytes)).toThrow();
});

describe('strings that are not UTF-8', () => {
  test.each([
    ['http', httpCheck],
    ['tcp', tcpCheck],
  ] as const)(`${RUNS} %s checks`, (call, usual) => {
    const wireOf = (bytes: Uint8Array): CheckWire => new CheckWire(rangeOf(bytes), () => 0);
    for (const seed of seeds(RUNS)) {
      const bytes = spoilt(CheckRequestSchema, usual(), new Random(seed));
      expect(read(wireOf(bytes), call, OCTETS_OF_BODY), `seed ${seed}`).toEqual(
        read(wireOf(mended(CheckRequestSchema, bytes)), call, OCTETS_OF_BODY),
      );
    }
  });

  test(`${RUNS} checks with raw headers`, () => {
    const wireOf = (bytes: Uint8Array): CheckWire => new CheckWire(rangeOf(bytes), () => 0);
    const headers = [
      { key: 'x-a', value: 'a' },
      { key: 'X-A', value: 'b' },
      { key: 'x-b', value: 'c' },
    ];
    for (const seed of seeds(RUNS)) {
      const bytes = spoilt(
        CheckRequestSchema,
        create(CheckRequestSchema, { attributes: { request: { http: { path: '/p', headerMap: { headers } } } } }),
        new Random(seed),
      );
      expect(read(wireOf(bytes), 'http', OCTETS_OF_BODY), `seed ${seed}`).toEqual(
        read(wireOf(mended(CheckRequestSchema, bytes)), 'http', OCTETS_OF_BODY),
      );
    }
  });

  test(`${RUNS} rate limit requests`, () => {
    const usual = (): RateLimitRequest =>
      create(RateLimitRequestSchema, {
        domain: 'shop',
        descriptors: [
          {
            entries: [
              { key: 'user', value: 'ann' },
              { key: 'path', value: '/' },
            ],
          },
        ],
      });
    const wireOf = (bytes: Uint8Array): DescriptorWire => {
      const scan = new LimitScan(rangeOf(bytes), 1);
      return new DescriptorWire(scan, scan.descriptors[0] as LimitScan['descriptors'][0], () => 0);
    };
    for (const seed of seeds(RUNS)) {
      const bytes = spoilt(RateLimitRequestSchema, usual(), new Random(seed));
      expect(read(wireOf(bytes), 'limit'), `seed ${seed}`).toEqual(
        read(wireOf(mended(RateLimitRequestSchema, bytes)), 'limit'),
      );
    }
  });

  test.each([
    [
      'log',
      HTTPAccessLogEntrySchema,
      httpEntry,
      (entry: unknown) => new HttpEntryWire(entry as never, new LogOrigin(identifier())),
    ],
    [
      'tcp-log',
      TCPAccessLogEntrySchema,
      tcpEntry,
      (entry: unknown) => new TcpEntryWire(entry as never, new LogOrigin(identifier())),
    ],
  ] as const)(`${RUNS} entries of a %s`, (call, schema, usual, wireOf) => {
    for (const seed of seeds(RUNS)) {
      const bytes = spoilt<DescMessage>(schema, usual(), new Random(seed));
      const whole = fromBinary<DescMessage>(schema, mended<DescMessage>(schema, bytes));
      const lazy = wireOf(lazyMessage<DescMessage>(schema, Buffer.from(bytes), 0, bytes.length));
      expect(read(lazy, call), `seed ${seed}`).toEqual(read(wireOf(whole), call));
      for (const carrier of [
        { kind: 'customTag', name: 'tag' },
        { kind: 'filterState', name: 'word' },
      ] as const)
        expect(lazy.carried(carrier), `seed ${seed}`).toEqual(wireOf(whole).carried(carrier));
    }
  });

  test('within an Any', () => {
    const said = anyPack(StringValueSchema, create(StringValueSchema, { value: 'a~' }));
    said.value[said.value.indexOf(0x7e)] = 0xff;
    const entry = create(HTTPAccessLogEntrySchema, { commonProperties: { filterStateObjects: { word: said } } });
    expect(new HttpEntryWire(entry, new LogOrigin(undefined)).carried({ kind: 'filterState', name: 'word' })).toBe(
      'a\uFFFD',
    );
  });

  test('a body reads the same as text and as bytes, and its size is that in bytes', () => {
    const value = readerOf(
      new CheckWire(
        rangeOf(
          toBinary(
            CheckRequestSchema,
            create(CheckRequestSchema, { attributes: { request: { http: { rawBody: Uint8Array.of(0x61, 0xff) } } } }),
          ),
        ),
        () => 0,
      ),
    );
    expect([value('request.body'), value('request.raw_body'), value('request.size')]).toEqual([
      'a\uFFFD',
      Uint8Array.of(0x61, 0xff),
      2,
    ]);
  });
});
