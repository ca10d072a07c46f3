import { describe, expect, test } from 'vitest';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import type { Adapter, Algorithm, QuotaAnswer, QuotaAsk } from 'sluice/plugin';
import adapter from './adapter.ts';

testAdapter(adapter, {
  runner: { describe, test },
  config: {},
  badConfigs: [{ config: { maxKeys: 0 }, says: /maxKeys/ }, { config: { maxEntries: 999 }, says: /maxEntries/ }],
});

/** Two workers' handlers that take turns. */
const ofTwoWorkers: Adapter = {
  ...adapter,
  name: 'quota-memory-of-two-workers',
  async open(config, host) {
    const workers = await Promise.all([1, 2].map((number) => adapter.open(config, { ...host, worker: { number, count: 2 } })));
    let turn = 0;
    return {
      bucket: (rule) => workers[0]?.bucket?.(rule),
      charge: (asks: readonly QuotaAsk[], call) => workers[turn++ % 2]?.charge?.(asks, call) ?? [],
      reset: (asks) => workers[turn++ % 2]?.reset?.(asks),
    };
  },
};
testAdapter(ofTwoWorkers, { runner: { describe, test }, config: {} });

test('several workers remember no more than maxEntries charges, and count what they forget', async () => {
  const { handler, metrics } = await openForTest(ofTwoWorkers, { config: { maxEntries: 1000 } });
  const bucket = handler.bucket?.({ rule: 'r', counter: 'r', algorithm: 'log', perMs: 60_000, params: undefined });
  for (let key = 0; key < 1007; key++) await handler.charge?.([{ bucket, key: String(key), cost: 1, limit: 1, burst: 1, perMs: 60_000 }], testCall());
  const forgotten = (await metrics()).matchAll(/^sluice_plugin_quota_memory_entries_evicted_total\{.*\} (\d+)$/gm);
  expect([...forgotten].reduce((sum, [, count]) => sum + Number(count), 0)).toBe(7);
});

describe.each([['one', adapter], ['two workers', ofTwoWorkers]])('in the memory of %s', (_, store) => {
  test.each<Algorithm>(['fixed', 'gcra', 'sliding', 'log', 'concurrency'])('%s: looking, giving back, releasing and resetting take nobody\'s room', async (algorithm) => {
    const { handler, metrics } = await openForTest(store, { config: { maxKeys: 1 } });
    const bucket = handler.bucket?.({ rule: 'r', counter: 'r', algorithm, perMs: 60_000, params: undefined });
    const ask = (key: string, more: Partial<QuotaAsk> = {}): QuotaAsk => ({ bucket, key, cost: 1, limit: 1, burst: 1, perMs: 60_000, ...more });
    const charge = async (...asks: readonly QuotaAsk[]) => (await handler.charge?.(asks, testCall()))?.map(({ granted }) => granted);
    expect(await charge(ask('mine'))).toEqual([true]);
    for (let at = 0; at < 100; at++) {
      const key = `unknown ${at}`;
      expect(await charge(ask(key, { cost: 0 }))).toEqual([true]);
      expect(await charge(ask(key, { cost: -1 }), ask(key, { cost: 0, once: 'ann' }), ask(key, { cost: -1, once: 'ann' }))).toEqual([true, true, true]);
      expect(await charge(ask(key, { cost: 2, once: 'ann' }))).toEqual([false]);
      if (algorithm === 'concurrency') expect(await charge(ask(key, { cost: 0, once: 'ann', release: true }))).toEqual([true]);
      await handler.reset?.([ask(key)]);
    }
    expect(await charge(ask('mine'))).toEqual([false]);
    expect((await metrics()).match(/evicted_total\{.*\} [1-9]/g)).toBeNull();
  });
});

describe('quota-memory', () => {
  const ask = (bucket: unknown, key: string, of: { cost?: number; limit?: number; perMs?: number } = {}) =>
    ({ bucket, key, cost: 1, limit: 1, burst: of.limit ?? 1, perMs: 60_000, ...of });

  async function open(maxKeys: number) {
    const opened = await openForTest(adapter, { config: { maxKeys } });
    const bucket = (perMs = 60_000, algorithm: 'fixed' | 'gcra' = 'fixed') =>
      opened.handler.bucket?.({ rule: 'r', counter: 'r', algorithm, perMs, params: undefined });
    const charge = (...asks: readonly ReturnType<typeof ask>[]) => opened.handler.charge?.(asks, testCall());
    const granted = (one: ReturnType<typeof ask>) => (charge(one) as readonly QuotaAnswer[])[0]?.granted;
    return { ...opened, bucket, charge, granted };
  }

  test('answers at once, without a promise', async () => {
    const { bucket, charge } = await open(10);
    expect(charge(ask(bucket(), 'a'))).not.toBeInstanceOf(Promise);
  });

  test('keeps no more than maxKeys: the oldest starts anew, and is counted', async () => {
    const { bucket, granted, metrics } = await open(3);
    const mine = bucket();
    for (const key of ['a', 'b', 'c']) expect(granted(ask(mine, key))).toBe(true);
    expect(granted(ask(mine, 'a'))).toBe(false);
    expect(granted(ask(mine, 'd'))).toBe(true);
    expect(granted(ask(mine, 'b'))).toBe(false);
    expect(granted(ask(mine, 'a')), 'a was the oldest').toBe(true);
    expect(await metrics()).toContain('sluice_plugin_quota_memory_evicted_total{handler="tested"} 2');
  });

  test('a full shelf of short windows does not push out a long one', async () => {
    const { bucket, granted } = await open(2);
    const [day, minute] = [bucket(86_400_000), bucket()];
    expect(granted(ask(day, 'a', { perMs: 86_400_000 }))).toBe(true);
    for (const key of ['b', 'c', 'd']) expect(granted(ask(minute, key))).toBe(true);
    expect(granted(ask(day, 'a', { perMs: 86_400_000 }))).toBe(false);
  });

  test('windows that are over make room, nothing in use is forgotten', async () => {
    const { bucket, granted, clock, metrics } = await open(4);
    const [fixed, gcra] = [bucket(), bucket(60_000, 'gcra')];
    for (let minute = 0; minute < 20; minute++) {
      for (const key of ['a', 'b']) {
        expect(granted(ask(fixed, `${key}${minute}`))).toBe(true);
        expect(granted(ask(gcra, `${key}${minute}`))).toBe(true);
      }
      clock.advance(60_000);
    }
    expect(await metrics()).toContain('sluice_plugin_quota_memory_evicted_total{handler="tested"} 0');
  });

  test('one counter asked twice in a call is charged twice or not at all', async () => {
    const { bucket, charge } = await open(10);
    const mine = bucket();
    const granted = (...asks: readonly ReturnType<typeof ask>[]) => (charge(...asks) as readonly QuotaAnswer[]).map(({ granted: one, remaining }) => [one, remaining]);
    expect(granted(ask(mine, 'a', { limit: 3 }), ask(mine, 'a', { limit: 3 }))).toEqual([[true, 2], [true, 1]]);
    expect(granted(ask(mine, 'a', { limit: 3 }), ask(mine, 'a', { limit: 3 })).map(([one]) => one)).toEqual([true, false]);
    expect(granted(ask(mine, 'a', { limit: 3, cost: 0 }))).toEqual([[true, 1]]);
  });

  test('a clock that is set back does not give the window again', async () => {
    const { bucket, granted, clock } = await open(10);
    const mine = bucket();
    expect(granted(ask(mine, 'a'))).toBe(true);
    clock.advance(-90_000);
    expect(granted(ask(mine, 'a'))).toBe(false);
  });
});
