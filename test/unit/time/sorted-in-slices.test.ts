import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sortedInSlices } from '../../../src/time/sorted-in-slices.ts';
import { turns } from '../../../src/time/turns.ts';
import { turnsByLooks } from '../../parts/loop-turns.ts';

const compare = (a: readonly [number, number], b: readonly [number, number]): number => a[0] - b[0];

test('sorts as toSorted does, equal items in their order', () =>
  fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 9000 }), fc.integer({ min: 1, max: 3000 }), async (length, values) => {
      const items = Array.from({ length }, (_, at) => [(at * 7919) % values, at] as const);
      expect(await sortedInSlices(items, compare, () => undefined)).toEqual(items.toSorted(compare));
    }),
    { numRuns: 20 },
  ));

test('leaves turns, about one for each 10 000 items of each round', async () => {
  const items = Array.from({ length: 100_000 }, (_, at) => [(at * 7919) % 1000, at] as const);
  const taken = await turnsByLooks(() => sortedInSlices(items, compare, turns()));
  expect(taken).toBeGreaterThan(50);
});
