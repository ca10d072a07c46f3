/** What holds for every adapter that serves `quota`: the list that a memory, a Redis or any other counter must pass. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Adapter, Algorithm, QuotaAnswer, QuotaAsk } from '../contract.ts';
import { type Behaviour, ofOpen, paramsOf } from './behaviours.ts';
import { type OpenedForTest, testCall } from './open-for-test.ts';
import type { AdapterSubject, QuotaSubject } from './subject.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const RESET_ROUNDING_MS = 2; // whole milliseconds, rounded once on either side

interface Desk {
  readonly opened: OpenedForTest;
  /** A bucket; each test's counters are its own, also where the backend is shared. */
  readonly bucket: (options?: {
    readonly counter?: string;
    readonly rule?: string;
    readonly algorithm?: Algorithm;
    readonly perMs?: number;
  }) => unknown;
  readonly ask: (bucket: unknown, of: Partial<Omit<QuotaAsk, 'bucket'>> & { readonly limit: number }) => QuotaAsk;
  readonly charge: (...asks: readonly QuotaAsk[]) => Promise<readonly QuotaAnswer[]>;
  /** One ask, one answer. */
  readonly charge1: (ask: QuotaAsk) => Promise<QuotaAnswer>;
}

function deskOf(adapter: Adapter, example: QuotaSubject, opened: OpenedForTest, algorithm: Algorithm): Desk {
  const run = randomUUID();
  const { handler } = opened;
  const periods = new Map<unknown, number>();
  const charge = async (...asks: readonly QuotaAsk[]): Promise<readonly QuotaAnswer[]> => {
    const answers = await handler.charge?.(asks, testCall());
    assert.ok(answers !== undefined);
    assert.equal(answers.length, asks.length, 'there is not one answer for each ask');
    for (const { remaining, resetMs } of answers) {
      assert.ok(remaining >= 0, `remaining is ${remaining}`);
      assert.ok(resetMs >= 0, `resetMs is ${resetMs}`);
    }
    return answers;
  };
  return {
    opened,
    charge,
    bucket(options = {}) {
      const counter = options.counter ?? 'example';
      const perMs = options.perMs ?? MINUTE_MS;
      const bucket = handler.bucket?.({
        rule: options.rule ?? counter,
        counter: `${counter}-${run}`,
        algorithm: options.algorithm ?? algorithm,
        perMs,
        params: paramsOf(adapter, 'quota', example.params),
      });
      periods.set(bucket, perMs);
      return bucket;
    },
    ask: (bucket, of) => ({
      bucket,
      key: 'ann',
      cost: 1,
      burst: of.limit,
      perMs: periods.get(bucket) ?? MINUTE_MS,
      ...of,
    }),
    async charge1(ask) {
      const [answer] = await charge(ask);
      assert.ok(answer !== undefined);
      return answer;
    },
  };
}

export function quotaBehaviours(adapter: Adapter, subject: AdapterSubject, example: QuotaSubject): Behaviour[] {
  const algorithms = adapter.serves.quota?.algorithms ?? [];
  const of = (algorithm: Algorithm, says: string, show: (desk: Desk) => Promise<void>): Behaviour =>
    ofOpen(adapter, subject, `${algorithm}: ${says}`, async (opened) => {
      opened.clock.toNextWindow(MINUTE_MS);
      await show(deskOf(adapter, example, opened, algorithm));
    });
  return algorithms.flatMap((algorithm) => [
    ...ofAnyAlgorithm((says, show) => of(algorithm, says, show)),
    ...OWN[algorithm]((says, show) => of(algorithm, says, show)),
  ]);
}

type Of = (says: string, show: (desk: Desk) => Promise<void>) => Behaviour;

