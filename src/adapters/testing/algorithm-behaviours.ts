/** Behaviours of each algorithm. */
import assert from 'node:assert/strict';
import type { Algorithm } from '../contract.ts';
import { OF_EVERY_ALGORITHM } from './counter-behaviours.ts';
import { assertReset, type CounterBehaviours, grants, MINUTE_MS, outcome } from './counters.ts';
import { GIVES_BACK_AT_MOST_THE_CHARGE, OF_CONCURRENCY, OF_LOG } from './list-behaviours.ts';

const DAY_MS = 86_400_000;

/** Windows between fixed times: of a `fixed` limit, and those that envoyproxy/ratelimit counts. */
export const OF_CALENDAR_WINDOWS: CounterBehaviours = {
  async 'the reset is the end of the window, granted or refused'({ clock, counter }) {
    const { spend } = counter({ limit: 1 });
    clock.advance(15_000);
    assertReset(await spend(), 45_000);
    clock.advance(5000);
    assertReset(await spend(), 40_000);
  },

  async 'a window ends by the clock, not a period after the first ask'({ clock, counter }) {
    const { spend } = counter({ limit: 1 });
    clock.advance(59_000);
    assert.equal((await spend()).granted, true);
    clock.advance(1000);
    assert.equal((await spend()).granted, true);
  },

  async 'a day is a day of UTC'({ clock, counter }) {
    clock.toNextWindow(DAY_MS);
    clock.advance(18 * 3_600_000);
    assertReset(await counter({ limit: 1, perMs: DAY_MS }).spend(), 6 * 3_600_000);
  },
};

const OF_WINDOWS: CounterBehaviours = {
  ...GIVES_BACK_AT_MOST_THE_CHARGE,

  async 'giving back to an ended window does not credit a later one'({ clock, counter }) {
    const { spend, look, giveBack } = counter({ limit: 5 });
    const late = async (key: string) =>
      outcome(await giveBack({ cost: 2, key, endsAtMs: clock.nowMs() - 2 * MINUTE_MS }));
    assert.deepEqual(await late('never charged'), { granted: true, remaining: 5 });
    await spend({ cost: 4 });
    assert.deepEqual(await late('ann'), { granted: true, remaining: 1 });
    assert.equal((await look()).remaining, 1);
  },
};

const OF_FIXED: CounterBehaviours = {
  ...OF_WINDOWS,
  ...OF_CALENDAR_WINDOWS,

  async 'a window ends at endsAtMs if the ask sets it'({ clock, counter }) {
    const { spend } = counter({ limit: 1 });
    const endsAtMs = clock.nowMs() + 100_000; // longer than its period
    assert.equal((await spend({ endsAtMs })).granted, true);
    clock.advance(90_000);
    const over = await spend({ endsAtMs });
    assert.equal(over.granted, false);
    assertReset(over, 10_000);
    clock.advance(10_001);
    assert.equal((await spend({ endsAtMs: endsAtMs + 100_000 })).granted, true);
  },
};

const OF_GCRA: CounterBehaviours = {
  ...GIVES_BACK_AT_MOST_THE_CHARGE,

  async 'lets a burst pass, then its rate'({ clock, counter }) {
    const { spend } = counter({ limit: 60, burst: 3 });
    for (const remaining of [2, 1, 0]) assert.deepEqual(outcome(await spend()), { granted: true, remaining });
    const over = await spend();
    assert.equal(over.granted, false);
    assertReset(over, 1000);
    for (let second = 0; second < 10; second++) {
      clock.advance(1000);
      assert.equal((await spend()).granted, true, `refused at its rate, second ${second}`);
      assert.equal((await spend()).granted, false, `granted above its rate, second ${second}`);
    }
  },

  async 'the reset of a grant is the time until the bucket is full'({ clock, counter }) {
    const { spend, look } = counter({ limit: 60, burst: 5 });
    assertReset(await spend({ cost: 3 }), 3000);
    clock.advance(1000);
    assertReset(await look(), 2000);
  },

  async 'a limit that does not divide the period is kept'({ clock, counter }) {
    const { spend } = counter({ limit: 7, burst: 1 });
    let granted = 0;
    for (let ms = 0; ms < 3 * MINUTE_MS; ms += 100) {
      if ((await spend()).granted) granted++;
      clock.advance(100);
    }
    assert.equal(granted, 21);
  },

  async 'time that passes unused is not saved beyond the burst'({ clock, counter }) {
    const { spend } = counter({ limit: 60, burst: 2 });
    await spend();
    clock.advance(10 * MINUTE_MS);
    const answers = [await spend(), await spend(), await spend(), await spend()];
    assert.deepEqual(grants(answers), [true, true, false, false]);
  },
};

const OF_SLIDING: CounterBehaviours = {
  ...OF_WINDOWS,

  async 'the previous window counts in proportion to its overlap with the last period'({ clock, counter }) {
    const { spend, look } = counter({ limit: 10 });
    assert.equal((await spend({ cost: 10 })).granted, true);
    clock.advance(MINUTE_MS);
    assert.equal((await spend()).granted, false, 'a burst passes on both sides of a boundary');
    for (const [ms, remaining] of [
      [15_000, 2],
      [15_000, 5],
      [30_000, 10],
    ] as const) {
      clock.advance(ms);
      assert.equal((await look()).remaining, remaining);
    }
  },

  async 'the reset of a grant is the end of the next window'({ clock, counter }) {
    const { spend, look } = counter({ limit: 5 });
    clock.advance(15_000);
    assertReset(await spend(), 105_000);
    clock.advance(60_000);
    assertReset(await look(), 45_000);
  },

  async 'keeps its rate over many windows'({ clock, counter }) {
    const { spend } = counter({ limit: 60 });
    let granted = 0;
    for (let ms = 0; ms < 5 * MINUTE_MS; ms += 250) {
      if ((await spend()).granted) granted++;
      clock.advance(250);
    }
    assert.ok(granted >= 280 && granted <= 315, `${granted} in five windows of 60`);
  },
};

export const BEHAVIOURS_OF: Readonly<Record<Algorithm, CounterBehaviours>> = {
  fixed: { ...OF_EVERY_ALGORITHM, ...OF_FIXED },
  gcra: { ...OF_EVERY_ALGORITHM, ...OF_GCRA },
  sliding: { ...OF_EVERY_ALGORITHM, ...OF_SLIDING },
  log: { ...OF_EVERY_ALGORITHM, ...OF_LOG },
  concurrency: { ...OF_EVERY_ALGORITHM, ...OF_CONCURRENCY },
};
