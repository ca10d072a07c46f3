import { describe, expect, test } from 'vitest';
import type { QuotaAsk } from '../../../src/adapters/contract.ts';
import { Counters } from '../../../src/counting/memory/counters.ts';
import type { Bucket } from '../../../src/counting/memory/groups.ts';
import { fakeClock } from '../../../src/adapters/testing/index.ts';

const counted = () => {
  const clock = fakeClock();
  const counters = new Counters({ maxKeys: 1000, clock, onEvicted() {}, onFull() {} });
  const bucket = (counter: string): Bucket => counters.bucket({ counter, algorithm: 'fixed', perMs: 60_000 });
  const spend = (of: Bucket, key = 'ann', idempotencyKey?: string): QuotaAsk<Bucket> => ({
    kind: 'spend',
    bucket: of,
    key,
    cost: 1,
    limit: 1,
    burst: 1,
    perMs: 60_000,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  });
  const granted = (ask: QuotaAsk<Bucket>): boolean | undefined => counters.charge([ask])[0]?.granted;
  return { clock, counters, bucket, spend, granted };
};

describe('a bucket that is not used any more', () => {
  test('leaves nothing of a name that was never counted', () => {
    const { counters, bucket } = counted();
    const kept = bucket('kept');
    for (let at = 0; at < 1000; at++) counters.forget(bucket(`refused-${at}`));
    expect(counters.groups).toBe(1);
    counters.forget(kept);
    expect(counters.groups).toBe(0);
  });

  test('leaves its counters to a later bucket of the same name, until they are over', () => {
    const { clock, counters, bucket, spend, granted } = counted();
    const first = bucket('r');
    expect(granted(spend(first))).toBe(true);
    counters.forget(first);
    const second = bucket('r');
    expect(granted(spend(second))).toBe(false);
    counters.forget(second);
    clock.advance(60_000);
    counters.sweep(100);
    expect([counters.groups, counters.size]).toEqual([0, 0]);
  });

  test('leaves the counters of another bucket of its name alone', () => {
    const { counters, bucket, spend, granted } = counted();
    const [one, other] = [bucket('r'), bucket('r')];
    counters.forget(one);
    expect(counters.groups).toBe(1);
    expect([granted(spend(other)), granted(spend(other))]).toEqual([true, false]);
  });

  test('is dropped with its idempotency keys as new keys of others come', () => {
    const { clock, counters, bucket, spend, granted } = counted();
    const gone = bucket('gone');
    granted(spend(gone, 'ann', 'once'));
    counters.forget(gone);
    expect(counters.groups).toBe(2);
    clock.advance(120_000);
    const kept = bucket('kept');
    for (let key = 0; key < 10; key++) granted(spend(kept, String(key)));
    expect(counters.groups).toBe(1);
  });
});
