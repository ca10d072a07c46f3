/** Lazy reading of a CheckRequest equals a full decode, for every valid encoding of the message. */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { type Ip, parseIp } from '../../../src/attributes/network.ts';
import { Timestamp } from '../../../src/attributes/values.ts';
import { CheckWire } from '../../../src/frontends/ext-authz/check-wire.ts';
import type { AttributeContext_Peer } from '../../../gen/envoy/service/auth/v3/attribute_context_pb.ts';
import { type CheckRequest, CheckRequestSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { GrpcError, Status } from '../../../src/transport/transport.ts';
import { rangeOf } from '../../../src/transport/byte-range.ts';
import { httpCheck, tcpCheck } from './messages.ts';
import { Random } from '../../parts/random.ts';
import { seeds } from '../../parts/seeds.ts';
import { oddly, type Shape, written } from './odd-encodings.ts';
import { randomMessage } from './random-message.ts';

const RUNS = Number(process.env['RUNS'] ?? 400);

const SOCKET: Shape = {};
const PEER: Shape = { 1: { 1: SOCKET } };
const SHAPE: Shape = { 1: { 1: PEER, 2: PEER, 4: { 1: {}, 2: { 3: {} } }, 11: {}, 12: {}, 13: {} } };

// ---------------------------------------------------------------- the full decode

const present = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
const socketOf = (peer: AttributeContext_Peer | undefined) =>
  peer?.address?.address.case === 'socketAddress' ? peer.address.address.value : undefined;
const ipOf = (peer: AttributeContext_Peer | undefined): Ip | undefined => parseIp(socketOf(peer)?.address ?? '');
const portOf = (peer: AttributeContext_Peer | undefined): number | undefined => {
  const port = socketOf(peer)?.portSpecifier;
  return port?.case === 'portValue' ? port.value : undefined;
};

function decodedAnswers({ attributes }: CheckRequest): Record<string, unknown> {
  const http = attributes?.request?.http;
  const [source, destination] = [attributes?.source, attributes?.destination];
  const time = attributes?.request?.time;
  return {
    'request.method': present(http?.method),
    'request.path': present(http?.path),
    'request.authority': present(http?.host),
    'request.scheme': present(http?.scheme),
    'request.protocol': present(http?.protocol),
    'context.stream_id': present(http?.id),
    'request.body': present(http?.body) ?? present(Buffer.from(http?.rawBody ?? []).toString()),
    'request.headers': http === undefined ? undefined : new Map(Object.entries(http.headers)),
    'request.time': time === undefined ? undefined : new Timestamp(Number(time.seconds), time.nanos),
    'source.ip': ipOf(source),
    'source.port': portOf(source),
    'source.cluster': present(source?.service),
    'source.principal': present(source?.principal?.replace('spiffe://', '')),
    'destination.ip': ipOf(destination),
    'destination.port': portOf(destination),
    'destination.labels': new Map(Object.entries(destination?.labels ?? {})),
    'destination.principal': present(destination?.principal.replace('spiffe://', '')),
    tier: attributes?.contextExtensions['tier'],
    'context.protocol': http === undefined ? 'tcp' : undefined,
  };
}

/** In the middle of a larger buffer. */
function readAnswers(request: Uint8Array): Record<string, unknown> {
  const bytes = Buffer.concat([Buffer.from([0x0a, 0x80]), request, Buffer.from([0x0a, 0x00])]);
  const wire = new CheckWire({ bytes, from: 2, to: 2 + request.length }, () => 0);
  const headers = wire.headers();
  const looked = ['user-agent', 'authorization', 'cookie', 'x-api-key'].map(
    (name) => [name, headers?.get(name)] as const,
  );
  const answers = Object.fromEntries(
    Object.keys(decodedAnswers(httpCheck()))
      .filter((name) => name !== 'tier')
      .map((name) => [name, wire.read(name)]),
  );
  const all = headers === undefined ? undefined : new Map(headers);
  for (const [name, one] of looked) expect(one).toBe(all?.get(name));
  return { ...answers, 'request.headers': all, tier: wire.carried({ kind: 'contextExtension', name: 'tier' }) };
}

/** With headers whose length takes two bytes, and three. */
function longCheck(): CheckRequest {
  const request = httpCheck();
  Object.assign(request.attributes?.request?.http?.headers ?? {}, {
    authorization: `Bearer ${'e'.repeat(300)}`,
    cookie: 'c'.repeat(17_000),
    'x-last': 'l',
  });
  return request;
}

describe('as a full decode', () => {
  test(`${RUNS} odd ways to write a request`, () => {
    for (const seed of seeds(RUNS)) {
      const random = new Random(seed);
      const bytes = Uint8Array.from(
        oddly(
          [...toBinary(CheckRequestSchema, random.one([tcpCheck, httpCheck, httpCheck, longCheck])())],
          SHAPE,
          random,
        ),
      );
      expect(readAnswers(bytes), `seed ${seed}`).toEqual(decodedAnswers(fromBinary(CheckRequestSchema, bytes)));
    }
  });

  test(`${RUNS} random requests`, () => {
    let compared = 0;
    for (const seed of seeds(RUNS)) {
      const bytes = Uint8Array.from(randomMessage(CheckRequestSchema, new Random(seed)));
      const request = fromBinary(CheckRequestSchema, bytes);
      // Headers that are sent as they came are compared in ext-authz.test.ts.
      if (request.attributes === undefined || request.attributes.request?.http?.headerMap !== undefined) continue;
      expect(readAnswers(bytes), `seed ${seed}`).toEqual(decodedAnswers(request));
      compared++;
    }
    expect(compared).toBeGreaterThan(RUNS / 4);
  });

  test('a request that is kept reads the same after its memory is used for another', () => {
    const request = toBinary(CheckRequestSchema, httpCheck());
    const bytes = Buffer.concat([Buffer.alloc(100, 0xff), request, Buffer.alloc(50, 0xff)]);
    const wire = new CheckWire({ bytes, from: 100, to: 100 + request.length }, () => 0);
    expect(wire.weight).toBe(request.length);
    const headers = wire.headers();
    wire.keep();
    bytes.fill(0);
    expect([wire.read('request.method'), headers?.get('user-agent'), wire.headers()?.get('referer')]).toEqual([
      'POST',
      'curl',
      'https://r',
    ]);
    expect([...(wire.headers() ?? [])].length).toBe(
      Object.keys(httpCheck().attributes?.request?.http?.headers ?? {}).length,
    );
    expect(wire.weight).toBe(request.length);
  });

  test('names in any case, an entry twice, and one that is not ASCII', () => {
    const entry = (key: string, value: string): number[] => [
      ...written({ number: 1, type: 2, body: [...Buffer.from(key)] }, new Random(1)),
      ...written({ number: 2, type: 2, body: [...Buffer.from(value)] }, new Random(1)),
    ];
    const header = (body: number[]): number[] => written({ number: 3, type: 2, body }, new Random(1));
    const http = [
      ...header(entry('X-User', 'ann')),
      ...header(entry('x-user', 'bob')),
      ...header(entry('x-é', 'ü')),
      ...header([18, 1, 0x76, 10, 2, 0x78, 0x31]),
    ];
    const wrap = (number: number, body: number[]): number[] => written({ number, type: 2, body }, new Random(1));
    const headers = new CheckWire(rangeOf(Uint8Array.from(wrap(1, wrap(4, wrap(2, http))))), () => 0).headers();
    expect([
      headers?.get('x-user'),
      headers?.get('X-USER'),
      headers?.get('x1'),
      headers?.get('x-é'),
      headers?.has('nope'),
    ]).toEqual(['bob', undefined, 'v', 'ü', false]);
    expect([...(headers ?? [])]).toEqual([
      ['x-user', 'bob'],
      ['x-é', 'ü'],
      ['x1', 'v'],
    ]);
  });
});

describe('bytes that are not a CheckRequest', () => {
  const whole = toBinary(CheckRequestSchema, httpCheck());
  const failure = (bytes: Uint8Array): unknown => {
    try {
      return readAnswers(bytes);
    } catch (error) {
      return error instanceof GrpcError ? error.code : error;
    }
  };

  test('cut anywhere: INVALID_ARGUMENT, never an attribute', () => {
    for (let length = 0; length < whole.length; length++)
      expect(failure(whole.subarray(0, length)), `cut at ${length}`).toBe(Status.INVALID_ARGUMENT);
  });

  test(`${RUNS * 10} with a byte changed: INVALID_ARGUMENT, or an answer`, () => {
    for (const seed of seeds(RUNS * 10)) {
      const random = new Random(seed);
      const bytes = whole.slice();
      bytes[random.below(bytes.length)] = random.below(256);
      const said = failure(bytes);
      if (said !== Status.INVALID_ARGUMENT) expect(said, `seed ${seed}`).toHaveProperty('request.method');
    }
  });

  test.each([
    ['a number of eleven bytes', [8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]],
    ['the field number 0', [0, 1]],
    ['a wire type that is none', [0x0f, 1]],
    ['a group that does not end', [0x0b, 8, 1]],
    ['a group that ends and did not begin', [0x0c]],
    ['groups that are nested deeply', Array.from({ length: 100 }, () => 0x0b)],
    ['nothing', []],
  ])('%s', (_name, octets) => {
    expect(failure(Uint8Array.from(octets))).toBe(Status.INVALID_ARGUMENT);
  });
});
