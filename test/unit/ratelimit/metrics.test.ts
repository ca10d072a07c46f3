import { expect, test } from 'vitest';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';

const counted = (metrics: RatelimitMetrics): Record<string, number> =>
  Object.fromEntries([...metrics.counters()].filter(([, value]) => value > 0));

test('deltas of threads are summed, each once', () => {
  const [all, one, other] = [new RatelimitMetrics(), new RatelimitMetrics(), new RatelimitMetrics()];
  const rule = one.rule('shop.user_10.0.0.1'); // as the service holds it
  rule.total_hits += 2;
  one.answered(3);
  one.outages.local++;
  other.rule('shop.user_10.0.0.1').total_hits += 3;
  other.answered(20_000);
  other.unknownDomain('none');
  all.add(one.take());
  all.add(other.take());
  all.add(one.take());
  rule.total_hits++;
  all.add(one.take());
  expect(counted(all)).toEqual({
    'ratelimit_server.ShouldRateLimit.total_requests': 2,
    'ratelimit.service.outage.local': 1,
    'ratelimit.service.rate_limit.shop.user_10_0_0_1.total_hits': 6,
    'ratelimit.service.rate_limit.none.domain_not_found': 1,
  });
  const { count, sumMs, buckets } = all.responseTimes;
  expect([count, sumMs, buckets[0], buckets.at(-1)]).toEqual([2, 20_003, 1, 1]);
  expect(counted(one)).toEqual({});
});

test('the sum of threads bounds the number of names, too', () => {
  const all = new RatelimitMetrics();
  for (let thread = 0; thread < 2; thread++) {
    const metrics = new RatelimitMetrics();
    for (let key = 0; key < 10_000; key++) metrics.rule(`shop.user_${thread}_${key}`).total_hits++;
    all.add(metrics.take());
  }
  expect(counted(all)['ratelimit.service.rate_limit.shop.other.total_hits']).toBe(10_000);
});
