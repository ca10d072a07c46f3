/** Lazy reading of a RateLimitRequest equals a full decode, for every valid encoding of the message. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { type RateLimitRequest, RateLimitRequestSchema } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { DescriptorWire } from '../../../src/frontends/ratelimit/descriptor-wire.ts';
import { LimitScan } from '../../../src/frontends/ratelimit/limit-scan.ts';
import { GrpcError, Status } from '../../../src/transport/transport.ts';
import { Random } from '../../parts/random.ts';
import { seeds } from '../../parts/seeds.ts';
import { oddly, type Shape } from './odd-encodings.ts';
import { randomMessage } from './random-message.ts';

const RUNS = Number(process.env['RUNS'] ?? 400);
/** A descriptor's limit and hits are singular messages, which may be sent twice; its entries are a list. */
const SHAPE: Shape = {};
const DESCRIPTOR: Shape = { 2: {}, 3: {} };

const request = (): RateLimitRequest =>
  create(RateLimitRequestSchema, {
    domain: 'shop',
    hitsAddend: 3,
    descriptors: [
      {
        entries: [
          { key: 'user', value: 'ann' },
          { key: 'path', value: '/ü' },
        ],
        limit: { requestsPerUnit: 4_000_000_000, unit: 3 },
        hitsAddend: 9_007_199_254_740_993n,
      },
      { entries: [{ key: '', value: '' }] },
      {},
      { entries: [{ key: 'k', value: 'v' }], hitsAddend: 0n },
    ],
  });

/** First the parts of the request get odd encodings, then the request. */
function octets(random: Random): Uint8Array {
  const { descriptors, domain, hitsAddend } = request();
  const parts = descriptors.map((descriptor) => {
    const one = toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, { descriptors: [descriptor] }));
    const inner = oddly([...one.subarray(2)], DESCRIPTOR, random);
    return [18, ...(inner.length < 128 ? [inner.length] : [(inner.length & 0x7f) | 0x80, inner.length >> 7]), ...inner];
  });
  return Uint8Array.from(
    oddly(
      [...toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, { domain, hitsAddend })), ...parts.flat()],
      SHAPE,
      random,
    ),
  );
}

const decodedAnswers = ({ domain, hitsAddend, descriptors }: RateLimitRequest): unknown =>
  descriptors.map((descriptor) => ({
    domain,
    entries: descriptor.entries.map(({ key, value }) => [key, value]),
    hits:
      descriptor.hitsAddend === undefined
        ? hitsAddend || 1
        : Number.isSafeInteger(Number(descriptor.hitsAddend))
          ? Number(descriptor.hitsAddend)
          : descriptor.hitsAddend,
    override:
      descriptor.limit === undefined
        ? undefined
        : { requestsPerUnit: descriptor.limit.requestsPerUnit, unit: descriptor.limit.unit as number },
  }));

/** In the middle of a larger buffer. */
function readAnswers(request: Uint8Array): unknown {
  const bytes = Buffer.concat([Buffer.from([0x0a, 0x80]), request, Buffer.from([0x0a, 0x00])]);
  const scan = new LimitScan({ bytes, from: 2, to: 2 + request.length }, 256);
  return scan.descriptors.map((descriptor) => {
    const wire = new DescriptorWire(scan, descriptor, () => 0);
    return {
      domain: scan.domain,
      entries: wire.entries(),
      hits: wire.read('ratelimit.hits'),
      override: descriptor.override,
    };
  });
}

function failure(bytes: Uint8Array): unknown {
  try {
    return readAnswers(bytes);
  } catch (error) {
    return error instanceof GrpcError ? error.code : error;
  }
}

describe('as a full decode', () => {
  test(`${RUNS} odd ways to write a request`, () => {
    for (const seed of seeds(RUNS)) {
      const bytes = octets(new Random(seed));
      expect(readAnswers(bytes), `seed ${seed}`).toEqual(decodedAnswers(fromBinary(RateLimitRequestSchema, bytes)));
    }
  });

  test(`${RUNS} random requests`, () => {
    for (const seed of seeds(RUNS)) {
      const bytes = Uint8Array.from(randomMessage(RateLimitRequestSchema, new Random(seed)));
      expect(readAnswers(bytes), `seed ${seed}`).toEqual(decodedAnswers(fromBinary(RateLimitRequestSchema, bytes)));
    }
  });

  test('a request that is kept reads the same after its memory is used for another', () => {
    const octets = toBinary(RateLimitRequestSchema, request());
    const bytes = Buffer.concat([Buffer.alloc(100, 0xff), octets, Buffer.alloc(50, 0xff)]);
    const scan = new LimitScan({ bytes, from: 100, to: 100 + octets.length }, 256);
    const { domain } = scan;
    scan.keep();
    bytes.fill(0);
    scan.keep();
    expect([scan.domain, scan.weight]).toEqual([domain, octets.length]);
    expect(new DescriptorWire(scan, scan.descriptors[0] as LimitScan['descriptors'][0], () => 0).entries()).toEqual([
      ['user', 'ann'],
      ['path', '/ü'],
    ]);
  });
});

describe('bytes that are not a RateLimitRequest', () => {
  const whole = toBinary(RateLimitRequestSchema, request());

  test(`${RUNS * 10} with a byte changed: INVALID_ARGUMENT, or an answer`, () => {
    for (const seed of seeds(RUNS * 10)) {
      const random = new Random(seed);
      const bytes = whole.slice();
      bytes[random.below(bytes.length)] = random.below(256);
      const said = failure(bytes);
      if (said !== Status.INVALID_ARGUMENT) expect(said, `seed ${seed}`).toBeInstanceOf(Array);
    }
  });
});
