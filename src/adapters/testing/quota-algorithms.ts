/** Behaviours of every quota handler, by algorithm. */
import assert from 'node:assert/strict';
import type { Algorithm, QuotaAnswer, QuotaAsk } from '../contract.ts';
import type { Behaviour } from './behaviours.ts';
import { MINUTE_MS, type Of, RESET_ROUNDING_MS, shown } from './quota-fixture.ts';

const DAY_MS = 86_400_000;

const near = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) <= RESET_ROUNDING_MS, `resetMs is ${actual}; expected ${expected}`);

function ofWindows(of: Of): Behaviour[] {
  return [
    of(
      'giving back to an ended window does not credit a later one',
      async ({ opened, bucket, spend, look, giveBack, charge1 }) => {
        const mine = bucket();
        const late = async (key: string): Promise<unknown> => {
          const { granted, remaining } = await charge1(
            giveBack(mine, { limit: 5, cost: 2, key, endsAtMs: opened.clock.nowMs() - 2 * MINUTE_MS }),
          );
          return { granted, remaining };
        };
        assert.deepEqual(await late('never charged'), { granted: true, remaining: 5 });
        await charge1(spend(mine, { limit: 5, cost: 4 }));
        assert.deepEqual(await late('ann'), { granted: true, remaining: 1 });
        assert.equal((await charge1(look(mine, { limit: 5 }))).remaining, 1);
      },
    ),
  ];
}

function ofFixed(of: Of): Behaviour[] {
  return [
    ...ofWindows(of),
    of('the reset is the end of the window, granted or refused', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      opened.clock.advance(15_000);
      near((await charge1(spend(mine, { limit: 1 }))).resetMs, 45_000);
      opened.clock.advance(5000);
      near((await charge1(spend(mine, { limit: 1 }))).resetMs, 40_000);
    }),
    of('a window ends by the clock, not a period after the first ask', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      opened.clock.advance(59_000);
      assert.equal((await charge1(spend(mine, { limit: 1 }))).granted, true);
      opened.clock.advance(1000);
      assert.equal((await charge1(spend(mine, { limit: 1 }))).granted, true);
    }),
    of('a window ends at endsAtMs if the ask sets it', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      const endsAtMs = opened.clock.nowMs() + 100_000; // a minute, and more
      assert.equal((await charge1(spend(mine, { limit: 1, endsAtMs }))).granted, true);
      opened.clock.advance(90_000);
      const over = await charge1(spend(mine, { limit: 1, endsAtMs }));
      assert.equal(over.granted, false);
      near(over.resetMs, 10_000);
      opened.clock.advance(10_001);
      assert.equal((await charge1(spend(mine, { limit: 1, endsAtMs: endsAtMs + 100_000 }))).granted, true);
    }),
    of('a day is a day of UTC', async ({ opened, bucket, spend, charge1 }) => {
      opened.clock.toNextWindow(DAY_MS);
      opened.clock.advance(18 * 3_600_000);
      near((await charge1(spend(bucket({ perMs: DAY_MS }), { limit: 1 }))).resetMs, 6 * 3_600_000);
    }),
  ];
}

function ofGcra(of: Of): Behaviour[] {
  return [
    of('lets a burst pass, then its rate', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      const one = (): Promise<QuotaAnswer> => charge1(spend(mine, { limit: 60, burst: 3 }));
      for (const remaining of [2, 1, 0]) {
        const answer = await one();
        assert.deepEqual(shown(answer), { granted: true, remaining });
      }
      const over = await one();
      assert.equal(over.granted, false);
      near(over.resetMs, 1000);
      for (let second = 0; second < 10; second++) {
        opened.clock.advance(1000);
        assert.equal((await one()).granted, true, `refused at its rate, second ${second}`);
        assert.equal((await one()).granted, false, `granted more than its rate, second ${second}`);
      }
    }),
    of(
      'the reset of a grant is the time until the bucket is full',
      async ({ opened, bucket, spend, look, charge1 }) => {
        const mine = bucket();
        near((await charge1(spend(mine, { limit: 60, burst: 5, cost: 3 }))).resetMs, 3000);
        opened.clock.advance(1000);
        near((await charge1(look(mine, { limit: 60, burst: 5 }))).resetMs, 2000);
      },
    ),
    of('a limit that does not divide the period is kept', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      let granted = 0;
      for (let ms = 0; ms < 3 * MINUTE_MS; ms += 100) {
        if ((await charge1(spend(mine, { limit: 7, burst: 1 }))).granted) granted++;
        opened.clock.advance(100);
      }
      assert.equal(granted, 21);
    }),
    of('time that passes unused is not saved beyond the burst', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      await charge1(spend(mine, { limit: 60, burst: 2 }));
      opened.clock.advance(10 * MINUTE_MS);
      const answers: boolean[] = [];
      for (let times = 0; times < 4; times++)
        answers.push((await charge1(spend(mine, { limit: 60, burst: 2 }))).granted);
      assert.deepEqual(answers, [true, true, false, false]);
    }),
  ];
}

