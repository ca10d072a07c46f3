/** Memory and Redis answer alike: whatever is asked, a limit means the same wherever it is counted. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import memory from '../../../plugins/quota-memory/adapter.ts';
import { windowEnd } from '../../../src/counting/algorithms.ts';
import redis from '../../../plugins/quota-redis/adapter.ts';
import type { Algorithm, QuotaAsk } from '../../../src/adapters/contract.ts';
import { fakeClock, type OpenedForTest, openForTest, testCall } from '../../../src/adapters/testing/index.ts';
import { type RedisPart, startRedis } from '../../parts/redis.ts';

const PER_MS = 840; // so many limits divide it that the stores have nothing to round
const clock = fakeClock();
let part: RedisPart;
let stores: readonly OpenedForTest[];
beforeAll(async () => {
  part = await startRedis();
  stores = await Promise.all([
    openForTest(memory, { config: {}, clock }),
    openForTest(redis, { config: { url: part.url, clock: 'local', timeoutMs: 5000 }, clock }),
  ]);
});
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await part.stop();
});

const askOf = fc.record({
  key: fc.constantFrom('a', 'b'),
  cost: fc.integer({ min: -2, max: 3 }),
  limit: fc.nat(8),
  isLate: fc.boolean(),
  once: fc.option(fc.constantFrom('one', 'other', 'a:b,c \ud800'), { nil: undefined }),
  owed: fc.boolean(),
  partial: fc.boolean(),
  release: fc.boolean(),
});
const charges = fc.array(
  fc.record({
    passed: fc.oneof(fc.nat(20), fc.nat(400)),
    reset: fc.integer({ min: 1, max: 20 }),
    asks: fc.array(askOf, { minLength: 1, maxLength: 3 }),
  }),
  { maxLength: 40, size: 'max' },
);
let counters = 0;

/** A counter that was reset, then refused: nothing is in it, whatever window it is. */
const B = {
  key: 'b' as const,
  cost: 1,
  limit: 0,
  isLate: false,
  once: undefined,
  owed: false,
  partial: false,
  release: false,
};
const REFUSED_AFTER_RESET = [
  { passed: 0, reset: 2, asks: [{ ...B, owed: true }] },
  { passed: 0, reset: 1, asks: [{ ...B, cost: 0, limit: 1 }] },
  { passed: 0, reset: 2, asks: [B] },
  {
    passed: 0,
    reset: 2,
    asks: [
      { ...B, cost: -1, isLate: true },
      { ...B, key: 'a' as const },
    ],
  },
];

test.each<Algorithm>(['fixed', 'gcra', 'sliding', 'log', 'concurrency'])('%s', async (algorithm) => {
  await fc.assert(
    fc.asyncProperty(charges, async (given) => {
      const counter = `c${counters++}`;
      const buckets = stores.map(({ handler }) =>
        handler.bucket?.({ rule: counter, counter, algorithm, perMs: PER_MS, params: undefined }),
      );
      for (const { passed, reset, asks } of given) {
        clock.advance(passed);
        const told = await Promise.all(
          stores.map(async ({ handler }, at) => {
            const mine = asks.map(({ once, release, partial, isLate, ...ask }): QuotaAsk => ({
              ...ask,
              bucket: buckets[at],
              burst: 5,
              perMs: PER_MS,
              // The windows of one key are a calendar's; what is given back may come when its window is over.
              ...(isLate && ask.cost < 0
                ? { endsAtMs: clock.nowMs() - PER_MS }
                : ask.key === 'b'
                  ? { endsAtMs: windowEnd(clock.nowMs(), 700) }
                  : {}),
              ...(once === undefined ? { partial: partial && !ask.owed } : { once }),
              ...(release && algorithm === 'concurrency' ? { cost: 0, owed: false, release } : {}),
            }));
            if (reset === 1) await handler.reset?.(mine);
            return (await handler.charge?.(mine, testCall()))?.map(({ granted, limit, remaining, resetMs }) => ({
              granted,
              limit,
              remaining,
              resetMs,
            }));
          }),
        );
        expect(told[1]).toEqual(told[0]);
      }
    }),
    { numRuns: 100, examples: [[REFUSED_AFTER_RESET]] },
  );
});
