import { expect, test } from 'vitest';
import type { Inspection } from '../../../src/ratelimit/inspection.ts';
import { mergedInspection } from '../../../src/ratelimit/merged-inspection.ts';

const limit = { rule: 'd.k', at: 'f:1:1', requestsPerUnit: 100, unit: 'DAY', unlimited: false, name: '', shadow: false, quota: false, replaces: [], metric: 'd.k', algorithm: 'fixed', burst: undefined } as const;
const said = (count: number | undefined, heldHere: number | undefined): Inspection =>
  ({ domain: 'd', entries: [], why: [], limit, counter: 'd_k_0', resetS: 10, count, heldHere, remaining: count === undefined ? undefined : Math.max(0, 100 - count) });

test.each([
  ['nobody holds any', [said(40, 0), said(40, 0)], [40, 0, 60]],
  ['each takes off its own alone', [said(30, 10), said(35, 5), said(40, 0)], [25, 15, 75]],
  ['one that holds a chunk knows that what is beyond the limit was given back', [said(103, 0), said(90, 10)], [90, 10, 10]],
  ['it is over', [said(140, 0), said(140, 0)], [140, 0, 0]],
] as const)('%s', (_name, [first, ...others], [count, heldHere, remaining]) => {
  expect(mergedInspection([first, ...others])).toEqual({ ...said(count, heldHere), remaining });
});

test('what is left of a burst stays what it is', () => {
  const told: Inspection = { ...said(2, 0), limit: { ...limit, algorithm: 'gcra', burst: 5 }, remaining: 3 };
  expect(mergedInspection([told, told])).toEqual(told);
});

test('without a limit there is nothing to add up', () => {
  const none = { ...said(undefined, undefined), limit: undefined };
  expect(mergedInspection([none, none])).toEqual(none);
});
