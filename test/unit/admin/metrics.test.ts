import { expect, test } from 'vitest';
import { metricsPage } from '../../../src/admin/metrics.ts';

test("a page shows the numbers as they are when it is asked for, and plugins' pages after them", async () => {
  const counts = { allow: 1 };
  const page = metricsPage(
    [
      {
        kind: 'counter',
        name: 'sluice_calls_total',
        help: 'Calls.',
        labels: ['outcome'],
        read: () => Object.entries(counts).map(([outcome, value]) => ({ labels: { outcome }, value })),
      },
      {
        kind: 'gauge',
        name: 'sluice_policy_rules',
        help: 'Rules.',
        labels: [],
        read: () => [{ labels: {}, value: 7 }],
      },
    ],
    async () => '# HELP x X.\n# TYPE x gauge\nx 1\n',
  );
  expect(await page.render()).toContain('sluice_calls_total{outcome="allow"} 1\n');
  counts.allow = 5;
  const text = await page.render();
  expect(text).toContain('# TYPE sluice_calls_total counter\nsluice_calls_total{outcome="allow"} 5\n');
  expect(text).toContain('sluice_policy_rules 7\n');
  expect(text).toContain('process_cpu_seconds_total');
  expect(text.endsWith('\n# HELP x X.\n# TYPE x gauge\nx 1\n')).toBe(true);
});