function ofSliding(of: Of): Behaviour[] {
  return [
    ...ofWindows(of),
    of(
      'the previous window counts in proportion to its overlap with the last period',
      async ({ opened, bucket, spend, look, charge1 }) => {
        const mine = bucket();
        assert.equal((await charge1(spend(mine, { limit: 10, cost: 10 }))).granted, true);
        opened.clock.advance(MINUTE_MS);
        assert.equal((await charge1(spend(mine, { limit: 10 }))).granted, false, 'a burst on both sides of a boundary');
        for (const [ms, remaining] of [
          [15_000, 2],
          [15_000, 5],
          [30_000, 10],
        ] as const) {
          opened.clock.advance(ms);
          assert.equal((await charge1(look(mine, { limit: 10 }))).remaining, remaining);
        }
      },
    ),
    of('the reset of a grant is the end of the next window', async ({ opened, bucket, spend, look, charge1 }) => {
      const mine = bucket();
      opened.clock.advance(15_000);
      near((await charge1(spend(mine, { limit: 5 }))).resetMs, 105_000);
      opened.clock.advance(60_000);
      near((await charge1(look(mine, { limit: 5 }))).resetMs, 45_000);
    }),
    of('keeps its rate over many windows', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      let granted = 0;
      for (let ms = 0; ms < 5 * MINUTE_MS; ms += 250) {
        if ((await charge1(spend(mine, { limit: 60 }))).granted) granted++;
        opened.clock.advance(250);
      }
      assert.ok(granted >= 280 && granted <= 315, `${granted} in five windows of 60`);
    }),
  ];
}

function ofLists(of: Of): Behaviour[] {
  return [
    of(
      'a reset forgets idempotency keys: a repeated ask is charged again, or refused if the counter is full',
      async ({ opened, bucket, spend, charge1 }) => {
        if (opened.handler.reset === undefined) return;
        const mine = bucket();
        const take = async (idempotencyKey: string): Promise<boolean> =>
          (await charge1(spend(mine, { limit: 2, idempotencyKey }))).granted;
        assert.deepEqual([await take('a'), await take('b'), await take('c')], [true, true, false]);
        await opened.handler.reset([spend(mine, { limit: 2 })]);
        assert.deepEqual([await take('c'), await take('a'), await take('b')], [true, true, false]);
        assert.deepEqual(
          [await take('c'), await take('a')],
          [true, true],
          'a charge after the reset does not count as repeated',
        );
      },
    ),
    of(
      'an idempotency key is kept until its whole charge is given back',
      async ({ bucket, spend, giveBack, charge1 }) => {
        const mine = bucket();
        const of = (cost: number): QuotaAsk =>
          (cost < 0 ? giveBack : spend)(mine, { limit: 5, cost: Math.abs(cost), idempotencyKey: 'one' });
        for (const [cost, remaining] of [
          [4, 1],
          [-3, 4],
          [4, 4],
          [-1, 5],
          [4, 1],
        ] as const)
          assert.equal((await charge1(of(cost))).remaining, remaining, `after ${cost}`);
      },
    ),
    of('a repeated ask does not extend its charge', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      const take = (): Promise<QuotaAnswer> => charge1(spend(mine, { limit: 1, idempotencyKey: 'one' }));
      await take();
      opened.clock.advance(MINUTE_MS / 2);
      near((await take()).resetMs, MINUTE_MS / 2);
      opened.clock.advance(MINUTE_MS / 2 + 1);
      near((await take()).resetMs, MINUTE_MS);
    }),
    of(
      'a debt above the limit keeps the newest idempotency keys and forgets the oldest',
      async ({ bucket, spend, owe, charge1 }) => {
        const mine = bucket();
        for (const idempotencyKey of ['a', 'b', 'c', 'd']) await charge1(owe(mine, { limit: 2, idempotencyKey }));
        assert.equal((await charge1(spend(mine, { limit: 2, idempotencyKey: 'd' }))).granted, true);
        assert.equal(
          (await charge1(spend(mine, { limit: 2, idempotencyKey: 'a' }))).granted,
          false,
          'the oldest key is still known',
        );
      },
    ),
  ];
}

