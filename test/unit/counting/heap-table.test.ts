/** Names in the heap: kept while they have counters, whoever chooses them. */
import { expect, test } from 'vitest';
import { fakeClock } from '../../../src/adapters/testing/index.ts';
import { Counters } from '../../../src/counting/memory/counters.ts';
import { HeapTable } from '../../../src/counting/memory/heap-table.ts';
import type { BucketSpec, CounterAsk } from '../../../src/counting/store.ts';

const counted = () => {
  const clock = fakeClock();
  const table = new HeapTable({ maxKeys: 1000, clock, onEvicted() {}, onFull() {} });
  const counters = new Counters(table, () => new Error('no room'));
  const bucket = (counter: string): BucketSpec => ({ counter, algorithm: 'fixed', perMs: 60_000 });
  const spend = (of: BucketSpec, key = 'ann', more: Partial<CounterAsk> = {}): CounterAsk =>
    ({ kind: 'spend', bucket: of, key, cost: 1, limit: 1, burst: 1, perMs: 60_000, ...more }) as CounterAsk;
  const granted = (ask: CounterAsk): boolean | undefined => counters.charge([ask])[0]?.granted;
  return { clock, table, counters, bucket, spend, granted };
};

test('names and periods without counters leave nothing', () => {
  const { table, counters, bucket, spend, granted } = counted();
  for (let at = 1; at <= 1000; at++) {
    granted(spend(bucket(`refused ${at}`), 'ann', { limit: 0 }));
    granted(spend(bucket('looked at'), 'ann', { kind: 'look', perMs: at, idempotencyKey: 'once' }));
    counters.reset([spend(bucket('reset'), 'ann', { perMs: at })]);
  }
  expect(table.groups).toBe(0);
});

test('buckets of one name share its counters, also when it was dropped in between', () => {
  const { clock, table, bucket, spend, granted } = counted();
  const [one, other] = [bucket('r'), bucket('r')];
  for (let minute = 0; minute < 3; minute++) {
    expect([granted(spend(one)), granted(spend(other)), granted(spend(bucket('r')))]).toEqual([true, false, false]);
    clock.advance(60_000);
    table.sweep(100);
    expect([table.groups, table.size]).toEqual([0, 0]);
    expect([granted(spend(other)), granted(spend(one))]).toEqual([true, false]);
    clock.advance(60_000);
    table.sweep(100);
  }
});

test('two stores that are given the same bucket count apart', () => {
  const [one, other] = [counted(), counted()];
  const ask = one.spend(one.bucket('r'));
  const granted = [one, one, other, other].map((store) => store.granted(ask));
  expect(granted).toEqual([true, false, true, false]);
});

test('a name that is over is dropped, with its idempotency keys, as new keys of others come', () => {
  const { clock, table, bucket, spend, granted } = counted();
  granted(spend(bucket('gone'), 'ann', { idempotencyKey: 'once' }));
  expect(table.groups).toBe(2);
  clock.advance(120_000);
  const kept = bucket('kept');
  for (let key = 0; key < 10; key++) granted(spend(kept, String(key)));
  expect(table.groups).toBe(1);
});
