import { describe, expect, test } from 'vitest';
import { DEFAULT_MAPPER, readMapper } from '../../../src/ratelimit/metrics/metric-mapper.ts';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import { PrometheusPage } from '../../../src/ratelimit/metrics/prometheus-page.ts';

describe('the built-in mapper', () => {
  test.each([
    [
      'ratelimit.service.rate_limit.shop.user_ann.near_limit',
      'ratelimit_service_rate_limit_near_limit',
      { domain: 'shop', key1: 'user_ann' },
    ],
    [
      'ratelimit.service.rate_limit.shop.user.path_/a.over_limit',
      'ratelimit_service_rate_limit_over_limit',
      { domain: 'shop', key1: 'user', key2: 'path_/a' },
    ],
    [
      'ratelimit.service.rate_limit.shop.a.b.c.d.total_hits',
      'ratelimit_service_rate_limit_total_hits',
      { domain: 'shop', key1: 'a', key2: 'b' },
    ],
    [
      'ratelimit.service.call.should_rate_limit.redis_error',
      'ratelimit_service_should_rate_limit_error',
      { err_type: 'redis_error' },
    ],
    [
      'ratelimit_server.ShouldRateLimit.total_requests',
      'ratelimit_service_total_requests',
      { grpc_method: 'ShouldRateLimit' },
    ],
  ])('%s', (path, family, labels) => {
    expect(DEFAULT_MAPPER(path, 'counter')).toEqual({ family, labels });
  });

  test('a path that it does not know keeps its name', () => {
    expect(
      DEFAULT_MAPPER('ratelimit.service.rate_limit.shop.a.b.over_limit_with_local_cache', 'counter'),
    ).toBeUndefined();
  });
});

describe('a mapper from a file', () => {
  // In the manner of the one that Envoy Gateway mounts.
  const MAPPER = `
mappings:
  - match: "ratelimit\\\\.service\\\\.rate_limit\\\\.([^.]+)\\\\.(.+)\\\\.over_limit$"
    match_type: regex
    name: "rl_over_limit"
    timer_type: histogram
    labels: { domain: "$1", keys: "\${2}", zone: a }
  - match: "ratelimit.service.rate_limit.*.*.total_hits"
    name: "rl_$2_total"
    match_metric_type: counter
    labels: { domain: "$1" }
  - { match: "ratelimit_server.*.response_time", name: rl_seconds, match_metric_type: timer }
  - { match: ".", match_type: regex, action: drop }
`;

  test('maps names and labels, and drops paths', async () => {
    const metrics = new RatelimitMetrics();
    metrics.rule('shop.user.path').over_limit = 3;
    metrics.rule('shop.user').total_hits = 5;
    metrics.answered(1);
    const page = await new PrometheusPage(metrics, readMapper(MAPPER)).text();
    expect(page.split('\n').filter((line) => !line.startsWith('#') && !line.includes('_bucket'))).toEqual([
      'rl_over_limit{domain="shop",keys="user.path",zone="a"} 3',
      'rl_over_limit{domain="shop",keys="user",zone="a"} 0',
      'rl_user_total{domain="shop"} 5',
      expect.stringMatching(/^rl_seconds_sum 0\.001/) as string,
      'rl_seconds_count 1',
      '',
    ]);
  });

  test.each([
    ['mappings: [{ name: a }]', /mappings\.0\.match/],
    ['mappings: [{ match: a }]', /mappings\.0: a has no name/],
    ['mappings: [{ match: "(", match_type: regex, name: a }]', /mappings\.0: \(: /],
    ['mappings: 3', /mappings/],
  ])('%s is refused', (text, says) => {
    expect(() => readMapper(text)).toThrow(says);
  });

  test('an empty file maps nothing', () => {
    expect(readMapper('')('a.b', 'counter')).toBeUndefined();
  });
});
