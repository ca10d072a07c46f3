/** Every store, by every algorithm, has the behaviours that adapters have to show. */
import assert from 'node:assert/strict';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { BEHAVIOURS_OF, OF_CALENDAR_WINDOWS } from '../../../src/adapters/testing/algorithm-behaviours.ts';
import type { Algorithm, QuotaAnswer } from '../../../src/adapters/contract.ts';
import { OF_EVERY_ALGORITHM } from '../../../src/adapters/testing/counter-behaviours.ts';
import { type CounterBehaviours, countersOf, MINUTE_MS } from '../../../src/adapters/testing/counters.ts';
import { eventually, type FakeClock, fakeClock } from '../../../src/adapters/testing/index.ts';
import { Escrow } from '../../../src/counting/escrow.ts';
import type { CounterAnswer, CounterAsk } from '../../../src/counting/store.ts';
import { windowEnd } from '../../../src/counting/window.ts';
import { type Client, connectStores, STORES } from './every-store.ts';

const DAY_MS = 86_400_000;

let disconnect: () => Promise<void>;
beforeAll(async () => {
  disconnect = await connectStores();
}, 60_000);
afterAll(async () => disconnect());

/** Of windows it needs the time of day. */
function inEscrow(over: Client, clock: FakeClock, algorithm: Algorithm | 'window'): Client & { giveBackIdle(): void } {
  const escrow = new Escrow({
    store: over,
    nowMs: () => (algorithm === 'window' ? clock.nowMs() : clock.monotonicMs()),
    recordHeld() {},
    onUnits() {},
  });
  return {
    charge: (asks) => escrow.charge(asks),
    reset: (asks) => escrow.reset(asks),
    look: (asks, leases) => over.look(asks, leases),
    giveBackIdle: () => escrow.giveBackIdle(),
  };
}

/** The key of a `window` names its counter and the window, as envoyproxy/ratelimit names them. */
const withWindow = (ask: CounterAsk, clock: FakeClock): CounterAsk => {
  if (ask.bucket.algorithm !== 'window') return ask;
  const endsAtMs = windowEnd(clock.nowMs(), ask.perMs);
  return { ...ask, key: `${ask.bucket.counter} ${ask.perMs} ${ask.key} ${endsAtMs}`, endsAtMs };
};

/** Clients take turns. */
function countersOn(clients: readonly Client[], clock: FakeClock, algorithm: Algorithm | 'window') {
  let turn = 0;
  const next = (): Client => clients[turn++ % clients.length] as Client;
  const named = (asks: readonly unknown[]) => (asks as readonly CounterAsk[]).map((ask) => withWindow(ask, clock));
  return countersOf(
    {
      clock,
      bucket: ({ counter, perMs }) => ({ counter, algorithm, perMs, leases: new Map() }),
      charge: async (asks) => next().charge(named(asks)),
      reset: async (asks) => next().reset(named(asks)),
      look: async (asks, leases) => next().look(named(asks), leases),
    },
    algorithm as Algorithm,
  );
}

const used = (answers: readonly QuotaAnswer[]) => answers.map((answer) => (answer as CounterAnswer).used);

const OF_WINDOW: CounterBehaviours = {
  ...OF_EVERY_ALGORITHM,
  ...OF_CALENDAR_WINDOWS,

  async 'each ask of a call is answered with the count after it'({ counter, charge }) {
    const [one, other] = [counter({ limit: 100 }), counter({ counter: 'other', limit: 100 })];
    const answers = await charge(one.ask('owe'), other.ask('owe', { cost: 2 }), one.ask('owe', { cost: 3 }));
    assert.deepEqual(used([...answers, await one.look()]), [1, 2, 4, 4]);
  },

  async 'takes nothing back from a counter with less, which was made after a reset'({ counter }) {
    const { owe, giveBack, look } = counter({ limit: 5 });
    await owe({ cost: 3 });
    await giveBack({ cost: 4 });
    await giveBack({ cost: 4, key: 'never charged' });
    assert.deepEqual(used([await look(), await look({ key: 'never charged' })]), [3, 0]);
  },
};

const OF_GCRA: CounterBehaviours = {
  ...BEHAVIOURS_OF.gcra,

  async 'a debt is remembered for ten periods beyond the burst'({ clock, counter }) {
    const { owe, spend } = counter({ limit: 1 });
    await owe({ cost: Number.MAX_SAFE_INTEGER });
    clock.advance(10 * MINUTE_MS);
    assert.equal((await spend()).granted, false);
    clock.advance(MINUTE_MS + 1);
    assert.equal((await spend()).granted, true);
  },
};

const OF_OUR_STORES: CounterBehaviours = {
  async 'a clock set back by an hour refuses nobody for longer than two periods'({ clock, counter }) {
    const { spend } = counter({ limit: 1 });
    assert.deepEqual([(await spend()).granted, (await spend()).granted], [true, false]);
    clock.set(clock.nowMs() - 60 * MINUTE_MS);
    clock.advance(1000); // a lease that was full asks again
    await spend();
    clock.advance(2 * MINUTE_MS);
    assert.equal((await spend()).granted, true);
  },

  async 'nor a call of two counters'({ clock, counter, charge }) {
    const [one, other] = [counter({ limit: 1 }), counter({ counter: 'other', limit: 1 })];
    const isGranted = async (): Promise<boolean> =>
      (await charge(one.ask('spend'), other.ask('spend'))).every(({ granted }) => granted);
    assert.deepEqual([await isGranted(), await isGranted()], [true, false]);
    clock.set(clock.nowMs() - 60 * MINUTE_MS);
    clock.advance(1000); // a lease that was full asks again
    await isGranted();
    clock.advance(2 * MINUTE_MS);
    assert.equal(await isGranted(), true);
  },
};

const OURS = { ...BEHAVIOURS_OF, gcra: OF_GCRA, window: OF_WINDOW };
const ALGORITHMS = Object.keys(OURS) as (keyof typeof OURS)[];

describe.each(Object.entries(STORES))('%s', (_name, open) => {
  describe.each(ALGORITHMS)('%s', (algorithm) => {
    test.each(Object.entries({ ...OURS[algorithm], ...OF_OUR_STORES }))('%s', async (_says, show) => {
      const clock = fakeClock();
      await show(countersOn(open(clock), clock, algorithm));
    });

    describe('in escrow', () => {
      test.each(Object.entries({ ...OURS[algorithm], ...OF_OUR_STORES }))('%s', async (_says, show) => {
        const clock = fakeClock();
        await show(countersOn([inEscrow(open(clock)[0] as Client, clock, algorithm)], clock, algorithm));
      });

      test('clients together grant the limit, all of it in the end', async () => {
        const clock = fakeClock();
        const clients = open(clock).map((client) => inEscrow(client, clock, algorithm));
        const { spend } = countersOn(clients, clock, algorithm).counter({ limit: 300, perMs: DAY_MS });
        let granted = 0;
        for (let round = 0; round < 20; round++) {
          const answers = await Promise.all(Array.from({ length: 40 }, () => spend()));
          granted += answers.filter((one) => one.granted).length;
        }
        assert.ok(granted <= 300, `${granted} of 300`);
        await eventually(async () => {
          clock.advance(250);
          for (const client of clients) client.giveBackIdle();
          if ((await spend()).granted) granted++;
          assert.equal(granted, 300);
        });
        for (const _ of clients) assert.equal((await spend()).granted, false);
      });
    });
  });
});