function ofAnyAlgorithm(of: Of): Behaviour[] {
  return [
    of('grants up to the limit and says what is left, then refuses', async ({ bucket, ask, charge1 }) => {
      const mine = bucket();
      for (const remaining of [2, 1, 0]) {
        const answer = await charge1(ask(mine, { limit: 3 }));
        assert.deepEqual(
          { granted: answer.granted, limit: answer.limit, remaining: answer.remaining },
          { granted: true, limit: 3, remaining },
        );
      }
      const over = await charge1(ask(mine, { limit: 3 }));
      assert.deepEqual(
        { granted: over.granted, limit: over.limit, remaining: over.remaining },
        { granted: false, limit: 3, remaining: 0 },
      );
      assert.ok(over.resetMs > 0, 'a refusal does not say when to come again');
    }),
    of('never grants more than the limit under 50 concurrent asks', async ({ bucket, ask, charge1 }) => {
      const mine = bucket();
      const answers = await Promise.all(Array.from({ length: 50 }, () => charge1(ask(mine, { limit: 20 }))));
      assert.equal(answers.filter(({ granted }) => granted).length, 20);
    }),
    of('grants all of several asks or charges none', async ({ bucket, ask, charge, charge1 }) => {
      const wide = bucket({ counter: 'wide' });
      const narrow = bucket({ counter: 'narrow' });
      const both = (): QuotaAsk[] => [ask(wide, { limit: 10 }), ask(narrow, { limit: 1 })];
      assert.deepEqual(
        (await charge(...both())).map(({ granted }) => granted),
        [true, true],
      );
      const refused = await charge(...both());
      assert.deepEqual(
        refused.map(({ granted }) => granted),
        [true, false],
        'each answer says whether its own ask could pass',
      );
      assert.equal(refused[0]?.remaining, 9, 'what could pass says what is left uncharged');
      await charge(...both().toReversed());
      assert.equal(
        (await charge1(ask(wide, { limit: 10, cost: 0 }))).remaining,
        9,
        'a refusal by the narrow one charged the wide one',
      );
    }),
    of('stays all or none under concurrent asks', async ({ bucket, ask, charge, charge1 }) => {
      const wide = bucket({ counter: 'wide' });
      const narrow = bucket({ counter: 'narrow' });
      const answers = await Promise.all(
        Array.from({ length: 30 }, () => charge(ask(wide, { limit: 100 }), ask(narrow, { limit: 7 }))),
      );
      assert.equal(answers.filter((both) => both.every(({ granted }) => granted)).length, 7);
      assert.equal((await charge1(ask(wide, { limit: 100, cost: 0 }))).remaining, 93);
    }),
    of('a cost of 0 looks without charging', async ({ bucket, ask, charge1 }) => {
      const mine = bucket();
      for (let times = 0; times < 3; times++)
        assert.equal((await charge1(ask(mine, { limit: 5, cost: 0 }))).remaining, 5);
      await charge1(ask(mine, { limit: 5, cost: 2 }));
      const look = await charge1(ask(mine, { limit: 5, cost: 0 }));
      assert.deepEqual({ granted: look.granted, remaining: look.remaining }, { granted: true, remaining: 3 });
    }),
    of('a cost is charged whole or not at all', async ({ bucket, ask, charge1 }) => {
      const mine = bucket();
      assert.equal((await charge1(ask(mine, { limit: 10, cost: 4 }))).granted, true);
      assert.equal((await charge1(ask(mine, { limit: 10, cost: 4 }))).granted, true);
      const over = await charge1(ask(mine, { limit: 10, cost: 4 }));
      assert.deepEqual({ granted: over.granted, remaining: over.remaining }, { granted: false, remaining: 2 });
      assert.equal((await charge1(ask(mine, { limit: 10, cost: 2 }))).granted, true);
    }),
    of('what is owed is charged beyond the limit too', async ({ bucket, ask, charge1 }) => {
      const mine = bucket();
      assert.deepEqual(
        (({ granted, remaining }) => ({ granted, remaining }))(
          await charge1(ask(mine, { limit: 5, cost: 4, owed: true })),
        ),
        { granted: true, remaining: 1 },
      );
      assert.deepEqual(
        (({ granted, remaining }) => ({ granted, remaining }))(
          await charge1(ask(mine, { limit: 5, cost: 4, owed: true })),
        ),
        { granted: true, remaining: 0 },
      );
      assert.equal(
        (await charge1(ask(mine, { limit: 5, cost: 0 }))).granted,
        false,
        'who owes more than the limit is let in',
      );
    }),
    of('what is charged once is not charged again for a period', async ({ opened, bucket, ask, charge, charge1 }) => {
      const mine = bucket();
      const of = (once: string, more: Partial<QuotaAsk> = {}): QuotaAsk =>
        ask(mine, { limit: 10, cost: 4, once, ...more });
      for (let times = 0; times < 3; times++)
        assert.deepEqual((({ granted, remaining }) => ({ granted, remaining }))(await charge1(of('one'))), {
          granted: true,
          remaining: 6,
        });
      assert.equal((await charge1(of('other'))).remaining, 2);
      assert.equal((await charge1(of('third'))).granted, false, 'what was refused was not charged');
      assert.equal((await charge1(of('third'))).granted, false);
      assert.equal(
        (await charge1(of('one', { cost: 9 }))).granted,
        true,
        'what was charged is granted, whatever is left',
      );
      assert.equal((await charge1(of('one', { key: 'bob' }))).remaining, 6, 'another key is charged for itself');
      const both = await charge(of('new', { cost: 1 }), ask(bucket({ counter: 'narrow' }), { limit: 0, once: 'new' }));
      assert.deepEqual(
        both.map(({ granted }) => granted),
        [true, false],
      );
      assert.equal(
        (await charge1(of('new', { cost: 1 }))).remaining,
        1,
        'what was refused with another is not known as charged',
      );
      opened.clock.advance(2 * MINUTE_MS + 1);
      assert.equal((await charge1(of('one'))).remaining, 6, 'after a period it is charged again');
    }),
    of('what was charged once and is given back is charged anew', async ({ bucket, ask, charge1 }) => {
      const mine = bucket();
      const of = (once: string, cost: number): QuotaAsk => ask(mine, { limit: 5, cost, once });
      assert.equal((await charge1(of('one', 4))).remaining, 1);
      assert.equal((await charge1(of('one', -4))).remaining, 5);
      assert.equal((await charge1(of('one', 0))).granted, true);
      assert.equal((await charge1(of('one', 3))).remaining, 2, 'it is not charged anew');
      assert.equal((await charge1(of('one', 3))).remaining, 2);
    }),
    of(
      'where a part of the cost will do, what is left is granted, and all or none holds',
      async ({ bucket, ask, charge, charge1 }) => {
        const mine = bucket({ counter: 'mine' });
        const part = (cost: number): QuotaAsk => ask(mine, { limit: 5, cost, partial: true });
        const shown = ({ granted, remaining, charged }: QuotaAnswer): unknown => ({ granted, remaining, charged });
        assert.deepEqual(shown(await charge1(part(3))), { granted: true, remaining: 2, charged: 3 });
        const both = await charge(part(4), ask(bucket({ counter: 'none' }), { limit: 0 }));
        assert.deepEqual(
          both.map(({ granted }) => granted),
          [true, false],
        );
        assert.deepEqual(shown(await charge1(part(4))), { granted: true, remaining: 0, charged: 2 });
        assert.equal((await charge1(part(4))).granted, false);
      },
    ),
    of('a cost below 0 gives back, and nothing below nothing', async ({ bucket, ask, charge1 }) => {
      const mine = bucket();
      await charge1(ask(mine, { limit: 5, cost: 5 }));
      const back = await charge1(ask(mine, { limit: 5, cost: -3 }));
      assert.deepEqual({ granted: back.granted, remaining: back.remaining }, { granted: true, remaining: 3 });
      assert.equal((await charge1(ask(mine, { limit: 5, cost: -9 }))).remaining, 5);
      assert.equal(
        (await charge1(ask(mine, { limit: 5, cost: 6 }))).granted,
        false,
        'more was given back than was charged',
      );
    }),
    of('a counter that is reset begins anew, and others go on', async ({ opened, bucket, ask, charge1 }) => {
      if (opened.handler.reset === undefined) return;
      const mine = bucket();
      for (const key of ['ann', 'bob']) await charge1(ask(mine, { limit: 5, cost: 4, key }));
      await opened.handler.reset([ask(mine, { limit: 5 })]);
      assert.equal((await charge1(ask(mine, { limit: 5, cost: 0 }))).remaining, 5);
      assert.equal((await charge1(ask(mine, { limit: 5, cost: 0, key: 'bob' }))).remaining, 1);
    }),
    of('a limit of 0 grants nothing', async ({ bucket, ask, charge1 }) => {
      const answer = await charge1(ask(bucket(), { limit: 0 }));
      assert.deepEqual({ granted: answer.granted, remaining: answer.remaining }, { granted: false, remaining: 0 });
    }),
    of('refuses, then grants again when its time is over, by the clock', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      await charge1(ask(mine, { limit: 2, cost: 2 }));
      const over = await charge1(ask(mine, { limit: 2 }));
      assert.equal(over.granted, false);
      opened.clock.advance(over.resetMs - RESET_ROUNDING_MS);
      assert.equal((await charge1(ask(mine, { limit: 2 }))).granted, false, 'granted before the time that it said');
      opened.clock.advance(RESET_ROUNDING_MS + 1);
      assert.equal((await charge1(ask(mine, { limit: 2 }))).granted, true, 'refused after the time that it said');
    }),
    of('keys are apart, and of any text', async ({ bucket, ask, charge1 }) => {
      const mine = bucket();
      for (const key of ['a', 'b', '', 'a b', 'a:b', '{a}', 'ü\n\0', 'x'.repeat(1000)]) {
        assert.equal(
          (await charge1(ask(mine, { limit: 1, key }))).granted,
          true,
          `the key ${JSON.stringify(key.slice(0, 20))} shares its count`,
        );
        assert.equal((await charge1(ask(mine, { limit: 1, key }))).granted, false);
      }
    }),
    of('counters are apart; rules that name one counter share it', async ({ bucket, ask, charge1 }) => {
      assert.equal((await charge1(ask(bucket({ counter: 'one' }), { limit: 1 }))).granted, true);
      assert.equal((await charge1(ask(bucket({ counter: 'other' }), { limit: 1 }))).granted, true);
      assert.equal((await charge1(ask(bucket({ counter: 'one', rule: 'another-rule' }), { limit: 1 }))).granted, false);
    }),
    of('a period that a request brings counts for itself', async ({ bucket, ask, charge1 }) => {
      const mine = bucket();
      assert.equal((await charge1(ask(mine, { limit: 1 }))).granted, true);
      assert.equal((await charge1(ask(mine, { limit: 1, perMs: 1000 }))).granted, true);
      assert.equal((await charge1(ask(mine, { limit: 1 }))).granted, false);
    }),
  ];
}

