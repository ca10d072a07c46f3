/** Large policies whose parts need each other: each need is looked at once, and calls are answered in between. */
import { expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { type LoadedPolicy, loadPolicyText } from '../../../src/core/rules/load.ts';
import { orderOfNeed } from '../../../src/core/rules/order-of-need.ts';
import { needsOf } from '../../../src/envoy/needs.ts';
import { TimeSlice } from '../../../src/time/time-slice.ts';
import { turnsByLooks } from '../../parts/loop-turns.ts';

const adapters = await loadBuiltIns();
const load = (text: string): Promise<LoadedPolicy> =>
  loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
const lines = (count: number, line: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => line(at)).join('');

/** Counts how often it is gone through. */
class Counted extends Array<number> {
  static visits = 0;
  override [Symbol.iterator](): ArrayIterator<number> {
    Counted.visits += 1;
    return super[Symbol.iterator]();
  }
}

test.each([
  ['each needs the one after it', (at: number) => [at + 1]],
  ['each needs the one before it', (at: number) => [at - 1]],
  ['all need the last', () => [9999]],
])('%s: each list of needs is gone through once', async (_, needed) => {
  const numbers = Array.from({ length: 10_000 }, (_item, at) => at);
  const needs = new Map(
    numbers.map((at) => [at, Counted.from(needed(at).filter((one) => one !== at && numbers.includes(one)))]),
  );
  Counted.visits = 0;
  let order: readonly number[] = [];
  const turns = await turnsByLooks(async () => {
    ({ ordered: order } = await orderOfNeed(needs, new TimeSlice()));
  });
  expect(Counted.visits).toBe(10_000);
  expect(turns).toBeGreaterThan(1000);
  const place = new Map(order.map((item, at) => [item, at]));
  const placeOf = (item: number): number => place.get(item) ?? -1;
  expect(order.filter((item) => needs.get(item)?.some((one) => placeOf(one) > placeOf(item)))).toEqual([]);
  expect(order.length).toBe(10_000);
});

test('what needs itself, or such a one, has no place', async () => {
  const needs = new Map([
    ['a', ['b']],
    ['b', ['a']],
    ['c', ['b', 'd']],
    ['d', []],
    ['e', ['e']],
  ]);
  expect(await orderOfNeed(needs, new TimeSlice())).toEqual({ ordered: ['d'], cyclic: ['a', 'b', 'c', 'e'] });
});

const ofTwo = (first: string): string =>
  `attributes:\n  my.x0: { is: ${first} }\n  my.x1: { is: ${first} }\n` +
  lines(90, (at) => `  my.x${at + 2}: { is: my.x${at} + my.x${at + 1} }\n`);

test('2^n ways through named expressions are not walked', async () => {
  const { policy, findings } = await load(
    `${ofTwo('request.path')}rules:\n  - { name: a, match: 'my.x91 == "a"', deny: { body: "\${my.x91}" } }\n`,
  );
  expect(findings).toEqual([]);
  if (policy === undefined) throw new Error('no policy');
  expect((await needsOf(policy)).has('http')).toBe(true);
});

test('2^n ways to a secret are one finding', async () => {
  const { findings } = await load(
    `${ofTwo(`'request.headers[?"cookie"].orValue("")'`)}rules:\n  - { name: a, deny: { body: "\${my.x91}" } }\n`,
  );
  expect(findings.map(({ code }) => code)).toEqual(['RULES_SECRET_IN_TEXT']);
  expect(findings[0]?.message.match(/my\.x1 \(of request\.headers\["cookie"\]\)/g)?.length).toBe(1);
});

test.each([
  ['first comes first', (at: number) => `  my.x${at + 1}: { is: my.x${at} }\n`, 'my.x0', 1000],
  ['last comes first', (at: number) => `  my.x${at}: { is: my.x${at + 1} }\n`, 'my.x1200', 200],
])('1000 named expressions may stand in a row, not more: the %s', async (_, line, end, at) => {
  const { findings } = await load(
    `attributes:\n  ${end}: { is: request.path }\n${lines(1200, line)}rules:\n  - { name: a, match: 'my.x${at} == "a"', deny: {} }\n`,
  );
  expect(findings.map(({ code, message }) => `${code} ${message}`)).toEqual([
    `RULES_ATTRIBUTE_CYCLE my.x${at} is the end of more than 1000 named expressions, each of which reads the one before; write some of them in one`,
  ]);
});

test.each([
  [
    'enrich rules',
    `handlers:\n  t: { adapter: enrich-table, config: { file: t.csv, key: k, columns: { plan: string } } }\n` +
      `rules:\n${lines(1000, (at) => `  - { name: e-${at}, enrich: { handler: t, input: { key: my.e${at + 1}.?plan.orValue("") }, as: my.e${at} } }\n`)}` +
      '  - { name: last, enrich: { handler: t, input: { key: request.path }, as: my.e1000 } }\n',
    700,
  ],
  [
    'attributes',
    `attributes:\n${lines(3000, (at) => `  my.x${at}: { type: string, from: { contextExtension: x${at} } }\n`)}rules:\n  - { name: a, deny: {} }\n`,
    700,
  ],
])('%s are read in slices', async (_, text, least) => {
  let loaded: LoadedPolicy | undefined;
  const turns = await turnsByLooks(async () => {
    loaded = await load(text);
  });
  expect(loaded?.findings).toEqual([]);
  expect(turns).toBeGreaterThan(least);
});
