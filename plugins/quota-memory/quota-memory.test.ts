import { describe, expect, test } from 'vitest';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { type Adapter, type Algorithm, type QuotaAnswer, type QuotaAsk, Rejected } from 'sluice/plugin';
import adapter from './adapter.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

testAdapter(adapter, {
  runner: { describe, test },
  in: ['process', 'protocol', 'grpc'],
  config: {},
  badConfigs: [
    { config: { maxKeys: 0 }, says: /maxKeys/ },
    { config: { maxEntries: 999 }, says: /maxEntries/ },
  ],
});

/** Two workers' handlers that take turns. */
const ofTwoWorkers: Adapter = {
  ...adapter,
  name: 'quota-memory-of-two-workers',
  async open(config, host) {
    const workers = await Promise.all(
      [1, 2].map((number) => adapter.open(config, { ...host, worker: { number, count: 2 } })),
    );
    let turn = 0;
    return {
      bucket: (rule) => workers[0]?.bucket?.(rule),
      charge: (asks: readonly QuotaAsk[], call) => workers[turn++ % 2]?.charge?.(asks, call) ?? [],
      reset: (asks) => workers[turn++ % 2]?.reset?.(asks),
    };
  },
};
testAdapter(ofTwoWorkers, { runner: { describe, test }, config: {} });

test('workers keep at most maxEntries charges, and count those that they evict', async () => {
  const { handler, metrics } = await openForTest(ofTwoWorkers, { config: { maxEntries: 1000 } });
  const bucket = handler.bucket?.({ rule: 'r', counter: 'r', algorithm: 'log', perMs: 60_000, params: undefined });
  for (let key = 0; key < 1007; key++)
    await handler.charge?.(
      [{ kind: 'spend', bucket, key: String(key), cost: 1, limit: 1, burst: 1, perMs: 60_000 }],
      testCall(),
    );
  const forgotten = (await metrics()).matchAll(/^sluice_plugin_quota_memory_entries_evicted_total\{.*\} (\d+)$/gm);
  expect([...forgotten].reduce((sum, [, count]) => sum + Number(count), 0)).toBe(7);
});

describe.each([
  ['one', adapter],
  ['two workers', ofTwoWorkers],
])('in the memory of %s', (_, store) => {
  test.each<Algorithm>(['fixed', 'gcra', 'sliding', 'log', 'concurrency'])(
    '%s: looks, give-backs, releases and resets take no room',
    async (algorithm) => {
      const { handler, metrics } = await openForTest(store, { config: { maxKeys: 1 } });
      const bucket = handler.bucket?.({ rule: 'r', counter: 'r', algorithm, perMs: 60_000, params: undefined });
      const counter = (key: string, idempotencyKey?: string) => ({
        bucket,
        key,
        limit: 1,
        burst: 1,
        perMs: 60_000,
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      });
      const spend = (key: string, cost = 1, once?: string): QuotaAsk => ({
        ...counter(key, once),
        kind: 'spend',
        cost,
      });
      const look = (key: string, once?: string): QuotaAsk => ({ ...counter(key, once), kind: 'look' });
      const giveBack = (key: string, once?: string): QuotaAsk => ({ ...counter(key, once), kind: 'giveBack', cost: 1 });
      const charge = async (...asks: readonly QuotaAsk[]) =>
        (await handler.charge?.(asks, testCall()))?.map(({ granted }) => granted);
      expect(await charge(spend('mine'))).toEqual([true]);
      for (let at = 0; at < 100; at++) {
        const key = `unknown ${at}`;
        expect(await charge(look(key))).toEqual([true]);
        expect(await charge(giveBack(key), look(key, 'ann'), giveBack(key, 'ann'))).toEqual([true, true, true]);
        expect(await charge(spend(key, 2, 'ann'))).toEqual([false]);
        if (algorithm === 'concurrency')
          expect(await charge({ ...counter(key, 'ann'), kind: 'release' })).toEqual([true]);
        await handler.reset?.([look(key)]);
      }
      expect(await charge(spend('mine'))).toEqual([false]);
      expect((await metrics()).match(/evicted_total\{.*\} [1-9]/g)).toBeNull();
    },
  );
});

