import { describe, expect, test } from 'vitest';
import type { PageText } from '../../../src/adapters/contract.ts';
import { createPluginMetrics } from '../../../src/adapters/plugin-metrics.ts';
import type { PageBounds } from '../../../src/adapters/page-lines.ts';
import { type LogLine } from '../../../src/adapters/testing/index.ts';
import { SILENT } from '../../../src/log/log.ts';
import { SecretTexts } from '../../../src/text/secret-texts.ts';

test.each([
  ['none', undefined, 'undefined'],
  ['a number', 7, '7'],
  ['what is no text', Object.create(null), '(cannot be read)'],
  ['a long text', 'x'.repeat(5000), `${'x'.repeat(1024)}...`],
])('a counter of a plugin whose help is %s does not fail the page', async (_, help, shown) => {
  const metrics = createPluginMetrics(SILENT);
  metrics
    .forHandler('h')
    .counter('asked', help as string)
    .add();
  metrics.forHandler('other').counter('good', 'Is shown.').add(2);
  expect(await metrics.render()).toBe(
    `# HELP sluice_plugin_asked_total ${shown}\n# TYPE sluice_plugin_asked_total counter\nsluice_plugin_asked_total{handler="h"} 1\n` +
      '# HELP sluice_plugin_good_total Is shown.\n# TYPE sluice_plugin_good_total counter\nsluice_plugin_good_total{handler="other"} 2\n',
  );
});

describe('a page of a plugin', () => {
  type Page = () => PageText | Promise<PageText>;
  const SECRETS = new SecretTexts([{ text: 'hunter2-of-config', shown: '(secret)' }]);

  /** Beside the good page of another handler, which is always there. */
  function pageOf(render: Page, bounds?: PageBounds): { shown: () => Promise<string>; logged: LogLine[] } {
    const logged: LogLine[] = [];
    const keep =
      (level: LogLine['level']) =>
      (message: string, fields: object = {}) =>
        void logged.push({ level, message, fields: { ...fields } });
    const log = { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
    const metrics = createPluginMetrics(log, bounds);
    metrics.forHandler('h', SECRETS).page(render);
    metrics.forHandler('other').page(() => 'good 1\n');
    const shown = async (): Promise<string> => {
      const page = await metrics.render();
      expect(page).toMatch(/^good 1$/m);
      return page;
    };
    return { shown, logged };
  }
  async function* pieces(...all: readonly unknown[]): AsyncGenerator<string> {
    for (const piece of all) yield piece as string;
  }

  test.each<[string, Page, RegExp]>([
    ['a number', () => 7 as never, /^its page is a number; it returns a text, or texts by async function\*$/],
    ['nothing', () => undefined as never, /^its page is undefined; /],
    ['a list', () => ['a 1\n'] as never, /^its page is a list; /],
    ['a piece that is a number', () => pieces('a 1\n', 7), /^a piece of its page is a number, and no text$/],
    [
      'an error',
      () => {
        throw new Error('broken hunter2-of-config');
      },
      /^broken \(secret\)$/,
    ],
  ])('that is %s: it says so once, and the others are served', async (_, render, says) => {
    const { shown, logged } = pageOf(render);
    for (let scrape = 0; scrape < 3; scrape++) expect(await shown()).toContain('# INCOMPLETE\n');
    expect(logged).toHaveLength(1);
    expect(logged[0]?.fields).toMatchObject({ handler: 'h', error: { message: expect.stringMatching(says) } });
  });

  test('of too many series, or octets, ends at its bounds: a line, a count, and the others are served', async () => {
    const lines = Array.from({ length: 50 }, (_, n) => `many{n="${n}"} 1\n`);
    for (const render of [
      () => `# TYPE many gauge\n${lines.join('')}`,
      () => pieces('# TYPE many gauge\n', ...lines),
    ]) {
      const { shown, logged } = pageOf(render, { series: 20, octets: 10_000 });
      expect((await shown()).match(/^many\{/gm)).toHaveLength(20);
      expect(await shown()).toContain('sluice_plugin_dropped_series_total{handler="h"} 30\n');
      expect(await shown()).toContain('sluice_plugin_dropped_series_total{handler="h"} 60\n');
      expect(logged).toMatchObject([
        { level: 'error', message: expect.stringContaining('too large'), fields: { handler: 'h', droppedSeries: 30 } },
      ]);
      const small = pageOf(render, { series: 1000, octets: 200 });
      const page = await small.shown();
      expect(page.match(/^many.*\n/gm)?.join('').length).toBeLessThanOrEqual(200);
      expect(page.match(/^many\{n="\d+"\} 1$/gm)?.length).toBeGreaterThan(5);
    }
  });

  test('without an end of its line is dropped, and not kept until it ends', async () => {
    async function* endless(): AsyncGenerator<string> {
      for (let n = 0; n < 200; n++) yield 'x'.repeat(10_000);
      yield '\nlast 1\n';
    }
    const { shown, logged } = pageOf(endless);
    const page = await shown();
    expect(page).toContain('\nlast 1\n'.slice(1));
    expect(page.length).toBeLessThan(1000);
    expect(logged).toMatchObject([{ fields: { droppedSeries: expect.any(Number) } }]);
  });

  test('has no secret of the config, also across pieces, and no credential by the name of its label', async () => {
    const { shown } = pageOf(() =>
      pieces(
        'a{pass="hunter2-of',
        '-config"} 1\nb{authorization="Bearer abc"} 2\nc{x_token="0123456789abcdef0123"} 3\n',
        'd{token="expired",path="/a"} 4\n',
      ),
    );
    const page = await shown();
    expect(page).toContain('a{pass="(secret)"} 1\nb{authorization="(secret)"} 2\nc{x_token="(secret)"} 3\n');
    expect(page).toContain('d{token="expired",path="/a"} 4\n');
  });
});
