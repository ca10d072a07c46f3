/** Counters in memory that workers share: bounded, and exact when a worker dies. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type QuotaAsk, SharedLock, type Spend } from 'sluice/plugin';
import { expect, test } from 'vitest';
import { Counters } from '../../../src/counting/memory/counters.ts';
import { HeapTable } from '../../../src/counting/memory/heap-table.ts';
import { SharedTable } from '../../../src/counting/memory/shared-table.ts';
import type { BucketSpec } from '../../../src/counting/store.ts';

const NOW = 1_767_225_600_000;

function both(maxKeys: number) {
  let nowMs = NOW;
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs - NOW };
  const evicted = { counters: 0, entries: 0 };
  const memory = new Map<string, SharedArrayBuffer>();
  const shared = (name: string, bytes: number): SharedArrayBuffer => {
    const known = memory.get(name) ?? new SharedArrayBuffer(bytes);
    memory.set(name, known);
    return known;
  };
  const noRoom = (): Error => new Error('no room');
  const worker = (number: number): Counters => {
    const table = new SharedTable({
      maxKeys,
      maxEntries: 1000,
      onEvicted: () => {
        evicted.counters++;
      },
      onEntryEvicted: () => {
        evicted.entries++;
      },
      host: { clock, shared, worker: { number, count: 2 } },
    });
    return new Counters(table, noRoom);
  };
  return {
    workers: [worker(1), worker(2)] as const,
    alone: new Counters(new HeapTable({ maxKeys, clock, onEvicted() {}, onFull() {} }), noRoom),
    now: clock.nowMs,
    advance: (ms: number) => {
      nowMs += ms;
    },
    evicted,
    memory,
  };
}

test.each(['gcra', 'log'] as const)(
  '%s: a refused call restores its counters, even if a later ask took their place',
  (algorithm) => {
    const {
      workers: [one],
    } = both(1); // few places
    for (const store of [one, both(100).alone]) {
      const ask = {
        kind: 'spend' as const,
        bucket: { counter: 'c', algorithm, perMs: 1000 },
        cost: 1,
        limit: 1,
        burst: 1,
        perMs: 1000,
      };
      const granted = (...asks: readonly QuotaAsk<BucketSpec>[]) => store.charge(asks).map((answer) => answer.granted);
      for (let key = 0; key < 40; key++) granted({ ...ask, key: String(key) });
      expect(granted({ ...ask, key: 'a' })).toEqual([true]);
      expect(granted({ ...ask, key: 'a', kind: 'giveBack' }, { ...ask, key: 'b', cost: 2 })).toEqual([true, false]);
      expect(granted({ ...ask, key: 'a' })).toEqual([false]);
    }
  },
);

test('a full set evicts the counter that ends first, and counts it', () => {
  const {
    workers: [one],
    evicted,
  } = both(16);
  const bucket: BucketSpec = { counter: 'c', algorithm: 'fixed', perMs: 1000 };
  for (let key = 0; key < 100; key++)
    one.charge([{ kind: 'spend', bucket, key: String(key), cost: 1, limit: 1, burst: 1, perMs: 1000 }]);
  expect(evicted.counters).toBeGreaterThan(60);
});

test('a counter in an evicted place has none of the old charges', () => {
  const {
    workers: [one],
    evicted,
  } = both(1); // few places
  const bucket: BucketSpec = { counter: 'c', algorithm: 'log', perMs: 1000 };
  for (let key = 0; key < 200; key++) {
    const ask: Spend<BucketSpec> = {
      kind: 'spend',
      bucket,
      key: String(key),
      cost: 1,
      limit: 3,
      burst: 3,
      perMs: 1000,
    };
    expect(
      [one.charge([ask, ask]), one.charge([ask, ask])].map((answers) => answers.map(({ granted }) => granted)),
    ).toEqual([
      [true, true],
      [true, false],
    ]);
  }
  expect(evicted.counters).toBeGreaterThan(150);
});

test('expired counters make room, and no counter in use is evicted', () => {
  const { workers, evicted, advance } = both(10_000);
  const bucket: BucketSpec = { counter: 'c', algorithm: 'log', perMs: 1000 };
  for (let second = 0; second < 30; second++) {
    for (let key = 0; key < 300; key++)
      for (const worker of workers)
        worker.charge([{ kind: 'spend', bucket, key: `${second} ${key}`, cost: 1, limit: 5, burst: 5, perMs: 1000 }]);
    advance(1000);
  }
  expect(evicted).toEqual({ counters: 0, entries: 0 });
});

test('entries beyond maxEntries are evicted and counted', () => {
  const {
    workers: [one],
    evicted,
  } = both(10_000);
  const bucket: BucketSpec = { counter: 'c', algorithm: 'concurrency', perMs: 1000 };
  for (let lease = 0; lease < 1200; lease++)
    expect(
      one.charge([
        {
          kind: 'spend',
          bucket,
          key: String(lease % 2),
          cost: 1,
          limit: 1000,
          burst: 1000,
          perMs: 1000,
          idempotencyKey: String(lease),
        },
      ])[0]?.granted,
    ).toBe(true);
  expect(evicted.entries).toBe(200);
});

test('a holder keeps its lease when all entries are in use', () => {
  const {
    workers: [one],
    evicted,
  } = both(10_000);
  const bucket: BucketSpec = { counter: 'c', algorithm: 'concurrency', perMs: 1000 };
  const take = (key: string, who: number) =>
    one.charge([
      { kind: 'spend', bucket, key, cost: 1, limit: 1000, burst: 1000, perMs: 1000, idempotencyKey: String(who) },
    ])[0];
  for (let lease = 0; lease < 1000; lease++) take('a', lease);
  for (let lease = 0; lease < 1000; lease++) expect(take('a', lease)).toMatchObject({ granted: true, remaining: 0 });
  expect(evicted.entries).toBe(0);
});

/** A worker thread that takes leases of three counters. */
function threadOf(memory: ReadonlyMap<string, SharedArrayBuffer>, number: number, rounds: number): Worker {
  return new Worker(
    `
    const { parentPort, workerData: { memory, number } } = require('node:worker_threads');
    const load = (file) => import(${JSON.stringify(new URL('../../../src/counting/memory/', import.meta.url).href)} + file);
    Promise.all([load('counters.ts'), load('shared-table.ts')]).then(([{ Counters }, { SharedTable }]) => {
      const host = { clock: { nowMs: () => ${NOW} }, shared: (name) => memory.get(name), worker: { number, count: 4 } };
      const table = new SharedTable({ maxKeys: 10_000, maxEntries: 1000, host, onEvicted() {}, onEntryEvicted() {} });
      const counters = new Counters(table);
      const bucket = { counter: 'c', algorithm: 'concurrency', perMs: 1000 };
      let granted = 0;
      for (let round = 0; round < ${rounds}; round++) {
        const ask = { kind: 'spend', bucket, key: String(round % 3), cost: 1, limit: 50, burst: 50, perMs: 1000, idempotencyKey: number + ' ' + round };
        if (counters.charge([ask])[0].granted) granted++;
        if (round === 1000) parentPort.postMessage('busy');
        if (${rounds === Infinity} && round % 2) counters.charge([{ ...ask, kind: 'release' }]);
      }
      parentPort.postMessage(granted);
    });`,
    { eval: true, workerData: { memory, number } },
  );
}