const near = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) <= RESET_ROUNDING_MS, `resetMs is ${actual}; expected ${expected}`);

function ofWindows(of: Of): Behaviour[] {
  return [
    of(
      'what is given back to a window that is over changes nothing of a later one',
      async ({ opened, bucket, ask, charge1 }) => {
        const mine = bucket();
        const late = async (key: string): Promise<unknown> => {
          const { granted, remaining } = await charge1(
            ask(mine, { limit: 5, cost: -2, key, endsAtMs: opened.clock.nowMs() - 2 * MINUTE_MS }),
          );
          return { granted, remaining };
        };
        assert.deepEqual(await late('never charged'), { granted: true, remaining: 5 });
        await charge1(ask(mine, { limit: 5, cost: 4 }));
        assert.deepEqual(await late('ann'), { granted: true, remaining: 1 });
        assert.equal((await charge1(ask(mine, { limit: 5, cost: 0 }))).remaining, 1);
      },
    ),
  ];
}

function ofFixed(of: Of): Behaviour[] {
  return [
    ...ofWindows(of),
    of('the reset is the end of the window, granted or refused', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      opened.clock.advance(15_000);
      near((await charge1(ask(mine, { limit: 1 }))).resetMs, 45_000);
      opened.clock.advance(5000);
      near((await charge1(ask(mine, { limit: 1 }))).resetMs, 40_000);
    }),
    of('a window ends by the clock, not a period after the first ask', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      opened.clock.advance(59_000);
      assert.equal((await charge1(ask(mine, { limit: 1 }))).granted, true);
      opened.clock.advance(1000);
      assert.equal((await charge1(ask(mine, { limit: 1 }))).granted, true);
    }),
    of('a window that the call names ends when it says', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      const endsAtMs = opened.clock.nowMs() + 100_000; // a minute, and more
      assert.equal((await charge1(ask(mine, { limit: 1, endsAtMs }))).granted, true);
      opened.clock.advance(90_000);
      const over = await charge1(ask(mine, { limit: 1, endsAtMs }));
      assert.equal(over.granted, false);
      near(over.resetMs, 10_000);
      opened.clock.advance(10_001);
      assert.equal((await charge1(ask(mine, { limit: 1, endsAtMs: endsAtMs + 100_000 }))).granted, true);
    }),
    of('a day is a day of UTC', async ({ opened, bucket, ask, charge1 }) => {
      opened.clock.toNextWindow(DAY_MS);
      opened.clock.advance(18 * 3_600_000);
      near((await charge1(ask(bucket({ perMs: DAY_MS }), { limit: 1 }))).resetMs, 6 * 3_600_000);
    }),
  ];
}

