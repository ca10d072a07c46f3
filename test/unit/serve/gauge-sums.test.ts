import { expect, test } from 'vitest';
import { GaugeSums } from '../../../src/serve/ratelimit/gauge-sums.ts';

test('current values end with their worker; counts are kept, and continue from there', () => {
  const gauges = new Map<string, () => number>();
  const sums = new GaugeSums(gauges);
  const shown = (): (number | undefined)[] =>
    ['ratelimit.redis_pool.cx_active', 'ratelimit.redis_pool.trips'].map((name) => gauges.get(name)?.());
  const told = (worker: number, active: number, trips: number): void =>
    sums.update(worker, [
      ['ratelimit.redis_pool.cx_active', active],
      ['ratelimit.redis_pool.trips', trips],
    ]);
  told(1, 1, 10);
  told(2, 1, 5);
  told(2, 1, 7);
  expect(shown()).toEqual([2, 17]);
  sums.ended(2);
  expect(shown()).toEqual([1, 17]);
  told(2, 1, 3);
  expect(shown()).toEqual([2, 20]);
});
