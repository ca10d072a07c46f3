/** Behaviours of each algorithm. */
import assert from 'node:assert/strict';
import type { Algorithm } from '../contract.ts';
import { OF_EVERY_ALGORITHM } from './counter-behaviours.ts';
import {
  type AskOptions,
  assertReset,
  type CounterBehaviours,
  type CounterUnderTest,
  grants,
  MINUTE_MS,
  outcome,
  RESET_ROUNDING_MS,
} from './counters.ts';

const DAY_MS = 86_400_000;

const GIVES_BACK_AT_MOST_THE_CHARGE: CounterBehaviours = {
  async 'gives back no more than was charged'({ counter }) {
    const { spend, giveBack } = counter({ limit: 5 });
    await spend({ cost: 2 });
    assert.equal((await giveBack({ cost: 9 })).remaining, 5);
    assert.equal((await spend({ cost: 6 })).granted, false, 'more was given back than was charged');
  },
};

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

const isGranted = async ({ spend }: CounterUnderTest, idempotencyKey: string): Promise<boolean> =>
  (await spend({ idempotencyKey })).granted;

/** `log` and `concurrency` keep each charge. */
const OF_LISTS: CounterBehaviours = {
  ...GIVES_BACK_AT_MOST_THE_CHARGE,

  async 'a reset forgets idempotency keys: a repeated ask is charged again, or refused if the counter is full'({
    counter,
    reset,
  }) {
    if (reset === undefined) return;
    const mine = counter({ limit: 2 });
    const take = (idempotencyKey: string) => isGranted(mine, idempotencyKey);
    assert.deepEqual([await take('a'), await take('b'), await take('c')], [true, true, false]);
    await reset(mine.ask('look'));
    assert.deepEqual([await take('c'), await take('a'), await take('b')], [true, true, false]);
    assert.deepEqual(
      [await take('c'), await take('a')],
      [true, true],
      'a charge after the reset does not count as repeated',
    );
  },

  async 'an idempotency key is kept until its whole charge is given back'({ counter }) {
    const { spend, giveBack } = counter({ limit: 5 });
    for (const [verb, cost, remaining] of [
      [spend, 4, 1],
      [giveBack, 3, 4],
      [spend, 4, 4],
      [giveBack, 1, 5],
      [spend, 4, 1],
    ] as const)
      assert.equal((await verb({ cost, idempotencyKey: 'one' })).remaining, remaining);
  },

  async 'a repeated ask does not extend its charge'({ clock, counter }) {
    const { spend } = counter({ limit: 1 });
    const of: AskOptions = { idempotencyKey: 'one' };
    await spend(of);
    clock.advance(MINUTE_MS / 2);
    assertReset(await spend(of), MINUTE_MS / 2);
    clock.advance(MINUTE_MS / 2 + 1);
    assertReset(await spend(of), MINUTE_MS);
  },

  async 'a debt above the limit keeps the newest idempotency keys and forgets the oldest'({ counter }) {
    const mine = counter({ limit: 2 });
    for (const idempotencyKey of ['a', 'b', 'c', 'd']) await mine.owe({ idempotencyKey });
    assert.equal(await isGranted(mine, 'd'), true);
    assert.equal(await isGranted(mine, 'a'), false, 'the oldest key is still known');
  },
};

const OF_LOG: CounterBehaviours = {
  ...OF_LISTS,

  async 'no period admits more than the limit, and each admits as much'({ clock, counter }) {
    const { spend } = counter({ limit: 5 });
    const times: number[] = [];
    for (let ms = 0; ms < 4 * MINUTE_MS; ms += 2500) {
      if ((await spend()).granted) times.push(ms);
      clock.advance(2500);
    }
    assert.equal(times.length, 20);
    for (const from of times)
      assert.ok(
        times.filter((at) => at >= from && at < from + MINUTE_MS).length <= 5,
        `more than 5 in the minute from ${from}`,
      );
  },

  async 'a growing debt is forgiven a period after its excess charges'({ clock, counter }) {
    const { look, owe } = counter({ limit: 3 });
    for (let times = 0; times < 200; times++) {
      await owe();
      clock.advance(1000);
    }
    assert.equal((await look()).granted, false);
    clock.advance(MINUTE_MS - 4000 - RESET_ROUNDING_MS);
    assert.equal((await look()).granted, false);
    clock.advance(1000);
    assert.equal((await look()).granted, true);
  },
};