function ofGcra(of: Of): Behaviour[] {
  return [
    of('lets a burst pass, then its rate', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      const one = (): Promise<QuotaAnswer> => charge1(ask(mine, { limit: 60, burst: 3 }));
      for (const remaining of [2, 1, 0]) {
        const answer = await one();
        assert.deepEqual({ granted: answer.granted, remaining: answer.remaining }, { granted: true, remaining });
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
    of('the reset of a grant is the time until the bucket is full', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      near((await charge1(ask(mine, { limit: 60, burst: 5, cost: 3 }))).resetMs, 3000);
      opened.clock.advance(1000);
      near((await charge1(ask(mine, { limit: 60, burst: 5, cost: 0 }))).resetMs, 2000);
    }),
    of('a limit that does not divide the period is kept', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      let granted = 0;
      for (let ms = 0; ms < 3 * MINUTE_MS; ms += 100) {
        if ((await charge1(ask(mine, { limit: 7, burst: 1 }))).granted) granted++;
        opened.clock.advance(100);
      }
      assert.equal(granted, 21);
    }),
    of('time that passes unused is not saved beyond the burst', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      await charge1(ask(mine, { limit: 60, burst: 2 }));
      opened.clock.advance(10 * MINUTE_MS);
      const answers: boolean[] = [];
      for (let times = 0; times < 4; times++) answers.push((await charge1(ask(mine, { limit: 60, burst: 2 }))).granted);
      assert.deepEqual(answers, [true, true, false, false]);
    }),
  ];
}

