import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import { PrometheusPage } from '../../../src/ratelimit/metrics/prometheus-page.ts';
import { loopTurnsOf } from '../../parts/loop-turns.ts';

const linesOf = (page: string): string[] =>
  page.split('\n').filter((line) => line.startsWith('ratelimit_service_rate_limit') && !line.endsWith(' 0'));

test('the event loop keeps turning while a page of ten thousand names is rendered', async () => {
  const metrics = new RatelimitMetrics();
  for (let at = 0; at < 10_000; at++) metrics.rule(`shop.user_${at}_${'x'.repeat(200)}`).total_hits = 1;
  let page = '';
  const { longestCpuMs } = await loopTurnsOf(async () => {
    page = await new PrometheusPage(metrics).text();
  });
  expect(linesOf(page)).toHaveLength(10_000);
  expect(longestCpuMs).toBeLessThan(1000); // in one go it takes three seconds of a core
});

test('a long name is cut, and stays distinct from others with the same beginning', async () => {
  const metrics = new RatelimitMetrics();
  for (const end of ['a', 'b', 'a']) metrics.rule(`shop.user_${'x'.repeat(50_000)}${end}`).total_hits++;
  for (let at = 0; at < 2; at++) metrics.unknownDomain('y'.repeat(50_000));
  const page = await new PrometheusPage(metrics).text();
  expect(page.length).toBeLessThan(20_000);
  expect(
    linesOf(page)
      .map((line) => line.slice(line.lastIndexOf(' ') + 1))
      .toSorted(),
  ).toEqual(['1', '2', '2']);
});

test('later counts are on the next page', async () => {
  const metrics = new RatelimitMetrics();
  const page = new PrometheusPage(metrics);
  metrics.rule('shop.user_10.0.0.1').total_hits = 1;
  expect(linesOf(await page.text())).toEqual([
    'ratelimit_service_rate_limit_total_hits{domain="shop",key1="user_10_0_0_1"} 1',
  ]);
  metrics.rule('shop.user_10.0.0.1').total_hits++;
  metrics.rule('shop.path').over_limit = 3;
  expect(linesOf(await page.text())).toEqual([
    'ratelimit_service_rate_limit_total_hits{domain="shop",key1="user_10_0_0_1"} 2',
    'ratelimit_service_rate_limit_over_limit{domain="shop",key1="path"} 3',
  ]);
});

test('a name of digits takes no longer than any other', async () => {
  const metrics = new RatelimitMetrics();
  const before = process.cpuUsage();
  for (let at = 0; at < 50; at++) metrics.rule(`shop.user_${'1'.repeat(50_000)}${at}`);
  await sleep(0);
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(2000);
});