test('threads together are granted exactly the limit', async () => {
  const { memory } = both(10_000);
  const granted = await Promise.all(
    [3, 4, 5].map(async (number) => (await once(threadOf(memory, number, 600), 'message'))[0] as number),
  );
  expect(granted.reduce((sum, one) => sum + one, 0)).toBe(150);
});

test('a worker terminated at any moment leaves exact counters', async () => {
  const {
    memory,
    workers: [one],
    advance,
    evicted,
  } = both(10_000);
  const bucket: BucketSpec = { counter: 'c', algorithm: 'concurrency', perMs: 1000 };
  const take = (key: string, who: string): boolean | undefined =>
    one.charge([{ kind: 'spend', bucket, key, cost: 1, limit: 50, burst: 50, perMs: 1000, idempotencyKey: who }])[0]
      ?.granted;
  for (let death = 0; death < 4; death++) {
    const threads = [3, 4].map((number) => threadOf(memory, number, Infinity));
    await Promise.all(threads.map((thread) => once(thread, 'message')));
    await Promise.all(threads.map((thread) => thread.terminate()));
    for (const number of [3, 4]) for (const buffer of memory.values()) SharedLock.releaseOf(buffer, number);
  }
  advance(1001);
  for (const key of ['0', '1', '2', '3'])
    expect(Array.from({ length: 60 }, (_, at) => take(key, `mine ${at}`)).filter(Boolean)).toHaveLength(50);
  advance(1001);
  for (let lease = 0; lease < 1000; lease++)
    one.charge([
      {
        kind: 'spend',
        bucket,
        key: 'all',
        cost: 1,
        limit: 1000,
        burst: 1000,
        perMs: 1000,
        idempotencyKey: String(lease),
      },
    ]);
  expect(evicted.entries, 'a slot is lost').toBe(0);
});

test.each(['charge', 'reset'] as const)('a %s repairs what a worker had half changed when it died', (what) => {
  const {
    workers: [one],
    memory,
  } = both(10);
  const bucket: BucketSpec = { counter: 'c', algorithm: 'concurrency', perMs: 1000 };
  const ask = (key: string, who: string) =>
    ({ kind: 'spend', bucket, key, cost: 1, limit: 2, burst: 2, perMs: 1000, idempotencyKey: who }) as const;
  const take = (key: string, who: string) => one.charge([ask(key, who)])[0]?.granted;
  expect([take('a', 'ann'), take('a', 'bob')]).toEqual([true, true]);
  const [changing, free, used] = [1, 3, 4];
  const head = new Int32Array([...memory].find(([name]) => name.startsWith('entries'))?.[1] as SharedArrayBuffer);
  [head[changing], head[free], head[used]] = [1, 1, 1]; // the slot of ann is free, and still in the list
  if (what === 'reset') one.reset([ask('a', 'ann')]);
  expect([take('b', 'cid'), take('b', 'dan'), take('a', 'eve')]).toEqual([true, true, what === 'reset']);
  one.charge([{ ...ask('b', 'dan'), kind: 'release' }]);
  expect([take('a', 'fay'), take('b', 'gil'), take('b', 'hal')]).toEqual([what === 'reset', true, false]);
});

test('the lock of a worker that died is released', () => {
  const memory = new SharedArrayBuffer(8);
  new Int32Array(memory)[0] = 7; // worker 7 holds the lock
  SharedLock.releaseOf(memory, 3);
  expect(new Int32Array(memory)[0]).toBe(7);
  SharedLock.releaseOf(memory, 7);
  expect(new SharedLock(memory, 1).within(() => 'inside')).toBe('inside');
});