function ofSliding(of: Of): Behaviour[] {
  return [
    ...ofWindows(of),
    of(
      'what was used in the window before counts in part, for as much of it as is within a period',
      async ({ opened, bucket, ask, charge1 }) => {
        const mine = bucket();
        assert.equal((await charge1(ask(mine, { limit: 10, cost: 10 }))).granted, true);
        opened.clock.advance(MINUTE_MS);
        assert.equal((await charge1(ask(mine, { limit: 10 }))).granted, false, 'a burst on both sides of a boundary');
        for (const [ms, remaining] of [
          [15_000, 2],
          [15_000, 5],
          [30_000, 10],
        ] as const) {
          opened.clock.advance(ms);
          assert.equal((await charge1(ask(mine, { limit: 10, cost: 0 }))).remaining, remaining);
        }
      },
    ),
    of('the reset of a grant is the end of the next window', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      opened.clock.advance(15_000);
      near((await charge1(ask(mine, { limit: 5 }))).resetMs, 105_000);
      opened.clock.advance(60_000);
      near((await charge1(ask(mine, { limit: 5, cost: 0 }))).resetMs, 45_000);
    }),
    of('keeps its rate over many windows', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      let granted = 0;
      for (let ms = 0; ms < 5 * MINUTE_MS; ms += 250) {
        if ((await charge1(ask(mine, { limit: 60 }))).granted) granted++;
        opened.clock.advance(250);
      }
      assert.ok(granted >= 280 && granted <= 315, `${granted} in five windows of 60`);
    }),
  ];
}

