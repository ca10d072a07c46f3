/** Behaviours of the algorithms that keep each charge: `log` and `concurrency`. */
import assert from 'node:assert/strict';
import {
  type AskOptions,
  assertReset,
  type CounterBehaviours,
  type CounterUnderTest,
  MINUTE_MS,
  outcome,
  RESET_ROUNDING_MS,
} from './counters.ts';

export const GIVES_BACK_AT_MOST_THE_CHARGE: CounterBehaviours = {
  async 'gives back no more than was charged'({ counter }) {
    const { spend, giveBack } = counter({ limit: 5 });
    await spend({ cost: 2 });
    assert.equal((await giveBack({ cost: 9 })).remaining, 5);
    assert.equal((await spend({ cost: 6 })).granted, false, 'more was given back than was charged');
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

export const OF_LOG: CounterBehaviours = {
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

export const OF_CONCURRENCY: CounterBehaviours = {
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
