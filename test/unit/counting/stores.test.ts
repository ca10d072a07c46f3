/** Memory and Redis answer alike: whatever is asked, a limit means the same wherever it is counted. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import memory from '../../../plugins/quota-memory/adapter.ts';
import { windowEnd } from '../../../src/counting/window.ts';
import redis from '../../../plugins/quota-redis/adapter.ts';
import type { Algorithm, QuotaAsk } from '../../../src/adapters/contract.ts';
import { fakeClock, type OpenedForTest, openForTest, testCall } from '../../../src/adapters/testing/index.ts';
import { type RedisPart, startRedis } from '../../parts/redis.ts';
import { drawnAsk, verbs } from './drawn-ask.ts';

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
  ...verbs,
  limit: fc.nat(8),
  isLate: fc.boolean(),
  once: fc.option(fc.constantFrom('one', 'other', 'a:b,c \ud800'), { nil: undefined }),
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
  isOwed: false,
  isPartial: false,
  isReleased: false,
};
const REFUSED_AFTER_RESET = [
  { passed: 0, reset: 2, asks: [{ ...B, isOwed: true }] },
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
            const mine = asks.map(({ key, limit, once, isLate, isReleased, ...verb }): QuotaAsk => {
              // The windows of one key are a calendar's; what is given back may come when its window is over.
              const endsAtMs =
                isLate && verb.cost < 0
                  ? clock.nowMs() - PER_MS
                  : key === 'b'
                    ? windowEnd(clock.nowMs(), 700)
                    : undefined;
              const counted = {
                bucket: buckets[at],
                key,
                limit,
                burst: 5,
                perMs: PER_MS,
                ...(endsAtMs === undefined ? {} : { endsAtMs }),
                ...(once === undefined ? {} : { idempotencyKey: once }),
              };
              return drawnAsk(counted, { ...verb, isReleased: isReleased && algorithm === 'concurrency' });
            });
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
