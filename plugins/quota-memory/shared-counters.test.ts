/** In shared memory the counters are those of one process. */
import fc from 'fast-check';
import type { QuotaAsk } from 'sluice/plugin';
import { expect, test } from 'vitest';
import { type Bucket, Counters } from './counters.ts';
import { SharedCounters } from './shared-counters.ts';

function both(maxKeys: number) {
  let nowMs = 1_767_225_600_000;
  const clock = { nowMs: () => nowMs };
  let evicted = 0;
  const memory = new Map<string, SharedArrayBuffer>();
  const shared = (name: string, bytes: number): SharedArrayBuffer => {
    const known = memory.get(name) ?? new SharedArrayBuffer(bytes);
    memory.set(name, known);
    return known;
  };
  const worker = (number: number): SharedCounters => new SharedCounters({ maxKeys, onEvicted: () => { evicted++; }, host: { clock, shared, worker: { number, count: 2 } } });
  return {
    workers: [worker(1), worker(2)] as const, alone: new Counters({ maxKeys, clock, onEvicted: () => {} }),
    advance: (ms: number) => { nowMs += ms; }, evicted: () => evicted,
  };
}

test('two workers that take turns answer as one process does', () => {
  const asks = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), cost: fc.nat(3), worker: fc.constantFrom(0 as const, 1 as const), passed: fc.nat(400), gcra: fc.boolean(), more: fc.boolean() }), { maxLength: 40 });
  fc.assert(fc.property(asks, (given) => {
    const { workers, alone, advance } = both(1000);
    for (const { key, cost, worker, passed, gcra, more } of given) {
      advance(passed);
      const rule = { counter: 'c', algorithm: gcra ? 'gcra' as const : 'fixed' as const, perMs: 1000 };
      const of = (store: Counters | SharedCounters) => {
        const ask = { bucket: store.bucket(rule), key, cost, limit: 5, burst: 5, perMs: 1000 };
        return store.charge(more ? [ask, { ...ask, key: 'd' }, ask] : [ask]);
      };
      expect(of(workers[worker])).toEqual(of(alone));
    }
  }));
});

test('a refused call gives nothing back, though a later ask of it took the room', () => {
  const { workers: [one], alone } = both(1); // few places
  for (const store of [one, alone]) {
    const ask = { bucket: store.bucket({ counter: 'c', algorithm: 'gcra', perMs: 1000 }), cost: 1, limit: 1, burst: 1, perMs: 1000 };
    const granted = (...asks: readonly QuotaAsk<Bucket>[]) => store.charge(asks).map((answer) => answer.granted);
    for (let key = 0; key < 40; key++) granted({ ...ask, key: String(key) });
    expect(granted({ ...ask, key: 'a' })).toEqual([true]);
    expect(granted({ ...ask, key: 'a', cost: -1 }, { ...ask, key: 'b', cost: 2 })).toEqual([true, false]);
    expect(granted({ ...ask, key: 'a' })).toEqual([false]);
  }
});

test('more keys than there is room for: what ends first starts anew, and is counted', () => {
  const { workers: [one], evicted } = both(16);
  const bucket = one.bucket({ counter: 'c', algorithm: 'fixed', perMs: 1000 });
  for (let key = 0; key < 100; key++) one.charge([{ bucket, key: String(key), cost: 1, limit: 1, burst: 1, perMs: 1000 }]);
  expect(evicted()).toBeGreaterThan(60);
});

test('a worker that died inside lets the others in', async () => {
  const { SharedLock } = await import('sluice/plugin');
  const memory = new SharedArrayBuffer(8);
  new Int32Array(memory)[0] = 7; // worker 7 is inside, for ever
  SharedLock.releaseOf(memory, 3);
  expect(new Int32Array(memory)[0]).toBe(7);
  SharedLock.releaseOf(memory, 7);
  expect(new SharedLock(memory, 1).within(() => 'inside')).toBe('inside');
});