/** As Envoy writes `x-request-id`. */
const UUID = '7b2e9c1a-33f0-4c5e-9d7a-0f6b1c2d3e4f';

const OF_CONCURRENCY: CounterBehaviours = {
  ...OF_LISTS,

  async 'a released lease is free at once, an unreleased one after its period'({ clock, counter }) {
    const mine = counter({ limit: 2 });
    const take = (idempotencyKey: string) => isGranted(mine, idempotencyKey);
    assert.deepEqual([await take('a'), await take('b'), await take('c')], [true, true, false]);
    assert.equal(await take('a'), true, 'the holder of a lease was refused');
    await mine.release({ idempotencyKey: 'a' });
    await mine.release({ idempotencyKey: 'never' });
    assert.deepEqual([await take('c'), await take('a')], [true, false]);
    clock.advance(MINUTE_MS + 1);
    assert.deepEqual([await take('a'), await take('d'), await take('e')], [true, true, false]);
  },

  async 'a look lists leases by pages, the oldest first, and none that has ended or was released'({
    clock,
    counter,
    place,
  }) {
    const mine = counter({ limit: 10 });
    const leases = async (from: number, count: number) => {
      const found = await place?.(mine.ask('look'), { from, count });
      return found?.leaseCount === undefined ? undefined : { of: found.leaseCount, leases: found.leases ?? [] };
    };
    const ids = async (from: number, count: number) => {
      const { of, leases: listed } = (await leases(from, count)) ?? { of: 0, leases: [] };
      return [of, ...listed.map(({ id }) => id)];
    };
    if ((await leases(0, 10)) === undefined) return; // it does not list them
    assert.deepEqual(await leases(0, 10), { of: 0, leases: [] });
    for (const [cost, idempotencyKey] of [
      [1, 'a'],
      [3, UUID],
      [2, 'c'],
    ] as const) {
      await mine.spend({ cost, idempotencyKey });
      clock.advance(10_000);
    }
    const [, second, third] = (await leases(0, 10))?.leases ?? [];
    assert.deepEqual([second?.id, second?.units], [UUID, 3]);
    for (const [lease, heldMs] of [
      [second, 20_000],
      [third, 10_000],
    ] as const) {
      assertReset({ resetMs: lease?.heldMs ?? -1 }, heldMs);
      assertReset({ resetMs: lease?.endsInMs ?? -1 }, MINUTE_MS - heldMs);
    }
    assert.deepEqual([await ids(0, 1), await ids(2, 5), await ids(3, 1)], [[3, 'a'], [3, 'c'], [3]]);
    await mine.giveBack({ cost: 1, idempotencyKey: UUID });
    await mine.release({ idempotencyKey: 'a' });
    const left = (await leases(0, 10))?.leases ?? [];
    assert.deepEqual(
      left.map(({ id, units }) => [id, units]),
      [
        [UUID, 2],
        ['c', 2],
      ],
    );
    clock.advance(MINUTE_MS - 20_000 + 1);
    assert.deepEqual(await ids(0, 10), [1, 'c']);
  },

  async 'a release is undone if another ask of its call is refused'({ counter, charge, place }) {
    const mine = counter({ limit: 1 });
    const none = counter({ counter: 'none', limit: 0 });
    await mine.spend({ idempotencyKey: 'a' });
    const both = await charge(mine.ask('release', { idempotencyKey: 'a' }), none.ask('spend', { idempotencyKey: 'a' }));
    assert.deepEqual(both.map(outcome), [
      { granted: true, remaining: 0 },
      { granted: false, remaining: 0 },
    ]);
    assert.equal(await isGranted(mine, 'b'), false);
    const found = await place?.(mine.ask('look'), { from: 0, count: 5 });
    if (found?.leaseCount !== undefined)
      assert.deepEqual(
        found.leases?.map(({ id }) => id),
        ['a'],
      );
  },
};

export const BEHAVIOURS_OF: Readonly<Record<Algorithm, CounterBehaviours>> = {
  fixed: { ...OF_EVERY_ALGORITHM, ...OF_FIXED },
  gcra: { ...OF_EVERY_ALGORITHM, ...OF_GCRA },
  sliding: { ...OF_EVERY_ALGORITHM, ...OF_SLIDING },
  log: { ...OF_EVERY_ALGORITHM, ...OF_LOG },
  concurrency: { ...OF_EVERY_ALGORITHM, ...OF_CONCURRENCY },
};
