import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import type { Wire } from '../../../src/attributes/bag.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import type { LimitStatus, LimitVerdict } from '../../../src/core/call.ts';
import { ratelimitMethods } from '../../../src/frontends/index.ts';
import type { RateLimitReply } from '../../../src/ratelimit/call.ts';
import { rateLimitServiceMethods } from '../../../src/frontends/ratelimit/service-call.ts';
import {
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponseSchema,
} from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { GrpcError, Status } from '../../../src/transport/transport.ts';
import { fixedEngine, GRANT } from '../../parts/fixed-engine.ts';
import { readerOf, unary } from './call.ts';

const FREE: LimitStatus = { over: false, rule: undefined, limit: 0, perMs: 0, remaining: 0, resetMs: 0 };
const NO_LIMITS: RateLimitReply = { overallCode: 1, statuses: [], headers: [], dynamicMetadata: undefined };
type Request = MessageInitShape<typeof RateLimitRequestSchema>;
const REQUEST: Request = { domain: 'shop', descriptors: [{ entries: [{ key: 'user', value: 'ann' }] }] };

function ask(
  request: Request,
  verdict: (wires: readonly Wire[]) => LimitVerdict = (wires) => ({ ...GRANT, statuses: wires.map(() => FREE) }),
): { response: RateLimitResponse; wires: readonly Wire[] } {
  let wires: readonly Wire[] = [];
  const engine = fixedEngine({ limit: (asked) => verdict((wires = asked)) });
  const answer = unary(ratelimitMethods(engine))(
    toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, request)),
  );
  if (answer instanceof Promise) throw new Error('it waited');
  return { response: fromBinary(RateLimitResponseSchema, answer), wires };
}
const told = (verdict: Partial<LimitVerdict>, request: Request = REQUEST): RateLimitResponse =>
  ask(request, () => ({ ...GRANT, ...verdict })).response;
const failure = (request: Request, verdict?: Partial<LimitVerdict>): GrpcError => {
  try {
    told({ statuses: [FREE], ...verdict }, request);
  } catch (error) {
    if (error instanceof GrpcError) return error;
    throw error;
  }
  throw new Error('it answered');
};

describe('the attributes of a limit call', () => {
  test('every row that says limit is read', () => {
    const { wires } = ask({
      domain: 'shop',
      descriptors: [{ entries: [{ key: 'user', value: 'ann' }], limit: { requestsPerUnit: 3, unit: 2 } }],
    });
    const read = readerOf(wires[0] as Wire);
    const rows = VOCABULARY.filter(({ carriedBy }) => carriedBy.limit !== undefined).map(({ name }) => name);
    expect(rows.length).toBeGreaterThan(4);
    expect(rows.filter((name) => read(name) === undefined)).toEqual([]);
    expect(read('ratelimit.override')).toEqual(
      new Map([
        ['limit', 3],
        ['per_ms', 60_000],
      ]),
    );
  });

  test('one for each descriptor: entries in order, of a repeated key the first', () => {
    const entries = [
      { key: 'user', value: 'ann' },
      { key: 'user', value: 'bob' },
    ];
    const { wires } = ask({ domain: 'shop', descriptors: [{ entries }, {}] });
    const [first, second] = wires.map(readerOf);
    expect(first?.('ratelimit.domain')).toBe('shop');
    expect(first?.('ratelimit.descriptor')).toEqual(new Map([['user', 'ann']]));
    expect(first?.('ratelimit.entries')).toEqual(entries.map((entry) => new Map(Object.entries(entry))));
    expect([second?.('ratelimit.descriptor'), second?.('ratelimit.entries'), second?.('ratelimit.override')]).toEqual([
      new Map(),
      [],
      undefined,
    ]);
  });

  test.each([
    [undefined, undefined, 1],
    [0, undefined, 1],
    [4, undefined, 4],
    [4, 2n, 2],
    [4, 0n, 0],
    [undefined, 18_446_744_073_709_551_615n, 18_446_744_073_709_551_615n],
  ])('hits of the request %s, of the descriptor %s: %s', (ofRequest, ofDescriptor, hits) => {
    const { wires } = ask({
      domain: 'shop',
      hitsAddend: ofRequest ?? 0,
      descriptors: [ofDescriptor === undefined ? {} : { hitsAddend: ofDescriptor }],
    });
    expect(readerOf(wires[0] as Wire)('ratelimit.hits')).toBe(hits);
  });
});