function ofLog(of: Of): Behaviour[] {
  return [
    ...ofLists(of),
    of('no period admits more than the limit, and each admits as much', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      const times: number[] = [];
      for (let ms = 0; ms < 4 * MINUTE_MS; ms += 2500) {
        if ((await charge1(spend(mine, { limit: 5 }))).granted) times.push(ms);
        opened.clock.advance(2500);
      }
      assert.equal(times.length, 20);
      for (const from of times)
        assert.ok(
          times.filter((at) => at >= from && at < from + MINUTE_MS).length <= 5,
          `more than 5 in the minute from ${from}`,
        );
    }),
    of(
      'a growing debt is forgiven a period after its excess charges',
      async ({ opened, bucket, look, owe, charge1 }) => {
        const mine = bucket();
        for (let times = 0; times < 200; times++) {
          await charge1(owe(mine, { limit: 3 }));
          opened.clock.advance(1000);
        }
        assert.equal((await charge1(look(mine, { limit: 3 }))).granted, false);
        opened.clock.advance(MINUTE_MS - 4000 - RESET_ROUNDING_MS);
        assert.equal((await charge1(look(mine, { limit: 3 }))).granted, false);
        opened.clock.advance(1000);
        assert.equal((await charge1(look(mine, { limit: 3 }))).granted, true);
      },
    ),
  ];
}

function ofConcurrency(of: Of): Behaviour[] {
  return [
    ...ofLists(of),
    of(
      'a release is undone if another ask of its call is refused',
      async ({ bucket, spend, release, charge, charge1 }) => {
        const mine = bucket({ counter: 'mine' });
        await charge1(spend(mine, { limit: 1, idempotencyKey: 'a' }));
        const both = await charge(
          release(mine, { limit: 1, idempotencyKey: 'a' }),
          spend(bucket({ counter: 'none' }), { limit: 0, idempotencyKey: 'a' }),
        );
        assert.deepEqual(
          both.map(({ granted, remaining }) => ({ granted, remaining })),
          [
            { granted: true, remaining: 0 },
            { granted: false, remaining: 0 },
          ],
        );
        assert.equal((await charge1(spend(mine, { limit: 1, idempotencyKey: 'b' }))).granted, false);
      },
    ),
    of(
      'a released lease is free at once, an unreleased one after its period',
      async ({ opened, bucket, spend, release, charge1 }) => {
        const mine = bucket();
        const take = async (idempotencyKey: string): Promise<boolean> =>
          (await charge1(spend(mine, { limit: 2, idempotencyKey }))).granted;
        assert.deepEqual([await take('a'), await take('b'), await take('c')], [true, true, false]);
        assert.equal(await take('a'), true, 'the holder of a lease was refused');
        await charge1(release(mine, { limit: 2, idempotencyKey: 'a' }));
        await charge1(release(mine, { limit: 2, idempotencyKey: 'never' }));
        assert.deepEqual([await take('c'), await take('a')], [true, false]);
        opened.clock.advance(MINUTE_MS + 1);
        assert.deepEqual([await take('a'), await take('d'), await take('e')], [true, true, false]);
      },
    ),
  ];
}

export const BEHAVIOURS_OF: Readonly<Record<Algorithm, (of: Of) => Behaviour[]>> = {
  fixed: ofFixed,
  gcra: ofGcra,
  sliding: ofSliding,
  log: ofLog,
  concurrency: ofConcurrency,
};
