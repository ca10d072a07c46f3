import { expect, test } from 'vitest';
import { type DifferenceKind, Differences, MAX_KINDS, MAX_SAMPLES } from '../../../src/candidate/differences.ts';

interface Sample {
  readonly weight: number;
  readonly number: number;
}
const kind = (rule: string): DifferenceKind => ({
  ruleNow: null,
  ruleThen: rule,
  outcomeNow: 'allow',
  outcomeThen: 'deny',
});

test('counts by kind; kinds beyond the bound are counted together', () => {
  const differences = new Differences<Sample>();
  for (let number = 0; number < MAX_KINDS + 3; number++)
    for (let time = 0; time < 2; time++) differences.add(kind(`r${number}`), { weight: 1, number }, 0);
  expect(differences.rows()).toHaveLength(MAX_KINDS);
  expect(new Set(differences.rows().map(({ count }) => count))).toEqual(new Set([2]));
  expect(differences.others).toBe(6);
});

test('keeps the newest samples of each kind, the first ones at once and then one in a while', () => {
  const differences = new Differences<Sample>();
  const numbers = (): number[] => differences.samples().map(({ number }) => number);
  for (let number = 0; number < 20; number++) differences.add(kind('a'), { weight: 1, number }, 0);
  expect(numbers()).toEqual([4, 3, 2, 1, 0]);
  differences.add(kind('a'), { weight: 1, number: 20 }, 1000);
  differences.add(kind('b'), { weight: 1, number: 21 }, 1000);
  expect(numbers()).toEqual([21, 20, 4, 3, 2, 1]);
});

test('samples are bounded in number and bytes, and a large call is counted without one', () => {
  const differences = new Differences<Sample>();
  for (let number = 0; number < MAX_KINDS; number++)
    differences.add(kind(`r${number}`), { weight: MAX_SAMPLES.ofOneBytes, number }, 0);
  const kept = differences.samples();
  expect(kept.reduce((sum, { weight }) => sum + weight, 0)).toBeLessThanOrEqual(MAX_SAMPLES.bytes);
  expect(kept[0]?.number).toBe(MAX_KINDS - 1);
  for (let number = 0; number < MAX_KINDS; number++) differences.add(kind(`r${number}`), { weight: 1, number }, 1000);
  expect(differences.samples().length).toBeLessThanOrEqual(MAX_SAMPLES.count);
  const large = new Differences<Sample>();
  large.add(kind('a'), { weight: MAX_SAMPLES.ofOneBytes + 1, number: 0 }, 0);
  expect([large.rows()[0]?.count, large.samples()]).toEqual([1, []]);
});
