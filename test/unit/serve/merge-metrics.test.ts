import { expect, test } from 'vitest';
import { supervisorPart, WorkerPages } from '../../../src/serve/policy/merge-metrics.ts';

const family = (name: string, type: string, samples: readonly string[]): string =>
  `# HELP ${name} What it is.\n# TYPE ${name} ${type}\n${samples.join('\n')}\n`;
const merged = (...pages: readonly string[]): string => {
  const all = new WorkerPages();
  pages.forEach((page, at) => all.update(at + 1, page));
  return all.merged();
};

test('counters are summed by series, whatever characters their labels have', () => {
  const one = family('a_total', 'counter', ['a_total{path="/x,b=\\"}",who="me"} 1', 'a_total{path="/x",who="b,me"} 2']);
  const two = family('a_total', 'counter', ['a_total{path="/x,b=\\"}",who="me"} 10']);
  expect(merged(one, two)).toBe(
    family('a_total', 'counter', ['a_total{path="/x,b=\\"}",who="me"} 11', 'a_total{path="/x",who="b,me"} 2']),
  );
});

test('a gauge is summed, unless its page or a built-in rule says otherwise', () => {
  const page = (n: number): string =>
    `${family('g', 'gauge', [`g ${n}`])}# MERGE h max\n${family('h', 'gauge', [`h ${n}`])}${family('sluice_handler_ready', 'gauge', [`sluice_handler_ready{handler="l"} ${n - 1}`])}${family('nodejs_eventloop_lag_p99_seconds', 'gauge', [`nodejs_eventloop_lag_p99_seconds ${n}`])}`;
  const lines = merged(page(1), page(2))
    .split('\n')
    .filter((line) => !line.startsWith('#'));
  expect(lines).toEqual([
    'g 3',
    'h 2',
    'sluice_handler_ready{handler="l"} 0',
    'nodejs_eventloop_lag_p99_seconds 2',
    '',
  ]);
});

test("metrics of the process are on the supervisor's own page only, which has none of its thread", () => {
  const page = `${family('process_cpu_seconds_total', 'counter', ['process_cpu_seconds_total 5'])}${family('nodejs_heap_size_total_bytes', 'gauge', ['nodejs_heap_size_total_bytes 7'])}`;
  expect(merged(page, page)).toBe(family('nodejs_heap_size_total_bytes', 'gauge', ['nodejs_heap_size_total_bytes 14']));
  expect(supervisorPart(page)).not.toContain('nodejs_');
  expect(supervisorPart(page)).toContain('process_cpu_seconds_total 5\n');
});

test('a sum does not fall when a worker ends and is replaced, nor while one does not answer', () => {
  const all = new WorkerPages();
  const page = (n: number): string =>
    `${family('a_total', 'counter', [`a_total ${n}`])}${family('h', 'histogram', [`h_bucket{le="+Inf"} ${n}`, `h_sum ${n}`, `h_count ${n}`])}${family('now', 'gauge', [`now ${n}`])}`;
  const value = (series: string): number =>
    Number(
      all
        .merged()
        .split('\n')
        .find((line) => line.startsWith(`${series} `))
        ?.split(' ')[1],
    );
  all.update(1, page(5));
  all.update(2, page(7));
  all.update(1, page(6)); // 2 did not answer
  expect([value('a_total'), value('h_count'), value('now')]).toEqual([13, 13, 13]);
  all.ended(2);
  expect([value('a_total'), value('h_bucket{le="+Inf"}'), value('now')]).toEqual([13, 13, 6]);
  all.update(2, page(1));
  all.ended(2);
  all.ended(1);
  expect([value('a_total'), value('h_sum')]).toEqual([14, 14]);
});
