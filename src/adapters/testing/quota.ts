/** Behaviours of every adapter that serves `quota`, whatever stores its counters. */
import assert from 'node:assert/strict';
import type { Adapter, Algorithm, QuotaAnswer, QuotaAsk } from '../contract.ts';
import { type Behaviour, ofOpen } from './behaviours.ts';
import { BEHAVIOURS_OF } from './quota-algorithms.ts';
import {
  type QuotaFixture,
  quotaFixture,
  MINUTE_MS,
  type Of,
  type Options,
  RESET_ROUNDING_MS,
  shown,
} from './quota-fixture.ts';
import type { AdapterSubject, QuotaSubject } from './subject.ts';

export function quotaBehaviours(adapter: Adapter, subject: AdapterSubject, example: QuotaSubject): Behaviour[] {
  const algorithms = adapter.serves.quota?.algorithms ?? [];
  const of = (algorithm: Algorithm, says: string, show: (fixture: QuotaFixture) => Promise<void>): Behaviour =>
    ofOpen(adapter, subject, `${algorithm}: ${says}`, async (opened) => {
      opened.clock.toNextWindow(MINUTE_MS);
      await show(quotaFixture(adapter, example, opened, algorithm));
    });
  return algorithms.flatMap((algorithm) => [
    ...ofAnyAlgorithm((says, show) => of(algorithm, says, show)),
    ...BEHAVIOURS_OF[algorithm]((says, show) => of(algorithm, says, show)),
  ]);
}

