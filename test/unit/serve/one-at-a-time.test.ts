import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { oneAtATime } from '../../../src/serve/one-at-a-time.ts';

describe('work that runs one at a time', () => {
  test('calls during a run share the next run', async () => {
    let runs = 0;
    let inside = 0;
    let most = 0;
    const ask = oneAtATime(async () => {
      runs += 1;
      const nth = runs;
      most = Math.max(most, (inside += 1));
      await sleep(5);
      inside -= 1;
      return nth;
    });
    expect(await Promise.all([ask(), ask(), ask(), ask()])).toEqual([1, 2, 2, 2]);
    expect(await ask()).toBe(3);
    expect(most).toBe(1);
  });

  test('a failing run rejects its callers, and the next one runs', async () => {
    let runs = 0;
    const ask = oneAtATime(async () => {
      runs += 1;
      if (runs === 1) throw new Error('first');
      return runs;
    });
    const [first, second] = await Promise.allSettled([ask(), ask()]);
    expect(first.status).toBe('rejected');
    expect(second).toEqual({ status: 'fulfilled', value: 2 });
  });
});
