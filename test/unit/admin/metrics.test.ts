import { expect, test } from 'vitest';
import { joined } from '../../../src/adapters/plugin-metrics.ts';
import { familiesText, metricsPage } from '../../../src/admin/metrics.ts';
import { metricFamilies } from '../../../src/core/metrics/families.ts';
import { Meters } from '../../../src/core/metrics/meters.ts';

test("a page shows the numbers at the time of the request, and plugins' pages after them", async () => {
  const counts = { allow: 1 };
  const page = metricsPage(
    [
      {
        kind: 'counter',
        name: 'sluice_calls_total',
        help: 'Calls.',
        read: () => Object.entries(counts).map(([outcome, value]) => ({ labels: { outcome }, value })),
      },
      {
        kind: 'gauge',
        name: 'sluice_policy_rules',
        help: 'Rules.',
        read: () => [{ labels: {}, value: 7 }],
      },
    ],
    async function* plugins() {
      yield '# HELP x X.\n# TYPE x gauge\nx 1\n';
    },
  );
  expect(await joined(page.pieces())).toContain('sluice_calls_total{outcome="allow"} 1\n');
  counts.allow = 5;
  const text = await joined(page.pieces());
  expect(text).toContain('# TYPE sluice_calls_total counter\nsluice_calls_total{outcome="allow"} 5\n');
  expect(text).toContain('sluice_policy_rules 7\n');
  expect(text).toContain('process_cpu_seconds_total');
  expect(text.endsWith('\n# HELP x X.\n# TYPE x gauge\nx 1\n')).toBe(true);
});

test('call durations are a histogram that histogram_quantile can read', async () => {
  const meters = new Meters();
  const { latency } = meters.ofCall('http');
  for (const ms of [0.05, 0.2, 0.2, 400]) latency.add(ms);
  const lines = [...familiesText(metricFamilies(meters))].join('').split('\n');
  expect(lines).toContain('# TYPE sluice_call_duration_seconds histogram');
  const own = lines.filter((line) => /^sluice_call_duration_seconds\w*\{call="http"/.test(line));
  const samples = own.map((line) => line.replace('sluice_call_duration_seconds', '').replace('call="http"', ''));
  expect(samples.slice(0, 2)).toEqual(['_bucket{,le="0.0001"} 1', '_bucket{,le="0.00025"} 3']);
  expect(samples.slice(-4)).toEqual(['_bucket{,le="0.25"} 3', '_bucket{,le="+Inf"} 4', '_sum{} 0.40045', '_count{} 4']);
});
