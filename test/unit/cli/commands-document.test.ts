/** docs/commands.md and the table of commands agree. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Argument, Option } from 'commander';
import { commandsDocument } from '../../../src/cli/commands-document.ts';
import { PACKAGE_FOLDER } from '../../../src/cli/package.ts';
import { COMMANDS } from '../../../src/cli/program.ts';

test('docs/commands.md matches the table (npm run generate writes it)', () => {
  expect(readFileSync(join(PACKAGE_FOLDER, 'docs/commands.md'), 'utf8')).toBe(commandsDocument(COMMANDS));
});

test('a flag has its choices and default, and text that is no Markdown', () => {
  const page = commandsDocument([
    {
      name: 'a',
      help: { description: 'does <a>', after: '\nAs a | b.' },
      args: [new Argument('[file...]', 'read *.yaml')],
      flags: [new Option('--to <a|b>', 'where to').choices(['x', 'y']).default('x').makeOptionMandatory()],
      subcommands: [{ name: 'b', help: { description: 'does b' } }],
    },
  ]);
  expect(page.slice(page.indexOf('## '))).toBe(
    [
      '## sluice a',
      '',
      'does \\<a>',
      '',
      '`sluice a [file...]`',
      '',
      'Its commands: b.',
      '',
      '| | |',
      '|---|---|',
      '| `[file...]` | read \\*.yaml |',
      '| `--to <a\\|b>` | where to (one of x, y; default x; required) |',
      '',
      '```text',
      'As a | b.',
      '```',
      '',
      '## sluice a b',
      '',
      'does b',
      '',
    ].join('\n'),
  );
});
