import { expect, test } from 'vitest';
import { joined } from '../../../src/adapters/plugin-metrics.ts';
import { turnsDuring } from '../../parts/loop-turns.ts';
import { supervisorPart, WorkerPages } from '../../../src/serve/policy/merge-metrics.ts';

const family = (name: string, type: string, samples: readonly string[]): string =>
  `# HELP ${name} What it is.\n# TYPE ${name} ${type}\n${samples.map((sample) => `${sample}\n`).join('')}`;

function crew(nowMs: () => number = () => 0) {
  const pages = new WorkerPages(nowMs);
  return {
    pages,
    update: (worker: number, page: string) => pages.update(worker, [page]),
    page: async () => (await pages.merged()).join(''),
    value: async (series: string) => {
      const lines = (await pages.merged()).join('').split('\n');
      const found = lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1);
      return found === undefined ? undefined : Number(found);
    },
  };
}
async function merged(...pages: readonly string[]): Promise<string> {
  const { update, page } = crew();
  for (const [at, text] of pages.entries()) await update(at + 1, text);
  return page();
}

test('counters are summed by series, whatever characters their labels have', async () => {
  const one = family('a_total', 'counter', ['a_total{path="/x,b=\\"}",who="me"} 1', 'a_total{path="/x",who="b,me"} 2']);
  const two = family('a_total', 'counter', ['a_total{path="/x,b=\\"}",who="me"} 10']);
  expect(await merged(one, two)).toBe(
    family('a_total', 'counter', ['a_total{path="/x,b=\\"}",who="me"} 11', 'a_total{path="/x",who="b,me"} 2']),
  );
});

test('a gauge is summed, unless its page or a built-in rule says otherwise', async () => {
  const page = (n: number): string =>
    `${family('g', 'gauge', [`g ${n}`])}# MERGE h max\n${family('h', 'gauge', [`h ${n}`])}${family('sluice_handler_ready', 'gauge', [`sluice_handler_ready{handler="l"} ${n - 1}`])}${family('nodejs_eventloop_lag_p99_seconds', 'gauge', [`nodejs_eventloop_lag_p99_seconds ${n}`])}`;
  const lines = (await merged(page(1), page(2))).split('\n').filter((line) => !line.startsWith('#'));
  expect(lines).toEqual([
    'g 3',
    'h 2',
    'sluice_handler_ready{handler="l"} 0',
    'nodejs_eventloop_lag_p99_seconds 2',
    '',
  ]);
});

test("metrics of the process are on the supervisor's own page only, which has none of its thread", async () => {
  const page = `${family('process_cpu_seconds_total', 'counter', ['process_cpu_seconds_total 5'])}${family('nodejs_heap_size_total_bytes', 'gauge', ['nodejs_heap_size_total_bytes 7'])}`;
  expect(await merged(page, page)).toBe(
    family('nodejs_heap_size_total_bytes', 'gauge', ['nodejs_heap_size_total_bytes 14']),
  );
  async function* own(): AsyncGenerator<string> {
    yield page;
  }
  const part = await joined(supervisorPart(own()));
  expect(part).not.toContain('nodejs_');
  expect(part).toContain('process_cpu_seconds_total 5\n');
});

test('a sum does not fall when a worker ends and is replaced, nor while one does not answer', async () => {
  const { update, pages, value } = crew();
  const page = (n: number): string =>
    `${family('a_total', 'counter', [`a_total ${n}`])}${family('h', 'histogram', [`h_bucket{le="+Inf"} ${n}`, `h_sum ${n}`, `h_count ${n}`])}${family('now', 'gauge', [`now ${n}`])}`;
  await update(1, page(5));
  await update(2, page(7));
  await update(1, page(6)); // 2 did not answer
  expect([await value('a_total'), await value('h_count'), await value('now')]).toEqual([13, 13, 13]);
  await pages.ended(2);
  expect([await value('a_total'), await value('h_bucket{le="+Inf"}'), await value('now')]).toEqual([13, 13, 6]);
  await update(2, page(1));
  await pages.ended(2);
  await pages.ended(1);
  expect([await value('a_total'), await value('h_sum')]).toEqual([14, 14]);
});