/** Where each charge is kept. */
function ofLists(of: Of): Behaviour[] {
  return [
    of(
      'after a reset whoever was charged once is charged anew, and refused where it is full',
      async ({ opened, bucket, ask, charge1 }) => {
        if (opened.handler.reset === undefined) return;
        const mine = bucket();
        const take = async (once: string): Promise<boolean> => (await charge1(ask(mine, { limit: 2, once }))).granted;
        assert.deepEqual([await take('a'), await take('b'), await take('c')], [true, true, false]);
        await opened.handler.reset([ask(mine, { limit: 2 })]);
        assert.deepEqual([await take('c'), await take('a'), await take('b')], [true, true, false]);
        assert.deepEqual(
          [await take('c'), await take('a')],
          [true, true],
          'who was charged after it is not known as charged',
        );
      },
    ),
    of(
      'who was charged in part of what is given back is known as charged until all is',
      async ({ bucket, ask, charge1 }) => {
        const mine = bucket();
        const of = (cost: number): QuotaAsk => ask(mine, { limit: 5, cost, once: 'one' });
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
    of('who asks again does not have it for longer', async ({ opened, bucket, ask, charge1 }) => {
      const mine = bucket();
      const take = (): Promise<QuotaAnswer> => charge1(ask(mine, { limit: 1, once: 'one' }));
      await take();
      opened.clock.advance(MINUTE_MS / 2);
      near((await take()).resetMs, MINUTE_MS / 2);
      opened.clock.advance(MINUTE_MS / 2 + 1);
      near((await take()).resetMs, MINUTE_MS);
    }),
    of(
      'whose charge is beyond a debt is let in again, whose debt has been forgotten is refused',
      async ({ bucket, ask, charge1 }) => {
        const mine = bucket();
        for (const once of ['a', 'b', 'c', 'd']) await charge1(ask(mine, { limit: 2, once, owed: true }));
        assert.equal((await charge1(ask(mine, { limit: 2, once: 'd' }))).granted, true);
        assert.equal(
          (await charge1(ask(mine, { limit: 2, once: 'a' }))).granted,
          false,
          'the oldest of a debt lets somebody in',
        );
      },
    ),
  ];
}

function ofLog(of: Of): Behaviour[] {
  return [
    ...ofLists(of),
    of(
      'in no period more than the limit passes, and as much as it in each',
      async ({ opened, bucket, ask, charge1 }) => {
        const mine = bucket();
        const times: number[] = [];
        for (let ms = 0; ms < 4 * MINUTE_MS; ms += 2500) {
          if ((await charge1(ask(mine, { limit: 5 }))).granted) times.push(ms);
          opened.clock.advance(2500);
        }
        assert.equal(times.length, 20);
        for (const from of times)
          assert.ok(
            times.filter((at) => at >= from && at < from + MINUTE_MS).length <= 5,
            `more than 5 in the minute from ${from}`,
          );
      },
    ),
    of(
      'who owes more and more is let in a period after the debt is within the limit',
      async ({ opened, bucket, ask, charge1 }) => {
        const mine = bucket();
        for (let times = 0; times < 200; times++) {
          await charge1(ask(mine, { limit: 3, owed: true }));
          opened.clock.advance(1000);
        }
        assert.equal((await charge1(ask(mine, { limit: 3, cost: 0 }))).granted, false);
        opened.clock.advance(MINUTE_MS - 4000 - RESET_ROUNDING_MS);
        assert.equal((await charge1(ask(mine, { limit: 3, cost: 0 }))).granted, false);
        opened.clock.advance(1000);
        assert.equal((await charge1(ask(mine, { limit: 3, cost: 0 }))).granted, true);
      },
    ),
  ];
}

function ofConcurrency(of: Of): Behaviour[] {
  return [
    ...ofLists(of),
    of('a release that another ask of the call refuses has not been', async ({ bucket, ask, charge, charge1 }) => {
      const mine = bucket({ counter: 'mine' });
      await charge1(ask(mine, { limit: 1, once: 'a' }));
      const both = await charge(
        ask(mine, { limit: 1, once: 'a', cost: 0, release: true }),
        ask(bucket({ counter: 'none' }), { limit: 0, once: 'a' }),
      );
      assert.deepEqual(
        both.map(({ granted, remaining }) => ({ granted, remaining })),
        [
          { granted: true, remaining: 0 },
          { granted: false, remaining: 0 },
        ],
      );
      assert.equal((await charge1(ask(mine, { limit: 1, once: 'b' }))).granted, false);
    }),
    of(
      'a lease that is released is free at once, one that is not when its period is over',
      async ({ opened, bucket, ask, charge1 }) => {
        const mine = bucket();
        const take = async (once: string): Promise<boolean> => (await charge1(ask(mine, { limit: 2, once }))).granted;
        assert.deepEqual([await take('a'), await take('b'), await take('c')], [true, true, false]);
        assert.equal(await take('a'), true, 'who has a lease needs no other');
        await charge1(ask(mine, { limit: 2, once: 'a', cost: 0, release: true }));
        await charge1(ask(mine, { limit: 2, once: 'never', cost: 0, release: true }));
        assert.deepEqual([await take('c'), await take('a')], [true, false]);
        opened.clock.advance(MINUTE_MS + 1);
        assert.deepEqual([await take('a'), await take('d'), await take('e')], [true, true, false]);
      },
    ),
  ];
}

const OWN: Readonly<Record<Algorithm, (of: Of) => Behaviour[]>> = {
  fixed: ofFixed,
  gcra: ofGcra,
  sliding: ofSliding,
  log: ofLog,
  concurrency: ofConcurrency,
};
