/** Behaviours of every store of counters, whatever the algorithm. */
import assert from 'node:assert/strict';
import type { QuotaAnswer, QuotaAsk } from '../contract.ts';
import { type AskOptions, type CounterBehaviours, grants, MINUTE_MS, outcome, RESET_ROUNDING_MS } from './counters.ts';

export const OF_EVERY_ALGORITHM: CounterBehaviours = {
  async 'grants up to the limit and says what is left, then refuses'({ counter }) {
    const { spend } = counter({ limit: 3 });
    for (const remaining of [2, 1, 0]) {
      const answer = await spend();
      assert.deepEqual({ ...outcome(answer), limit: answer.limit }, { granted: true, remaining, limit: 3 });
    }
    const over = await spend();
    assert.deepEqual({ ...outcome(over), limit: over.limit }, { granted: false, remaining: 0, limit: 3 });
    assert.ok(over.resetMs > 0, 'a refusal does not say when to come again');
  },

  async 'a limit of 0 grants nothing'({ counter }) {
    assert.deepEqual(outcome(await counter({ limit: 0 }).spend()), { granted: false, remaining: 0 });
  },

  async 'never grants more than the limit to 500 concurrent asks'({ counter }) {
    const { spend } = counter({ limit: 123 });
    const answers = await Promise.all(Array.from({ length: 500 }, () => spend()));
    assert.equal(answers.filter(({ granted }) => granted).length, 123);
  },

  async 'a refusal says when the ask could pass, by the clock'({ clock, counter }) {
    const { spend } = counter({ limit: 2 });
    await spend({ cost: 2 });
    const over = await spend();
    assert.equal(over.granted, false);
    clock.advance(over.resetMs - RESET_ROUNDING_MS);
    assert.equal((await spend()).granted, false, 'granted before its reset');
    clock.advance(RESET_ROUNDING_MS + 1);
    assert.equal((await spend()).granted, true, 'refused after its reset');
  },

  async 'a cost is charged whole or not at all'({ counter }) {
    const { spend } = counter({ limit: 10 });
    assert.deepEqual(grants([await spend({ cost: 4 }), await spend({ cost: 4 })]), [true, true]);
    assert.deepEqual(outcome(await spend({ cost: 4 })), { granted: false, remaining: 2 });
    assert.equal((await spend({ cost: 2 })).granted, true);
  },

  async 'a partial spend charges what is left, and all or none still holds'({ counter, charge }) {
    const mine = counter({ limit: 5 });
    const shown = ({ granted, remaining, charged }: QuotaAnswer): unknown => ({ granted, remaining, charged });
    const part = (cost: number) => mine.spend({ cost, partial: true });
    assert.deepEqual(shown(await part(3)), { granted: true, remaining: 2, charged: 3 });
    const none = counter({ counter: 'none', limit: 0 });
    const both = await charge(mine.ask('spend', { cost: 4, partial: true }), none.ask('spend'));
    assert.deepEqual(grants(both), [true, false]);
    assert.deepEqual(shown(await part(4)), { granted: true, remaining: 0, charged: 2 });
    assert.equal((await part(4)).granted, false);
  },

  async 'a look charges nothing'({ counter }) {
    const { look, spend } = counter({ limit: 5 });
    for (let times = 0; times < 3; times++) assert.equal((await look()).remaining, 5);
    await spend({ cost: 2 });
    for (let times = 0; times < 3; times++) assert.deepEqual(outcome(await look()), { granted: true, remaining: 3 });
  },

  async 'a debt is charged even beyond the limit'({ counter }) {
    const { look, owe } = counter({ limit: 5 });
    assert.deepEqual(outcome(await owe({ cost: 4 })), { granted: true, remaining: 1 });
    assert.deepEqual(outcome(await owe({ cost: 4 })), { granted: true, remaining: 0 });
    assert.equal((await look()).granted, false, 'granted although the debt is above the limit');
  },

  async 'gives back what was charged'({ counter }) {
    const { spend, giveBack } = counter({ limit: 5 });
    await spend({ cost: 5 });
    assert.deepEqual(outcome(await giveBack({ cost: 3 })), { granted: true, remaining: 3 });
    assert.deepEqual(grants([await spend({ cost: 3 }), await spend()]), [true, false]);
  },

  async 'grants all of several asks or charges none'({ counter, charge }) {
    const wide = counter({ counter: 'wide', limit: 10 });
    const both = () => [wide.ask('spend'), counter({ counter: 'narrow', limit: 1 }).ask('spend')];
    assert.deepEqual(grants(await charge(...both())), [true, true]);
    const refused = await charge(...both());
    assert.deepEqual(grants(refused), [true, false], 'each answer says whether its own ask could pass');
    assert.equal(refused[0]?.remaining, 9, 'an ask that could pass reports what is left without it');
    await charge(...both().toReversed());
    assert.equal((await wide.look()).remaining, 9, 'a refusal by the narrow counter charged the wide one');
  },

  async 'stays all or none under concurrent asks'({ counter, charge }) {
    const wide = counter({ counter: 'wide', limit: 100 });
    const narrow = counter({ counter: 'narrow', limit: 7 });
    const answers = await Promise.all(Array.from({ length: 30 }, () => charge(wide.ask('spend'), narrow.ask('spend'))));
    assert.equal(answers.filter((both) => both.every(({ granted }) => granted)).length, 7);
    assert.equal((await wide.look()).remaining, 93);
  },

  async 'two asks of one counter in a call are both charged or neither'({ counter, charge }) {
    const mine = counter({ limit: 3 });
    const both = () => charge(mine.ask('spend'), mine.ask('spend'));
    assert.deepEqual((await both()).map(outcome), [
      { granted: true, remaining: 2 },
      { granted: true, remaining: 1 },
    ]);
    assert.deepEqual(grants(await both()), [true, false]);
    assert.equal((await mine.look()).remaining, 1);
  },

  async 'asks for several keys are all charged or none'({ counter, charge }) {
    const { ask } = counter({ limit: 5 });
    const keys = Array.from({ length: 8 }, (_, at) => `user ${at}`);
    const left = async (...asks: readonly QuotaAsk[]) =>
      (await charge(...asks)).map(({ granted, remaining }) => (granted ? remaining : 'refused'));
    const spends = keys.map((key) => ask('spend', { key }));
    const full = ask('spend', { key: 'full', limit: 0 });
    assert.deepEqual(await left(...spends), Array(8).fill(4));
    assert.deepEqual(await left(...spends, full), [...Array(8).fill(4), 'refused']);
    assert.deepEqual(await left(...keys.map((key) => ask('look', { key }))), Array(8).fill(4));
    const once = ask('spend', { key: 'user 1', idempotencyKey: 'id' });
    assert.deepEqual(await left(once, full), [4, 'refused']);
    for (let times = 0; times < 2; times++)
      assert.deepEqual(await left(once, { ...once, key: 'user 2' }), [3, 3], 'not charged, or charged again');
    assert.deepEqual(await left(once, full), [3, 'refused']);
    assert.deepEqual(await left(ask('look', { key: 'user 1' })), [3], 'a refused call gave back an earlier charge');
  },

  async 'a repeated idempotency key is not charged again within a period'({ clock, counter, charge }) {
    const { ask, spend } = counter({ limit: 10 });
    const once = (idempotencyKey: string, more: AskOptions = {}) => spend({ cost: 4, idempotencyKey, ...more });
    for (let times = 0; times < 3; times++)
      assert.deepEqual(outcome(await once('one')), { granted: true, remaining: 6 });
    assert.equal((await once('other')).remaining, 2);
    for (let times = 0; times < 2; times++)
      assert.equal((await once('third')).granted, false, 'a refused ask is remembered as charged');
    assert.equal((await once('one', { cost: 9 })).granted, true, 'a repeated ask needs room');
    assert.equal((await once('one', { key: 'bob' })).remaining, 6, 'another key is not charged');
    const narrow = counter({ counter: 'narrow', limit: 0 });
    const both = await charge(ask('spend', { idempotencyKey: 'new' }), narrow.ask('spend', { idempotencyKey: 'new' }));
    assert.deepEqual(grants(both), [true, false]);
    assert.equal((await once('new', { cost: 1 })).remaining, 1, 'an ask refused with another is remembered as charged');
    clock.advance(2 * MINUTE_MS + 1);
    assert.equal((await once('one')).remaining, 6, 'after a period it is not charged again');
  },

  async 'an idempotency key is forgotten when its charge is given back'({ counter }) {
    const { spend, look, giveBack } = counter({ limit: 5 });
    const of = (cost: number): AskOptions => ({ cost, idempotencyKey: 'one' });
    assert.equal((await spend(of(4))).remaining, 1);
    assert.equal((await giveBack(of(4))).remaining, 5);
    assert.equal((await look({ idempotencyKey: 'one' })).granted, true);
    assert.equal((await spend(of(3))).remaining, 2, 'it is not charged again');
    assert.equal((await spend(of(3))).remaining, 2);
  },

  async 'keys are separate, and may be any text'({ counter }) {
    const { spend } = counter({ limit: 1 });
    for (const key of ['a', 'b', '', 'a b', 'a:b', 'a\r\nb', '{a}', 'ü\n\0', 'x'.repeat(1000)]) {
      const shown = JSON.stringify(key.slice(0, 20));
      assert.equal((await spend({ key })).granted, true, `the key ${shown} shares its count`);
      assert.equal((await spend({ key })).granted, false, `the key ${shown} is not counted`);
    }
  },

  async 'counters are separate; rules that name the same counter share it'({ counter }) {
    const granted = async (name: string, rule: string) =>
      (await counter({ counter: name, rule, limit: 1 }).spend()).granted;
    assert.deepEqual(
      [await granted('one', 'a-rule'), await granted('other', 'a-rule'), await granted('one', 'another-rule')],
      [true, true, false],
    );
  },

  async 'a period set by the request has its own counter'({ counter }) {
    const { spend } = counter({ limit: 1 });
    assert.deepEqual(grants([await spend(), await spend({ perMs: 1000 }), await spend()]), [true, true, false]);
  },

  async 'a reset clears one counter and leaves the others'({ counter, reset }) {
    if (reset === undefined) return;
    const { ask, spend, look } = counter({ limit: 5 });
    for (const key of ['ann', 'bob']) await spend({ cost: 4, key });
    await reset(ask('look'));
    assert.equal((await look()).remaining, 5);
    assert.equal((await look({ key: 'bob' })).remaining, 1);
  },
};
