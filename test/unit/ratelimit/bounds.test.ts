/** Values that clients choose are bounded: keys, hits, the number of counters. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Rejected } from 'sluice/plugin';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { OutageLog } from '../../../src/adapters/outage-log.ts';
import { ServiceError } from '../../../src/ratelimit/call.ts';
import { LocalCache } from '../../../src/ratelimit/charge/local-cache.ts';
import { Guard } from '../../../src/ratelimit/charge/guard.ts';
import { type CountAsk, EscrowCounts, MemoryCounts } from '../counting/window-counts.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const clock = { nowMs: 0 };
const nowMs = (): number => clock.nowMs;
const ask = (key: string, group = '', hits = 1): CountAsk => ({
  key,
  group,
  hits,
  limit: 5,
  keptS: 60,
  endsAtS: 60,
  usedUntilS: 60,
});
const long = (at: number): string => `${at}${'u'.repeat(50_000)}`;

describe('counters in memory', () => {
  test('of a limit push out none of another, and what finds no room fails', () => {
    let full = 0;
    const store = new MemoryCounts({
      maxKeys: 1000,
      nowMs,
      onFull: () => {
        full++;
      },
    });
    for (let at = 0; at < 1000; at++) store.add([ask(`search ${at}`, 'search')]);
    expect(() => store.add([ask('search more', 'search')])).toThrow(ServiceError);
    expect(full).toBe(1);
    const counts: number[] = [];
    for (let call = 0; call < 30; call++) {
      try {
        store.add([ask(`search late ${call}`, 'search')]);
      } catch {
        /* no room for it */
      }
      counts.push(...store.add([ask('login', 'login')]));
    }
    expect(counts).toEqual(Array.from({ length: 30 }, (_, call) => call + 1));
    expect([store.pool.size, store.evicted]).toEqual([1000, 1]);
  });

  test('that are over make room', () => {
    const store = new MemoryCounts({ maxKeys: 10, nowMs });
    for (let window = 0; window < 20; window++) {
      clock.nowMs = window * 60_000;
      for (let at = 0; at < 5; at++) store.add([{ ...ask(`${window} ${at}`), usedUntilS: (window + 1) * 60 }]);
    }
    clock.nowMs = 0;
    expect(store.evicted).toBe(0);
  });

  test('while Redis is away the oldest goes for a new one', () => {
    const store = new MemoryCounts({ maxKeys: 10, nowMs, whenFull: 'evict' });
    for (let at = 0; at < 100; at++) expect(store.add([ask(String(at))])).toEqual([1]);
    expect(store.pool.size).toBe(10);
  });

  test('hits beyond all limits leave a counter that can be counted on', () => {
    const store = new MemoryCounts({ maxKeys: 10, nowMs });
    for (let call = 0; call < 1024; call++) store.add([ask('k', '', Number.MAX_SAFE_INTEGER)]);
    const [before = 0] = store.look(['k']);
    expect(store.add([ask('k')])).toEqual([before + 1]);
  });
});

test.each<[string, () => (key: string) => unknown]>([
  [
    'counters in memory',
    () => {
      const store = new MemoryCounts({ maxKeys: 1_000_000, nowMs });
      return (key) => store.add([ask(key)]);
    },
  ],
  [
    'counters while Redis is away',
    () => {
      const store = new MemoryCounts({ maxKeys: 100_000, nowMs, whenFull: 'evict' });
      return (key) => store.add([ask(key)]);
    },
  ],
  [
    'windows that are over',
    () => {
      const over = new LocalCache(16 * 1024 * 1024);
      return (key) => over.set(key, true, 60, 0);
    },
  ],
  [
    'units that are held',
    () => {
      const store = new EscrowCounts(new MemoryCounts({ maxKeys: 1_000_000, nowMs }), { nowMs });
      return (key) => store.add([ask(key)]);
    },
  ],
])(
  '%s: 10 000 keys of 50 KB take no more memory than is said',
  async (_name, make) => {
    const add = make();
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let at = 0; at < 10_000; at++) await add(long(at));
    collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024); // the keys are half a gigabyte
  },
  60_000,
);

