/** What a handler counts outlives a reload with another config. */
import { expect, test } from 'vitest';
import metricsPrometheus from '../../../plugins/metrics-prometheus/adapter.ts';
import { type OpenHandler, openHandler } from '../../../src/adapters/open-handler.ts';
import { createPluginMetrics, WRONG_AMOUNT } from '../../../src/adapters/plugin-metrics.ts';
import { createSharedMemory } from '../../../src/adapters/shared-memory.ts';
import { testCall } from '../../../src/adapters/testing/index.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const CALLS = { kind: 'counter', labels: ['code'] };

test('a metric that a reload does not change keeps its series, one that it changes begins anew', async () => {
  const metrics = createPluginMetrics(log);
  const environment = { log, metrics, shared: createSharedMemory() };
  const reload = async (of: object) =>
    openHandler(
      metricsPrometheus,
      { name: 'm', folder: '.', config: metricsPrometheus.config.parse({ metrics: of }) },
      environment,
    );
  const count = ({ handler }: OpenHandler, metric: string, input: Readonly<Record<string, unknown>>) => {
    const sink = handler.sink?.({ rule: 'r', input: {}, params: { metric } });
    return handler.write?.([{ sink, id: '', timeMs: 0, input }], testCall());
  };
  const first = await reload({ calls_total: CALLS, bare_total: { kind: 'counter' } });
  await count(first, 'calls_total', { 'labels.code': '1' });
  await count(first, 'bare_total', { value: 5 });
  const second = await reload({ calls_total: CALLS, bare_total: { kind: 'counter', help: 'Other.' } });
  await count(first, 'calls_total', { 'labels.code': '1' }); // until the policy is replaced
  await count(second, 'calls_total', { 'labels.code': '1' });
  await first.close();
  const page = await metrics.render();
  expect(page).toContain('calls_total{code="1"} 3\n');
  expect(page).toContain('bare_total 0\n');
  await second.close();
  const third = await reload({ calls_total: CALLS });
  expect(await metrics.render()).not.toContain('calls_total{');
  await third.close();
});

test('what one handler keeps is not what another keeps', async () => {
  const metrics = createPluginMetrics(log);
  const [one, other] = [metrics.forHandler('one'), metrics.forHandler('other')];
  expect(one.kept('x', () => 1)).toBe(1);
  expect(one.kept('x', () => 2)).toBe(1);
  expect(other.kept('x', () => 3)).toBe(3);
  one.withdraw();
  expect(metrics.forHandler('one').kept('x', () => 4)).toBe(4);
});

test('a counter never falls: a wrong amount is not counted, and named once for each handler', async () => {
  const lines: unknown[] = [];
  const metrics = createPluginMetrics({ ...log, error: (message, fields) => void lines.push([message, fields]) });
  for (const handler of ['one', 'two']) {
    const counter = metrics.forHandler(handler).counter('hits', 'Hits.');
    for (const amount of [2, -5, Number.NaN, undefined]) counter.add(amount);
  }
  const page = await metrics.render();
  expect(page).toContain('sluice_plugin_hits_total{handler="one"} 3\n');
  expect(page).toContain('sluice_plugin_hits_total{handler="two"} 3\n');
  expect(lines).toEqual(['one', 'two'].map((handler) => [WRONG_AMOUNT, { handler, counter: 'hits', amount: '-5' }]));
});

test('a handler has a bounded number of counters: the others count nothing, and one line names the first', async () => {
  const lines: unknown[] = [];
  const metrics = createPluginMetrics({ ...log, error: (_, fields) => void lines.push(fields) });
  const one = metrics.forHandler('one');
  for (let round = 0; round < 2; round++)
    for (let at = 0; at < 1000; at++) one.counter(`path_${at}`, 'By a path.').add();
  metrics.forHandler('two').counter('path_999', 'By a path.').add();
  const page = await metrics.render();
  expect(page.match(/handler="one"/g)).toHaveLength(200);
  expect(page).toContain('sluice_plugin_path_199_total{handler="one"} 2\n');
  expect(page).toContain('sluice_plugin_path_999_total{handler="two"} 1\n');
  expect(lines).toEqual([{ handler: 'one', counter: 'path_200' }]);
});