test('a sum does not fall when a worker removes a series, or begins it anew, while another has it', async () => {
  const { update, value } = crew();
  const page = (...samples: readonly string[]): string => family('a_total', 'counter', samples);
  await update(1, page('a_total{x="1"} 5', 'a_total{x="2"} 1'));
  await update(2, page('a_total{x="1"} 7'));
  await update(1, page('a_total{x="2"} 1'));
  expect(await value('a_total{x="1"}')).toBe(12);
  await update(1, page('a_total{x="1"} 3', 'a_total{x="2"} 1'));
  expect(await value('a_total{x="1"}')).toBe(15);
  await update(2, page('a_total{x="1"} 2')); // as after a reload
  expect(await value('a_total{x="1"}')).toBe(17);
  await update(1, page('a_total{x="2"} 1'));
  await update(2, page());
  expect(await value('a_total{x="1"}')).toBeUndefined(); // no worker has it: it has ended
  await update(2, page('a_total{x="1"} 1'));
  expect(await value('a_total{x="1"}')).toBe(1);
});

test('a page of a worker that has ended since it was asked, or that is older than another, is not counted', async () => {
  const { pages, value } = crew();
  const page = (n: number): string[] => [family('a_total', 'counter', [`a_total ${n}`])];
  const [first, second] = [pages.ask(), pages.ask()];
  await pages.update(1, page(7), second);
  await pages.update(1, page(5), first);
  expect(await value('a_total')).toBe(7);
  const third = pages.ask();
  await pages.ended(1);
  await pages.update(1, page(8), third);
  expect(await value('a_total')).toBe(7);
  await pages.update(1, page(1));
  expect(await value('a_total')).toBe(8);
});

test('what an ended worker counted is dropped after an hour, if no other worker has the series', async () => {
  let nowMs = 0;
  const { update, pages, value } = crew(() => nowMs);
  await update(1, family('a_total', 'counter', ['a_total{pod="gone"} 5', 'a_total{pod="lives"} 5']));
  await pages.ended(1);
  await update(1, family('a_total', 'counter', ['a_total{pod="lives"} 1']));
  nowMs += 3_599_000;
  expect([await value('a_total{pod="gone"}'), await value('a_total{pod="lives"}')]).toEqual([5, 6]);
  nowMs += 1000;
  expect([await value('a_total{pod="gone"}'), await value('a_total{pod="lives"}')]).toEqual([undefined, 6]);
});

test('what is missing from a page of which a part failed has not ended', async () => {
  const { update, value } = crew();
  await update(1, family('a_total', 'counter', ['a_total 5']));
  await update(1, '# INCOMPLETE\n');
  expect(await value('a_total')).toBe(5);
  await update(1, family('a_total', 'counter', ['a_total 6']));
  expect(await value('a_total')).toBe(6);
});

test('exemplars and timestamps are not summed: the newest is kept', async () => {
  const page = (count: number, seconds: number, ms: string): string =>
    `${family('h', 'histogram', [`h_bucket{le="1",path="/a # {"} ${count} # {trace_id="t${seconds}"} 0.5 ${seconds}.5`])}${family('g', 'gauge', [`g{a="b 5"} ${count}${ms}`])}`;
  const text = await merged(page(3, 20, ' 1700000000000'), page(4, 10, ' 1600000000000'));
  expect(text).toContain('h_bucket{le="1",path="/a # {"} 7 # {trace_id="t20"} 0.5 20.5\n');
  expect(text).toContain('g{a="b 5"} 7 1700000000000\n');
});

test("a page in OpenMetrics' words is merged, too", async () => {
  const page = '# TYPE a counter\n# UNIT a bytes\na_total 5 # {trace_id="x"} 1\nloose 3\n# EOF\n';
  const { update, pages, page: text } = crew();
  await update(1, page);
  await update(2, page);
  await pages.ended(2);
  expect(await text()).toBe('# TYPE a counter\n# UNIT a bytes\na_total 10 # {trace_id="x"} 1\nloose 3\n');
});

test('updates and reads at the same time take place one after the other, in many turns of the event loop', async () => {
  const { pages, value } = crew();
  const page = (n: number): string =>
    family(
      'a_total',
      'counter',
      Array.from({ length: 30_000 }, (_, at) => `a_total{at="${at}"} ${n}`),
    );
  let together: readonly string[] = [];
  const turns = await turnsDuring(async () => {
    await pages.update(1, [page(1)]);
    const all = [pages.update(1, [page(2)]), pages.update(2, [page(5)]), pages.merged(), pages.ended(2)] as const;
    [, , together] = await Promise.all(all);
  });
  expect(together.join('').match(/ 7$/gm)).toHaveLength(30_000);
  expect(await value('a_total{at="29999"}')).toBe(7);
  expect(turns).toBeGreaterThan(20);
});