describe('quota-memory', () => {
  const ask = (bucket: unknown, key: string, of: { cost?: number; limit?: number; perMs?: number } = {}): QuotaAsk => ({
    kind: of.cost === 0 ? 'look' : 'spend',
    bucket,
    key,
    cost: 1,
    limit: 1,
    burst: of.limit ?? 1,
    perMs: 60_000,
    ...of,
  });

  async function open(maxKeys: number) {
    const opened = await openForTest(adapter, { config: { maxKeys } });
    const bucket = (perMs = 60_000, algorithm: Algorithm = 'fixed') =>
      opened.handler.bucket?.({ rule: 'r', counter: 'r', algorithm, perMs, params: undefined });
    const charge = (...asks: readonly ReturnType<typeof ask>[]) => opened.handler.charge?.(asks, testCall());
    const granted = (one: ReturnType<typeof ask>) => (charge(one) as readonly QuotaAnswer[])[0]?.granted;
    return { ...opened, bucket, charge, granted };
  }

  test('answers synchronously', async () => {
    const { bucket, charge } = await open(10);
    expect(charge(ask(bucket(), 'a'))).not.toBeInstanceOf(Promise);
  });

  test('keeps at most maxKeys counters: a new key is Rejected, and it is not ready until there is room', async () => {
    const { bucket, granted, clock, logged, readiness, close } = await open(3);
    const mine = bucket();
    for (const key of ['a', 'b', 'c']) expect(granted(ask(mine, key))).toBe(true);
    for (const key of ['d', 'e']) expect(() => granted(ask(mine, key))).toThrow(Rejected);
    for (const key of ['a', 'b', 'c']) expect(granted(ask(mine, key))).toBe(false);
    expect(readiness()).toEqual({
      ready: false,
      why: expect.stringContaining('all 3 counters are in use (maxKeys)') as unknown,
    });
    clock.advance(60_000);
    await eventually(() => expect(readiness().ready).toBe(true));
    expect(granted(ask(mine, 'd'))).toBe(true);
    expect(logged.map(({ level, message }) => [level, message])).toEqual([
      ['warn', 'there is no room for new counters'],
      ['info', 'there is room for new counters again'],
    ]);
    await close();
  });

  test('a call without room for one of its counters charges none', async () => {
    const { bucket, charge, granted } = await open(2);
    const mine = bucket();
    expect(granted(ask(mine, 'a', { limit: 2 }))).toBe(true);
    expect(() => charge(ask(mine, 'a', { limit: 2 }), ask(mine, 'b'), ask(mine, 'c'))).toThrow(Rejected);
    expect([granted(ask(mine, 'a', { limit: 2 })), granted(ask(mine, 'a', { limit: 2 }))]).toEqual([true, false]);
    expect(granted(ask(mine, 'b'))).toBe(true);
  });

  test.each([
    ['one', adapter],
    ['two workers', ofTwoWorkers],
  ])('in the memory of %s, new keys of one rule evict no counter of another', async (_, store) => {
    const { handler, close } = await openForTest(store, { config: { maxKeys: 1000 } });
    const bucket = (counter: string, perMs: number) =>
      handler.bucket?.({ rule: counter, counter, algorithm: 'fixed', perMs, params: undefined });
    const [login, search] = [bucket('login', 60_000), bucket('search', 86_400_000)];
    const granted = async (of: unknown, key: string, limit: number, perMs: number): Promise<unknown> => {
      try {
        return (
          await handler.charge?.([{ kind: 'spend', bucket: of, key, cost: 1, limit, burst: limit, perMs }], testCall())
        )?.[0]?.granted;
      } catch (error) {
        return error instanceof Rejected ? 'rejected' : error;
      }
    };
    for (let name = 0; name < 5000; name++) await granted(search, `u${name}`, 1000, 86_400_000);
    let passed = 0;
    for (let call = 0; call < 30; call++) {
      await granted(search, `late${call}`, 1000, 86_400_000);
      if ((await granted(login, '10.0.0.1', 5, 60_000)) === true) passed++;
    }
    expect(passed).toBe(5);
    await close();
  });

  test('ended windows make room, and no counter in use is evicted', async () => {
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

  test.each(['fixed', 'gcra', 'sliding', 'log', 'concurrency'] as const)(
    '%s: a clock that is set back grants nothing twice',
    async (algorithm) => {
      const { bucket, granted, clock } = await open(10);
      const mine = bucket(60_000, algorithm);
      expect(granted(ask(mine, 'a'))).toBe(true);
      clock.set(clock.nowMs() - 3_600_000);
      expect(granted(ask(mine, 'a'))).toBe(false);
    },
  );

  test.each(['gcra', 'log', 'concurrency'] as const)(
    '%s: a clock that is set back by half a minute changes nothing',
    async (algorithm) => {
      const { bucket, granted, clock } = await open(10);
      const mine = bucket(60_000, algorithm);
      expect(granted(ask(mine, 'a'))).toBe(true);
      clock.set(clock.nowMs() - 30_000);
      clock.advance(59_000);
      expect(granted(ask(mine, 'a'))).toBe(false);
      clock.advance(1001);
      expect(granted(ask(mine, 'a'))).toBe(true);
    },
  );

  test('long keys and idempotency keys take no more memory than short ones', async () => {
    const { bucket, charge, granted } = await open(100_000);
    const buckets = (['fixed', 'gcra', 'log'] as const).map((algorithm) => bucket(60_000, algorithm));
    const long = (at: number, text: string): string => `${at}${text.repeat(50_000)}`;
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let at = 0; at < 10_000; at++) {
      const mine = buckets[at % buckets.length];
      void charge({ ...ask(mine, long(at, 'u')), idempotencyKey: long(at, 'm') });
    }
    collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024); // the keys are a gigabyte
    expect(granted(ask(buckets[0], long(0, 'u')))).toBe(false);
    expect(granted(ask(buckets[0], long(1, 'u')))).toBe(true);
  }, 60_000);
});
