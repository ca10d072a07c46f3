/** An error while an answer is encoded does not affect the next answer of the process. */
import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { type LimitVerdict, NO_CHANGES, NO_HEADERS, type Verdict } from '../../../src/core/call.ts';
import { CheckRequestSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { RateLimitRequestSchema } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { extAuthzMethods, ratelimitMethods } from '../../../src/frontends/index.ts';
import { rateLimitServiceMethods } from '../../../src/frontends/ratelimit/service-call.ts';
import type { RateLimitReply } from '../../../src/ratelimit/call.ts';
import { ALLOW, DENY, fixedEngine, GRANT } from '../../parts/fixed-engine.ts';
import { unary } from './call.ts';
import { httpCheck } from './messages.ts';
import { type Looks, Thrown, throwingAt } from './throwing-at.ts';

type Ask = () => Uint8Array | Promise<Uint8Array>;

/** Throws at each property access in turn, with another answer in between. Returns how often it threw. */
async function afterEachThrow(spoilt: (looks: Looks) => Ask, next: Ask): Promise<number> {
  const fresh = Buffer.from(await next());
  for (let at = 0; ; at++) {
    const looks = { left: at };
    let isThrown = false;
    try {
      await spoilt(looks)();
    } catch (error) {
      if (!(error instanceof Thrown)) throw error;
      isThrown = true;
    }
    expect(Buffer.from(await next()).equals(fresh), `after an error at look ${at}`).toBe(true);
    if (!isThrown) return at;
  }
}

const LONG = 'x'.repeat(200);

describe('a check', () => {
  const request = toBinary(CheckRequestSchema, httpCheck());
  const asking =
    (verdict: Verdict): Ask =>
    () =>
      unary(extAuthzMethods(fixedEngine({ check: () => verdict })))(request);
  const asLate =
    (verdict: Verdict): Ask =>
    () =>
      unary(extAuthzMethods(fixedEngine({ check: async () => verdict })))(request);

  const changed = (): Verdict => ({
    ...ALLOW,
    shadow: ['a', LONG],
    changes: {
      isConstant: false,
      request: {
        set: [['x-set', LONG]],
        append: [
          ['user-agent', 'b'],
          ['x-new', 'c'],
        ],
        remove: ['x-gone'],
      },
      response: { set: [['x-policy', 'e']], append: [['set-cookie', 'g=1']], remove: [] },
      query: { set: [['tier', 'gold']], remove: ['debug'] },
      metadata: [['team', LONG]],
    },
  });
  const constant = (): Verdict => ({
    ...ALLOW,
    changes: { ...NO_CHANGES, request: { ...NO_HEADERS, set: [['x-plan', 'free']] }, isConstant: true },
  });
  const denied = (): Verdict => ({
    ...DENY,
    headers: [
      ['x-reason', LONG],
      ['set-cookie', 'a'],
      ['set-cookie', 'b'],
    ],
    body: LONG,
    shadow: ['s'],
  });
  const verdicts = {
    'that changes the request': changed,
    'that is the same for many calls': constant,
    'that denies': denied,
    'that failed': () => ({ ...denied(), outcome: 'failed' as const }),
  };

  const kept = constant();
  const nexts: Readonly<Record<string, Ask>> = {
    'a denial': asking(denied()),
    'a lent answer': asking(kept),
    'an answer that is written late': asLate(changed()),
  };
  for (const [name, verdict] of Object.entries(verdicts)) {
    test.each(Object.entries(nexts))(`${name}, then %s`, async (_next, next) => {
      expect(await afterEachThrow((looks) => asking(throwingAt(verdict(), looks)), next)).toBeGreaterThan(8);
    });
  }

  test('the same changes again, after their answer failed half-written', async () => {
    const { changes } = constant();
    const fresh = Buffer.from(await asking({ ...ALLOW, changes: { ...changes } })());
    for (let at = 0, isThrown = true; isThrown; at++) {
      const looks = { left: at };
      const spoilt = throwingAt({ ...ALLOW, changes: { ...changes } }, looks);
      isThrown = false;
      try {
        await asking(spoilt)();
      } catch {
        isThrown = true;
      }
      looks.left = Infinity;
      expect(Buffer.from(await asking(spoilt)()).equals(fresh), `after an error at look ${at}`).toBe(true);
    }
  });

  test('a malformed header entry, where a rule appends: no byte of it in the next answer', async () => {
    const broken = Uint8Array.from([0x0a, 8, 0x22, 6, 0x12, 4, 0x1a, 2, 0x0a, 0x7f]);
    const next = asking(denied());
    const fresh = Buffer.from(await next());
    await unary(extAuthzMethods(fixedEngine({ check: () => changed() })))(broken);
    expect(Buffer.from(await next()).equals(fresh)).toBe(true);
  });
});

describe('a rate limit', () => {
  const request = toBinary(
    RateLimitRequestSchema,
    create(RateLimitRequestSchema, { domain: 'shop', descriptors: [{}, {}] }),
  );
  const status = { over: true, rule: 'per-user', limit: 5, perMs: 60_000, remaining: 0, resetMs: 1500 };
  const verdict = (): LimitVerdict => ({
    ...GRANT,
    outcome: 'deny',
    rule: LONG,
    statuses: [{ ...status }, { ...status }],
    response: { set: [['x-a', LONG]], append: [['x-b', '2']], remove: [] },
    shadow: ['s'],
  });
  const asking =
    (said: LimitVerdict): Ask =>
    () =>
      unary(ratelimitMethods(fixedEngine({ limit: () => said })))(request);

  test('of the rules', async () => {
    expect(await afterEachThrow((looks) => asking(throwingAt(verdict(), looks)), asking(verdict()))).toBeGreaterThan(
      20,
    );
  });

  const reply = (): RateLimitReply =>
    ({
      overallCode: 2,
      statuses: [{ code: 2, currentLimit: { requestsPerUnit: 5, unit: 2, name: LONG }, remaining: 0, resetS: 3 }],
      headers: [['x-a', LONG]],
      dynamicMetadata: { a: { b: LONG } },
    }) as RateLimitReply;
  const replying =
    (said: RateLimitReply): Ask =>
    () =>
      unary(rateLimitServiceMethods({ shouldRateLimit: () => said }, () => undefined))(request);

  test('of a service that limits by descriptors alone', async () => {
    expect(await afterEachThrow((looks) => replying(throwingAt(reply(), looks)), replying(reply()))).toBeGreaterThan(
      10,
    );
  });
});
