/** The algorithms against a model that counts in whole numbers and forgets nothing. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { askFixed, askGcra, type Counter } from './windows.ts';

const ask = (cost: number, limit: number, burst: number, perMs: number) => ({ bucket: undefined, key: 'k', cost, limit, burst, perMs });
/** Asks with the time since the one before. */
const asks = fc.array(fc.tuple(fc.nat(3), fc.oneof(fc.nat(40), fc.nat(400))), { minLength: 1, maxLength: 60 });

describe('fixed', () => {
  test('is a count for each window that the clock has', () => {
    fc.assert(fc.property(asks, fc.nat(6), (given, limit) => {
      const perMs = 100;
      const counter: Counter = { a: 0, b: 0, c: 0 };
      const used = new Map<number, number>();
      let nowMs = 1_767_225_600_037;
      for (const [cost, passed] of given) {
        nowMs += passed;
        const window = Math.floor(nowMs / perMs);
        const before = used.get(window) ?? 0;
        const granted = before + cost <= limit;
        const after = granted ? before + cost : before;
        used.set(window, after);
        expect(askFixed(counter, ask(cost, limit, limit, perMs), nowMs)).toEqual({ granted, limit, remaining: limit - after, resetMs: (window + 1) * perMs - nowMs });
      }
    }));
  });
});

describe('gcra', () => {
  // In units of 1/limit ms, so that the model has no fractions.
  test('is a bucket of burst that fills with limit in each period', () => {
    fc.assert(fc.property(asks, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5 }), (given, limit, burst) => {
      const perMs = 100;
      const counter: Counter = { a: 0, b: 0, c: 0 };
      const full = BigInt(burst * perMs);
      let level = full;
      let nowMs = 1_767_225_600_000;
      for (const [cost, passed] of given) {
        nowMs += passed;
        level += BigInt(passed * limit);
        if (level > full) level = full;
        const price = BigInt(cost * perMs);
        const granted = price <= level;
        if (granted) level -= price;
        const answer = askGcra(counter, ask(cost, limit, burst, perMs), nowMs);
        expect({ granted: answer.granted, remaining: answer.remaining }).toEqual({ granted, remaining: Number(level / BigInt(perMs)) });
        const missing = granted ? full - level : price - level;
        expect(answer.resetMs).toBe(Math.max(0, Math.ceil(Number(missing) / limit - 1e-6)));
      }
    }), { numRuns: 500 });
  });
});
