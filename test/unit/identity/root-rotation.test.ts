import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { type RootTimes, rotationPlan } from '../../../src/identity/root-rotation.ts';

const DAY = 24 * 3_600_000;
const MAX_TTL = 90 * DAY;
const root = (madeAtMs: number, lifeMs: number): RootTimes => ({ madeAtMs, endsAtMs: madeAtMs + lifeMs });

describe('the rotation of a root', () => {
  const old = root(0, 3650 * DAY);
  const made = 2920 * DAY; // 20 % are left
  const next = root(made, 3650 * DAY);

  test('a new root is due when less than a fifth of the life of the newest is left', () => {
    expect(rotationPlan([old], MAX_TTL, made - 1)).toEqual({
      signer: old,
      trusted: [old],
      isNewDue: false,
      untilMs: made,
    });
    expect(rotationPlan([old], MAX_TTL, made).isNewDue).toBe(true);
    expect(rotationPlan([], MAX_TTL, 0)).toMatchObject({ signer: undefined, trusted: [], isNewDue: true });
    expect(rotationPlan([old, next], MAX_TTL, made).isNewDue).toBe(false);
  });

  test.each([
    ['step 1: both are trusted, the old one signs', made, old, [old, next], made + MAX_TTL],
    ['step 1, at its end', made + MAX_TTL - 1, old, [old, next], made + MAX_TTL],
    ['step 2: both are trusted, the new one signs', made + MAX_TTL, next, [old, next], made + 2 * MAX_TTL],
    ['step 3: the old one is dropped', made + 2 * MAX_TTL, next, [next], 3650 * DAY],
    ['the old one has ended', 3650 * DAY, next, [next], made + 2920 * DAY],
  ])('%s', (_step, nowMs, signer, trusted, untilMs) => {
    expect(rotationPlan([old, next], MAX_TTL, nowMs)).toEqual({ signer, trusted, isNewDue: false, untilMs });
  });

  test('steps share the time that is left where the old root ends before two of the longest lifetimes', () => {
    const [a, b] = [root(0, 100), root(80, 100)];
    const steps = [80, 89, 90, 99, 100].map((nowMs) => {
      const { signer, trusted } = rotationPlan([a, b], 1000, nowMs);
      return [signer === b ? 'new' : 'old', trusted.length];
    });
    expect(steps).toEqual([
      ['old', 2],
      ['old', 2],
      ['new', 2],
      ['new', 2],
      ['new', 1],
    ]);
  });

  test('at each time, a certificate that was signed within its lifetime is trusted, and whoever has fetched roots within it trusts the signer', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 100_000 }),
        fc.integer({ min: 1, max: 100 }), // two of the longest lifetimes fit into a fifth of the root's life
        fc.array(fc.nat(400_000), { maxLength: 20 }),
        (lifeMs, maxTtlMs, times) => {
          fc.pre(maxTtlMs * 2 <= lifeMs * 0.2);
          const roots: RootTimes[] = [];
          // As the authority does it: looked at whenever something changes.
          for (let nowMs = 0; nowMs < 400_000;) {
            const plan = rotationPlan(roots, maxTtlMs, nowMs);
            if (plan.isNewDue) roots.push(root(nowMs, lifeMs));
            nowMs = Math.ceil(rotationPlan(roots, maxTtlMs, nowMs).untilMs);
          }
          const known = (nowMs: number) => roots.filter(({ madeAtMs }) => madeAtMs <= nowMs);
          const planAt = (nowMs: number) => rotationPlan(known(nowMs), maxTtlMs, nowMs);
          for (const nowMs of times) {
            const { signer } = planAt(nowMs);
            for (const laterMs of [nowMs, nowMs + maxTtlMs / 2, nowMs + maxTtlMs - 1]) {
              // A certificate that is cut to its root's end may end earlier.
              if (signer !== undefined && laterMs < signer.endsAtMs) expect(planAt(laterMs).trusted).toContain(signer);
              expect(planAt(nowMs).trusted).toContain(planAt(laterMs).signer);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
