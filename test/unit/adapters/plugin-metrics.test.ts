import { expect, test } from 'vitest';
import { createPluginMetrics } from '../../../src/adapters/plugin-metrics.ts';
import { SILENT } from '../../../src/log/log.ts';

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
