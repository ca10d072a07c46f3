/** Generates docs/adapters.md from the schemas of the built-in adapters. */
import { CAPABILITIES } from '../adapters/contract.ts';
import type { Registry } from '../adapters/registry.ts';
import { exampleOf, independence } from './plugin-page.ts';

export function adaptersDocument(registry: Registry): string {
  const adapters = registry.names().flatMap((name) => registry.get(name) ?? []);
  return [
    '<!-- Written by `npm run generate` from the schemas of the adapters; a test fails when it is stale. -->',
    '# Built-in adapters',
    '',
    'Every key of their configs and params, as `sluice plugins show NAME` prints it. Optional keys are commented out.',
    '',
    '| adapter | serves | |',
    '|---|---|---|',
    ...adapters.map(({ name, serves, summary }) => {
      const served = CAPABILITIES.filter((capability) => serves[capability] !== undefined).join(', ');
      return `| [${name}](#${name}) | ${served} | ${summary} |`;
    }),
    ...adapters.flatMap((adapter) => [
      '',
      `## ${adapter.name}`,
      '',
      `${adapter.summary} ${independence(adapter)}`.trimEnd(),
      '',
      '```yaml',
      exampleOf(adapter).trimEnd(),
      '```',
    ]),
    '',
  ].join('\n');
}