function ofAnyAlgorithm(of: Of): Behaviour[] {
  return [
    of('grants up to the limit and says what is left, then refuses', async ({ bucket, spend, charge1 }) => {
      const mine = bucket();
      for (const remaining of [2, 1, 0]) {
        const answer = await charge1(spend(mine, { limit: 3 }));
        assert.deepEqual({ ...shown(answer), limit: answer.limit }, { granted: true, limit: 3, remaining });
      }
      const over = await charge1(spend(mine, { limit: 3 }));
      assert.deepEqual({ ...shown(over), limit: over.limit }, { granted: false, limit: 3, remaining: 0 });
      assert.ok(over.resetMs > 0, 'a refusal does not say when to come again');
    }),
    of('never grants more than the limit under 50 concurrent asks', async ({ bucket, spend, charge1 }) => {
      const mine = bucket();
      const answers = await Promise.all(Array.from({ length: 50 }, () => charge1(spend(mine, { limit: 20 }))));
      assert.equal(answers.filter(({ granted }) => granted).length, 20);
    }),
    of('grants all of several asks or charges none', async ({ bucket, spend, look, charge, charge1 }) => {
      const wide = bucket({ counter: 'wide' });
      const narrow = bucket({ counter: 'narrow' });
      const both = (): QuotaAsk[] => [spend(wide, { limit: 10 }), spend(narrow, { limit: 1 })];
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
      assert.equal(refused[0]?.remaining, 9, 'an ask that could pass reports what is left without it');
      await charge(...both().toReversed());
      assert.equal(
        (await charge1(look(wide, { limit: 10 }))).remaining,
        9,
        'a refusal by the narrow one charged the wide one',
      );
    }),
    of('stays all or none under concurrent asks', async ({ bucket, spend, look, charge, charge1 }) => {
      const wide = bucket({ counter: 'wide' });
      const narrow = bucket({ counter: 'narrow' });
      const answers = await Promise.all(
        Array.from({ length: 30 }, () => charge(spend(wide, { limit: 100 }), spend(narrow, { limit: 7 }))),
      );
      assert.equal(answers.filter((both) => both.every(({ granted }) => granted)).length, 7);
      assert.equal((await charge1(look(wide, { limit: 100 }))).remaining, 93);
    }),
    of('a look charges nothing', async ({ bucket, spend, look, charge1 }) => {
      const mine = bucket();
      for (let times = 0; times < 3; times++) assert.equal((await charge1(look(mine, { limit: 5 }))).remaining, 5);
      await charge1(spend(mine, { limit: 5, cost: 2 }));
      const looked = await charge1(look(mine, { limit: 5 }));
      assert.deepEqual(shown(looked), { granted: true, remaining: 3 });
    }),
    of('a cost is charged whole or not at all', async ({ bucket, spend, charge1 }) => {
      const mine = bucket();
      assert.equal((await charge1(spend(mine, { limit: 10, cost: 4 }))).granted, true);
      assert.equal((await charge1(spend(mine, { limit: 10, cost: 4 }))).granted, true);
      const over = await charge1(spend(mine, { limit: 10, cost: 4 }));
      assert.deepEqual(shown(over), { granted: false, remaining: 2 });
      assert.equal((await charge1(spend(mine, { limit: 10, cost: 2 }))).granted, true);
    }),
    of('a debt is charged even beyond the limit', async ({ bucket, look, owe, charge1 }) => {
      const mine = bucket();
      assert.deepEqual(shown(await charge1(owe(mine, { limit: 5, cost: 4 }))), { granted: true, remaining: 1 });
      assert.deepEqual(shown(await charge1(owe(mine, { limit: 5, cost: 4 }))), { granted: true, remaining: 0 });
      assert.equal(
        (await charge1(look(mine, { limit: 5 }))).granted,
        false,
        'granted although the debt is above the limit',
      );
    }),
    of(
      'a repeated idempotency key is not charged again within a period',
      async ({ opened, bucket, spend, charge, charge1 }) => {
        const mine = bucket();
        const of = (idempotencyKey: string, more: Partial<Options> = {}): QuotaAsk =>
          spend(mine, { limit: 10, cost: 4, idempotencyKey, ...more });
        for (let times = 0; times < 3; times++)
          assert.deepEqual(shown(await charge1(of('one'))), {
            granted: true,
            remaining: 6,
          });
        assert.equal((await charge1(of('other'))).remaining, 2);
        assert.equal((await charge1(of('third'))).granted, false, 'a refused ask must not be remembered as charged');
        assert.equal((await charge1(of('third'))).granted, false);
        assert.equal(
          (await charge1(of('one', { cost: 9 }))).granted,
          true,
          'a repeated ask is granted, whatever is left',
        );
        assert.equal((await charge1(of('one', { key: 'bob' }))).remaining, 6, 'another key is charged for itself');
        const both = await charge(
          of('new', { cost: 1 }),
          spend(bucket({ counter: 'narrow' }), { limit: 0, idempotencyKey: 'new' }),
        );
        assert.deepEqual(
          both.map(({ granted }) => granted),
          [true, false],
        );
        assert.equal(
          (await charge1(of('new', { cost: 1 }))).remaining,
          1,
          'an ask refused with another is remembered as charged',
        );
        opened.clock.advance(2 * MINUTE_MS + 1);
        assert.equal((await charge1(of('one'))).remaining, 6, 'after a period it is charged again');
      },
    ),
    of(
      'an idempotency key is forgotten when its charge is given back',
      async ({ bucket, spend, look, giveBack, charge1 }) => {
        const mine = bucket();
        const of = (cost: number) => ({ limit: 5, cost, idempotencyKey: 'one' });
        assert.equal((await charge1(spend(mine, of(4)))).remaining, 1);
        assert.equal((await charge1(giveBack(mine, of(4)))).remaining, 5);
        assert.equal((await charge1(look(mine, { limit: 5, idempotencyKey: 'one' }))).granted, true);
        assert.equal((await charge1(spend(mine, of(3)))).remaining, 2, 'the key is still remembered');
        assert.equal((await charge1(spend(mine, of(3)))).remaining, 2);
      },
    ),
    of(
      'a partial spend charges what is left, and all or none still holds',
      async ({ bucket, spend, charge, charge1 }) => {
        const mine = bucket({ counter: 'mine' });
        const part = (cost: number): QuotaAsk => spend(mine, { limit: 5, cost, partial: true });
        const shown = ({ granted, remaining, charged }: QuotaAnswer): unknown => ({ granted, remaining, charged });
        assert.deepEqual(shown(await charge1(part(3))), { granted: true, remaining: 2, charged: 3 });
        const both = await charge(part(4), spend(bucket({ counter: 'none' }), { limit: 0 }));
        assert.deepEqual(
          both.map(({ granted }) => granted),
          [true, false],
        );
        assert.deepEqual(shown(await charge1(part(4))), { granted: true, remaining: 0, charged: 2 });
        assert.equal((await charge1(part(4))).granted, false);
      },
    ),
    of('gives back what was charged, and no more', async ({ bucket, spend, giveBack, charge1 }) => {
      const mine = bucket();
      await charge1(spend(mine, { limit: 5, cost: 5 }));
      const back = await charge1(giveBack(mine, { limit: 5, cost: 3 }));
      assert.deepEqual(shown(back), { granted: true, remaining: 3 });
      assert.equal((await charge1(giveBack(mine, { limit: 5, cost: 9 }))).remaining, 5);
      assert.equal(
        (await charge1(spend(mine, { limit: 5, cost: 6 }))).granted,
        false,
        'more was given back than was charged',
      );
    }),
    of('a reset clears one counter and leaves the others', async ({ opened, bucket, spend, look, charge1 }) => {
      if (opened.handler.reset === undefined) return;
      const mine = bucket();
      for (const key of ['ann', 'bob']) await charge1(spend(mine, { limit: 5, cost: 4, key }));
      await opened.handler.reset([spend(mine, { limit: 5 })]);
      assert.equal((await charge1(look(mine, { limit: 5 }))).remaining, 5);
      assert.equal((await charge1(look(mine, { limit: 5, key: 'bob' }))).remaining, 1);
    }),
    of('a limit of 0 grants nothing', async ({ bucket, spend, charge1 }) => {
      const answer = await charge1(spend(bucket(), { limit: 0 }));
      assert.deepEqual(shown(answer), { granted: false, remaining: 0 });
    }),
    of('refuses, then grants again when its time is over, by the clock', async ({ opened, bucket, spend, charge1 }) => {
      const mine = bucket();
      await charge1(spend(mine, { limit: 2, cost: 2 }));
      const over = await charge1(spend(mine, { limit: 2 }));
      assert.equal(over.granted, false);
      opened.clock.advance(over.resetMs - RESET_ROUNDING_MS);
      assert.equal((await charge1(spend(mine, { limit: 2 }))).granted, false, 'granted before the time that it said');
      opened.clock.advance(RESET_ROUNDING_MS + 1);
      assert.equal((await charge1(spend(mine, { limit: 2 }))).granted, true, 'refused after the time that it said');
    }),
    of('keys are separate, and may be any text', async ({ bucket, spend, charge1 }) => {
      const mine = bucket();
      for (const key of ['a', 'b', '', 'a b', 'a:b', '{a}', 'ü\n\0', 'x'.repeat(1000)]) {
        assert.equal(
          (await charge1(spend(mine, { limit: 1, key }))).granted,
          true,
          `the key ${JSON.stringify(key.slice(0, 20))} shares its count`,
        );
        assert.equal((await charge1(spend(mine, { limit: 1, key }))).granted, false);
      }
    }),
    of('counters are separate; rules that name the same counter share it', async ({ bucket, spend, charge1 }) => {
      assert.equal((await charge1(spend(bucket({ counter: 'one' }), { limit: 1 }))).granted, true);
      assert.equal((await charge1(spend(bucket({ counter: 'other' }), { limit: 1 }))).granted, true);
      assert.equal(
        (await charge1(spend(bucket({ counter: 'one', rule: 'another-rule' }), { limit: 1 }))).granted,
        false,
      );
    }),
    of('a period set by the request has its own counter', async ({ bucket, spend, charge1 }) => {
      const mine = bucket();
      assert.equal((await charge1(spend(mine, { limit: 1 }))).granted, true);
      assert.equal((await charge1(spend(mine, { limit: 1, perMs: 1000 }))).granted, true);
      assert.equal((await charge1(spend(mine, { limit: 1 }))).granted, false);
    }),
  ];
}