test('a look at idle leases goes round them once', () => {
  const looked: number[] = [];
  const nowOf = (): number => {
    looked.push(1);
    return 0;
  };
  const store = new EscrowCounts(new MemoryCounts({ maxKeys: 10, nowMs }), { nowMs: nowOf });
  void store.add([ask('k')]);
  looked.length = 0;
  store.giveBackIdle();
  expect(looked).toHaveLength(1);
});

describe('a guard', () => {
  afterEach(() => vi.useRealTimers());

  test('logs a node that few calls need once it fails again within ten minutes, and its return', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const lines: string[] = [];
    const line = (message: string): void => void lines.push(message);
    const log = { debug: line, info: line, warn: line, error: line };
    const guard = new Guard({ timeoutMs: 1000, outage: new OutageLog(log, {}) });
    const call = async (isAway: boolean, afterS: number): Promise<void> => {
      vi.advanceTimersByTime(afterS * 1000);
      await guard.ask(async () => (isAway ? Promise.reject(new Error('ECONNREFUSED')) : 7)).catch(() => undefined);
    };
    await call(true, 1);
    for (let at = 0; at < 20; at++) await call(false, 1);
    await call(true, 600);
    expect(lines).toEqual([]);
    for (let at = 0; at < 20; at++) await call(false, 1);
    await call(true, 300);
    expect(lines).toEqual(['Redis does not answer some calls']);
    for (let at = 0; at < 5; at++) await call(false, 5).then(async () => call(true, 5));
    expect(lines).toEqual(['Redis does not answer some calls']);
    for (let at = 0; at < 20; at++) await call(false, 5);
    expect(lines).toEqual(['Redis does not answer some calls', 'Redis answers again']);
    await call(true, 1);
    expect(lines).toHaveLength(2);
    expect(guard.breaker.state).toBe('closed');
  });

  test('whose half-open try throws at once lets another one try', async () => {
    const guard = new Guard({ timeoutMs: 1000 });
    const fault = (): never => {
      throw new Error('a fault');
    };
    await expect
      .poll(async () =>
        Promise.resolve(guard.ask(fault)).then(
          () => 'closed',
          () => guard.breaker.state,
        ),
      )
      .toBe('open');
    await expect.poll(() => guard.breaker.state).toBe('half-open');
    await expect(guard.ask(fault)).rejects.toThrow('a fault');
    await expect.poll(() => guard.breaker.state).toBe('half-open');
    expect(await guard.ask(async () => 7)).toBe(7);
    expect(guard.breaker.state).toBe('closed');
  });

  test('counts no trip that throws or is late as waiting, and lets a late answer end the silence', async () => {
    const guard = new Guard({ timeoutMs: 20 });
    const fault = (): never => {
      throw new Error('a fault');
    };
    await expect(guard.ask(fault, 40)).rejects.toThrow('Redis: a fault');
    expect(guard.times.pending).toBe(0);
    const { promise, resolve } = Promise.withResolvers<number>();
    await expect(guard.ask(async () => promise, 3)).rejects.toThrow('no answer for 20 ms');
    expect(guard.times.pending).toBe(0);
    const before = guard.times.silentSinceMs;
    const other = guard.ask(async () =>
      promise.then(async (value) => new Promise<number>((done) => setTimeout(done, 5, value))),
    );
    resolve(7);
    expect(await other).toBe(7);
    expect(guard.times.silentSinceMs).toBeGreaterThan(before);
    expect(guard.times.pending).toBe(0);
    expect(guard.breaker.state).toBe('closed');
  });

  test('does not open for what Redis refuses of one key', async () => {
    const guard = new Guard({ timeoutMs: 1000 });
    const refused = new Rejected('WRONGTYPE Operation against a key holding the wrong kind of value');
    const untilMs = performance.now() + 200; // failures over 100 ms open it
    while (performance.now() < untilMs)
      await expect(guard.ask(async () => Promise.reject(refused))).rejects.toThrow('WRONGTYPE');
    expect(guard.breaker.state).toBe('closed');
  });
});
