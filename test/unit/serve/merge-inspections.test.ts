/** The quota inspections of several workers, as one answer. */
import { describe, expect, test } from 'vitest';
import type { LimitsAnswer } from '../../../src/admin/sources.ts';
import { mergedInspections, resetInspections } from '../../../src/serve/policy/merge-inspections.ts';
import type { QuotaInspection } from '../../../src/core/dispatch/quota-inspection.ts';

const look = (rule: string, more: Partial<QuotaInspection> = {}): QuotaInspection => ({
  rule,
  at: 'p.yaml:1',
  applies: true,
  why: 'it has no match',
  enforced: true,
  handler: 'q',
  adapter: 'quota-redis',
  algorithm: 'fixed',
  counter: rule,
  key: [],
  limit: 9,
  cost: 1,
  perMs: 1000,
  ...more,
});
/** Its cost cannot be had. */
const { cost: _cost, ...uncounted } = look('c');
const state = { granted: true, used: 2, remaining: 7, resetMs: 500 };
const rulesOf = (answer: LimitsAnswer | undefined): readonly QuotaInspection[] =>
  answer === undefined || 'wrong' in answer ? [] : answer.rules;

describe('inspections', () => {
  test('holders of all workers are merged, and the counter comes from a worker that could read it', () => {
    const merged = mergedInspections([
      {
        rules: [
          look('a', {
            holders: [
              { who: 'one', units: 3 },
              { who: 'two', units: 1 },
            ],
          }),
          look('b', { failure: 'away' }),
        ],
      },
      undefined,
      { rules: [look('a', { holders: [{ who: 'two', units: 4 }] }), look('b', { state })] },
    ]);
    expect(rulesOf(merged)).toEqual([
      look('a', {
        holders: [
          { who: 'one', units: 3 },
          { who: 'two', units: 4 },
        ],
      }),
      look('b', { state }),
    ]);
  });

  test('descriptors are kept apart', () => {
    const rules = [look('a', { descriptor: 1, holders: [{ who: 'one', units: 3 }] }), look('a', { descriptor: 2 })];
    expect(rulesOf(mergedInspections([{ rules }, { rules }]))).toEqual(rules);
  });

  test('an invalid request has one error; without workers there is no answer', () => {
    expect(mergedInspections([{ wrong: 'no such attribute' }, { wrong: 'no such attribute' }])).toEqual({
      wrong: 'no such attribute',
    });
    expect(mergedInspections([undefined, undefined])).toBeUndefined();
  });
});

describe('resets', () => {
  const looks = [look('a', { state }), look('b', { applies: false }), uncounted];
  const done: LimitsAnswer = { rules: [look('a', { reset: true }), look('b', { applies: false }), uncounted] };
  const resets = (...answers: (LimitsAnswer | undefined)[]): unknown[] =>
    rulesOf(resetInspections(looks, answers)).map(({ rule, reset, failure }) => [rule, reset, failure]);

  test('a reset is done where all workers confirm it; the state before it is kept', () => {
    expect(resets(done, done)).toEqual([
      ['a', true, undefined],
      ['b', undefined, undefined],
      ['c', undefined, undefined],
    ]);
    expect(rulesOf(resetInspections(looks, [done]))[0]).toMatchObject({ state });
  });

  test('a reset has failed where one worker failed or did not answer: its leases would come back', () => {
    expect(resets(done, { rules: [look('a', { reset: false, failure: 'away' })] })[0]).toEqual(['a', false, 'away']);
    expect(resets(done, undefined)[0]).toEqual(['a', false, '1 of 2 workers did not answer']);
    expect(resets(undefined, undefined)).toEqual([
      ['a', false, '2 of 2 workers did not answer'],
      ['b', undefined, undefined],
      ['c', undefined, undefined],
    ]);
  });
});