describe('the answer to a limit call', () => {
  const quota = (change: Partial<LimitStatus>): LimitStatus => ({
    over: false,
    rule: 'per-user',
    limit: 5,
    perMs: 60_000,
    remaining: 4,
    resetMs: 1500,
    ...change,
  });

  test('has a status for each descriptor, in order; over if any is', () => {
    const response = told(
      {
        outcome: 'deny',
        rule: 'per-user',
        statuses: [FREE, quota({ over: true, remaining: 0, resetMs: 30_001 }), quota({ perMs: 90_000 })],
      },
      { ...REQUEST, descriptors: [{}, {}, {}] },
    );
    expect(response.overallCode).toBe(2);
    expect(
      response.statuses.map(({ code, currentLimit, limitRemaining, durationUntilReset }) => [
        code,
        currentLimit?.requestsPerUnit,
        currentLimit?.unit,
        currentLimit?.name,
        limitRemaining,
        durationUntilReset?.seconds,
      ]),
    ).toEqual([
      [1, undefined, undefined, undefined, 0, undefined],
      [2, 5, 2, 'per-user', 0, 31n],
      [1, 5, 0, 'per-user', 4, 2n],
    ]);
    expect(response.responseHeadersToAdd.map(({ key, value }) => [key, value])).toEqual([['retry-after', '31']]);
    expect(response.dynamicMetadata).toEqual({ sluice: { id: 'v-2', outcome: 'deny', rule: 'per-user', shadow: [] } });
  });

  test.each([
    [1000, 1],
    [60_000, 2],
    [3_600_000, 3],
    [86_400_000, 4],
    [30 * 86_400_000, 5],
    [365 * 86_400_000, 6],
    [7 * 86_400_000, 7],
    [1234, 0],
  ])('%i ms is unit %i', (perMs, unit) => {
    expect(told({ statuses: [quota({ perMs })] }).statuses[0]?.currentLimit?.unit).toBe(unit);
  });

  test('code 0 is never sent, and numbers fit their fields', () => {
    const response = told({ statuses: [quota({ limit: 2 ** 40, remaining: 2 ** 40 })] });
    expect([response.overallCode, response.statuses[0]?.code, response.statuses[0]?.limitRemaining]).toEqual([
      1, 1, 0xffff_ffff,
    ]);
    expect(told({ outcome: 'failed', statuses: [quota({ over: true })] }).overallCode).toBe(2);
  });

  test('adds the headers of rules, and its own retry-after only where there is none', () => {
    const response = told({
      outcome: 'deny',
      statuses: [quota({ over: true })],
      response: {
        set: [
          ['Retry-After', '9'],
          ['x-a', '1'],
        ],
        append: [
          ['x-b', '2'],
          [':status', '3'],
        ],
        remove: [],
      },
    });
    expect(response.responseHeadersToAdd.map(({ key, value }) => [key, value])).toEqual([
      ['Retry-After', '9'],
      ['x-a', '1'],
      ['x-b', '2'],
    ]);
  });

  test('a name in two spellings is sent once', () => {
    const response = told({
      statuses: [quota({})],
      response: {
        set: [
          ['x-a', '1'],
          ['X-A', '2'],
          ['X-A', '3'],
        ],
        append: [],
        remove: [],
      },
    });
    expect(response.responseHeadersToAdd.map(({ key, value }) => [key, value])).toEqual([
      ['X-A', '2'],
      ['X-A', '3'],
    ]);
  });

  test.each([
    [{ ...REQUEST, domain: '' }, 'rate limit domain must not be empty'],
    [{ domain: 'shop' }, 'rate limit descriptor list must not be empty'],
    [
      { ...REQUEST, descriptors: [{ limit: { requestsPerUnit: 1, unit: 0 } }] },
      'the limit of a descriptor has the unit 0',
    ],
    [
      { ...REQUEST, descriptors: [{ limit: { requestsPerUnit: 1, unit: 99 as 0 } }] },
      'the limit of a descriptor has the unit 99',
    ],
    [{ ...REQUEST, descriptors: Array.from({ length: 257 }, () => ({})) }, 'more than 256 descriptors'],
  ] satisfies [Request, string][])('refuses request %#', (request, message) => {
    const error = failure(request);
    expect([error.code, error.message]).toEqual([Status.INVALID_ARGUMENT, expect.stringContaining(message)]);
  });

  test('a service that limits by descriptors alone takes 10 000 of them', () => {
    const asked: number[] = [];
    const call = unary(
      rateLimitServiceMethods(
        {
          shouldRateLimit: ({ descriptors }) => {
            asked.push(descriptors.length);
            return NO_LIMITS;
          },
        },
        () => undefined,
      ),
    );
    const request = (descriptors: number): Uint8Array =>
      toBinary(
        RateLimitRequestSchema,
        create(RateLimitRequestSchema, {
          domain: 'shop',
          descriptors: Array.from({ length: descriptors }, () => ({})),
        }),
      );
    void call(request(10_000));
    expect(() => call(request(10_001))).toThrow(
      expect.objectContaining({
        code: Status.INVALID_ARGUMENT,
        message: 'the request has more than 10000 descriptors',
      }) as GrpcError,
    );
    expect(asked).toEqual([10_000]);
  });

  test.each([
    [
      'of rules',
      () => unary(ratelimitMethods(fixedEngine({ limit: (asked) => ({ ...GRANT, statuses: asked.map(() => FREE) }) }))),
    ],
    ['of files', () => unary(rateLimitServiceMethods({ shouldRateLimit: () => NO_LIMITS }, () => undefined))],
  ])('the service %s takes 10 000 entries in all descriptors together', (_name, open) => {
    const request = (...entries: number[]): Uint8Array =>
      toBinary(
        RateLimitRequestSchema,
        create(RateLimitRequestSchema, {
          domain: 'shop',
          descriptors: entries.map((length) => ({ entries: Array.from({ length }, () => ({ key: 'a', value: 'b' })) })),
        }),
      );
    const call = open();
    expect(call(request(10_000))).toBeInstanceOf(Uint8Array);
    const refusal = expect.objectContaining({
      code: Status.INVALID_ARGUMENT,
      message: 'the descriptors of the request have more than 10000 entries',
    }) as GrpcError;
    expect(() => call(request(10_001))).toThrow(refusal);
    expect(() => call(request(6000, 4001))).toThrow(refusal);
  });

  test('an error is a gRPC error, and so is a malformed request', () => {
    expect(failure(REQUEST, { outcome: 'error', statuses: [] }).code).toBe(Status.UNAVAILABLE);
    const call = unary(ratelimitMethods(fixedEngine()));
    expect(() => call(new Uint8Array([0x0a, 0x05]))).toThrow(GrpcError);
  });
});
