/** Each algorithm against a model of whole numbers that expires nothing. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { askCounter } from '../../../src/counting/algorithms.ts';
import { BLANK, type Counter, type CounterAlgorithm } from '../../../src/counting/counter.ts';
import type { CounterAsk } from '../../../src/counting/store.ts';
import { drawnAsk, verbs } from './drawn-ask.ts';

const PER_MS = 100;
const bucketOf = (algorithm: CounterAlgorithm) => ({ counter: 'c', algorithm, perMs: PER_MS });
const ask = (algorithm: CounterAlgorithm, cost: number, limit: number, burst = limit): CounterAsk => ({
  kind: cost === 0 ? 'look' : 'spend',
  bucket: bucketOf(algorithm),
  key: 'k',
  cost,
  limit,
  burst,
  perMs: PER_MS,
});
/** Costs, each with the time since the previous ask. */
const asks = fc.array(fc.tuple(fc.nat(3), fc.oneof(fc.nat(40), fc.nat(400))), { minLength: 1, maxLength: 60 });

describe('fixed', () => {
  test('is a count per window of the clock', () => {
    fc.assert(
      fc.property(asks, fc.nat(6), (given, limit) => {
        const counter: Counter = { ...BLANK };
        const used = new Map<number, number>();
        let nowMs = 1_767_225_600_037;
        for (const [cost, passed] of given) {
          nowMs += passed;
          const window = Math.floor(nowMs / PER_MS);
          const before = used.get(window) ?? 0;
          const granted = before + cost <= limit;
          const after = granted ? before + cost : before;
          used.set(window, after);
          expect(askCounter(counter, ask('fixed', cost, limit), nowMs)).toEqual({
            granted,
            limit,
            remaining: limit - after,
            resetMs: (window + 1) * PER_MS - nowMs,
          });
        }
      }),
    );
  });
});

describe('gcra', () => {
  // In units of 1/limit ms, so that the model has no fractions.
  test('is a bucket of `burst` units, refilled by `limit` in each period', () => {
    fc.assert(
      fc.property(asks, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5 }), (given, limit, burst) => {
        const counter: Counter = { ...BLANK };
        const full = BigInt(burst * PER_MS);
        let level = full;
        let nowMs = 1_767_225_600_000;
        for (const [cost, passed] of given) {
          nowMs += passed;
          level += BigInt(passed * limit);
          if (level > full) level = full;
          const price = BigInt(cost * PER_MS);
          const granted = price <= level;
          if (granted) level -= price;
          const answer = askCounter(counter, ask('gcra', cost, limit, burst), nowMs);
          expect({ granted: answer.granted, remaining: answer.remaining }).toEqual({
            granted,
            remaining: Number(level / BigInt(PER_MS)),
          });
          const missing = granted ? full - level : price - level;
          expect(answer.resetMs).toBe(Math.max(0, Math.ceil(Number(missing) / limit - 1e-6)));
        }
      }),
      { numRuns: 500 },
    );
  });
});

test('no answer is negative, and every refusal has a reset, whatever the asks and windows', () => {
  const any = fc.record({
    passed: fc.oneof(fc.nat(40), fc.nat(400)),
    ...verbs,
    limit: fc.nat(6),
    burst: fc.nat(6),
    endsIn: fc.option(fc.integer({ min: -250, max: 250 }), { nil: undefined }),
    once: fc.option(fc.constantFrom('one', 'other'), { nil: undefined }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom('fixed', 'gcra', 'sliding', 'log', 'concurrency'),
      fc.array(any, { minLength: 1, maxLength: 40 }),
      (algorithm, given) => {
        const counter: Counter = { ...BLANK };
        let nowMs = 1_767_225_600_000;
        for (const { passed, endsIn, once, limit, burst, ...verb } of given) {
          nowMs += passed;
          const counted = {
            bucket: bucketOf(algorithm),
            key: 'k',
            perMs: PER_MS,
            limit,
            burst,
            ...(once === undefined ? {} : { idempotencyKey: once }),
            ...(endsIn === undefined ? {} : { endsAtMs: nowMs + endsIn }),
          };
          const { granted, remaining, resetMs } = askCounter(counter, drawnAsk(counted, verb), nowMs);
          expect(remaining).toBeGreaterThanOrEqual(0);
          expect(resetMs).toBeGreaterThanOrEqual(granted ? 0 : 1);
        }
      },
    ),
    { numRuns: 500 },
  );
});
