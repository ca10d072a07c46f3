/** A clock that is set back: no store refuses for as long as the clock was ahead, and none grants its limit more than once again. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Algorithm } from '../../../src/adapters/contract.ts';
import { fakeClock } from '../../../src/adapters/testing/index.ts';
import type { CounterAsk } from '../../../src/counting/store.ts';
import { type Client, connectStores, STORES } from './every-store.ts';

let disconnect: () => Promise<void>;
beforeAll(async () => {
  disconnect = await connectStores();
}, 60_000);
afterAll(async () => disconnect());

const PER_MS = 600_000;
const LIMIT = 5;
const STEPS = 8;
/** In periods: a step of NTP, less than a period, some, as many as the longest debt, an hour and a day of periods. */
const BACK = [0.001, 0.7, 1.5, 6, 11, 60, 1440];

function counterOf(name: string, algorithm: Algorithm) {
  const clock = fakeClock(Date.UTC(2026, 0, 1, 0, 3));
  const [store] = (STORES[name] as (typeof STORES)[string])(clock) as [Client];
  const bucket = { counter: randomUUID(), algorithm, perMs: PER_MS };
  let request = 0;
  const ask = async (more: Partial<CounterAsk> = {}): Promise<boolean> => {
    const leased = algorithm === 'concurrency' ? { idempotencyKey: `request ${request++}` } : {};
    const of = { bucket, key: 'k', limit: LIMIT, burst: LIMIT, perMs: PER_MS };
    const [answer] = await store.charge([{ kind: 'spend', cost: 1, ...of, ...leased, ...more } as CounterAsk]);
    return answer?.granted === true;
  };
  const passed = async (asks: number): Promise<number> => {
    let count = 0;
    for (let at = 0; at < asks; at++) if (await ask()) count++;
    return count;
  };
  return { clock, ask, passed };
}

describe.each(['memory', 'memory of two workers', 'Redis'])('%s', (name) => {
  test.each<Algorithm>(['fixed', 'gcra', 'sliding', 'log', 'concurrency'])('%s', async (algorithm) => {
    for (const back of BACK) {
      const { clock, passed } = counterOf(name, algorithm);
      expect(await passed(LIMIT + 1)).toBe(LIMIT);
      clock.set(clock.nowMs() - back * PER_MS);
      let inPeriod = await passed(2 * LIMIT);
      expect({ back, inPeriod, isMost: inPeriod <= LIMIT }).toMatchObject({ isMost: true });
      for (let step = 1; step <= 2.25 * STEPS; step++) {
        clock.advance(PER_MS / STEPS);
        inPeriod += await passed(2 * LIMIT);
      }
      expect({ back, inPeriod, isServed: inPeriod > 0 }).toMatchObject({ isServed: true });
    }
  });

  test.each<Algorithm>(['fixed', 'gcra', 'sliding'])(
    '%s: a charge is repeated for its period only',
    async (algorithm) => {
      const { clock, ask } = counterOf(name, algorithm);
      const beyond = { idempotencyKey: 'one', cost: LIMIT + 1 }; // granted only if it is repeated
      expect([await ask({ idempotencyKey: 'one' }), await ask(beyond)]).toEqual([true, true]);
      clock.set(clock.nowMs() - 20 * PER_MS);
      clock.advance(2 * PER_MS);
      expect(await ask(beyond)).toBe(false);
    },
  );
});

test.each(['memory', 'memory of two workers'])('%s: a debt is as large as before, and paid by time', async (name) => {
  const { clock, ask } = counterOf(name, 'gcra');
  await ask({ kind: 'owe', cost: 4 * LIMIT });
  clock.set(clock.nowMs() - 20 * PER_MS);
  expect(await ask()).toBe(false);
  clock.advance(3 * PER_MS);
  expect(await ask()).toBe(false);
  clock.advance(PER_MS / LIMIT);
  expect(await ask()).toBe(true);
});
