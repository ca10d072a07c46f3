import { expect, test } from 'vitest';
import { allHolders } from '../../../src/counting/store.ts';
import type { Inspection } from '../../../src/ratelimit/inspect/inspector.ts';
import { mergedInspection } from '../../../src/ratelimit/inspect/merged-inspection.ts';

const limit = {
  rule: 'd.k',
  at: 'f:1:1',
  requestsPerUnit: 100,
  unit: 'DAY',
  unlimited: false,
  name: '',
  shadow: false,
  quota: false,
  replaces: [],
  metric: 'd.k',
  algorithm: 'fixed',
  burst: undefined,
} as const;
const HERE = 'here-1a2b';
const elsewhere = { who: 'there-3c4d', units: 12 };
const said = (count: number | undefined, heldHere: number | undefined): Inspection => ({
  domain: 'd',
  entries: [],
  why: [],
  limit,
  counter: 'd_k_0',
  resetS: 10,
  count,
  heldHere,
  holders: count === undefined ? undefined : allHolders({ who: HERE, units: heldHere ?? 0 }, [elsewhere]),
  remaining: count === undefined ? undefined : Math.max(0, 100 - count),
});

test.each([
  ['nobody holds any', [said(40, 0), said(40, 0)], [40, 0, 60]],
  ['each takes off its own alone', [said(30, 10), said(35, 5), said(40, 0)], [25, 15, 75]],
  [
    'one that holds a chunk knows that what is beyond the limit was given back',
    [said(103, 0), said(90, 10)],
    [90, 10, 10],
  ],
  ['it is over', [said(140, 0), said(140, 0)], [140, 0, 0]],
] as const)('%s', (_name, [first, ...others], [count, heldHere, remaining]) => {
  expect(mergedInspection([first, ...others], HERE)).toEqual({ ...said(count, heldHere), remaining });
});

test('holders are in descending order, without those that hold nothing', () => {
  expect(mergedInspection([said(90, 5), said(90, 10)], HERE).holders).toEqual([{ who: HERE, units: 15 }, elsewhere]);
  expect(mergedInspection([said(95, 3), said(95, 0)], HERE).holders).toEqual([elsewhere, { who: HERE, units: 3 }]);
  expect(mergedInspection([said(100, 0), said(100, 0)], HERE).holders).toEqual([elsewhere]);
});

test('the remaining burst is not summed', () => {
  const told: Inspection = { ...said(2, 0), limit: { ...limit, algorithm: 'gcra', burst: 5 }, remaining: 3 };
  expect(mergedInspection([told, told], HERE)).toEqual(told);
});

test('without a limit nothing is summed', () => {
  const none = { ...said(undefined, undefined), limit: undefined };
  expect(mergedInspection([none, none], HERE)).toEqual(none);
});
