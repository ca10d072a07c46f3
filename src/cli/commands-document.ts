/**
 * Generates docs/commands.md from the table of commands.
 * **In**: the commands. **Out**: the page: each with its arguments, flags and defaults. **Fails**: never.
 */
import type { Argument, Option } from 'commander';
import type { CommandSpec } from './command.ts';
import { EXIT_CODES_TEXT } from './exit-codes.ts';
import { type CommandRow, argumentText, commandRows, withChoices } from './shell/command-tree.ts';
import { tableCell } from './table-cell.ts';

export function commandsDocument(commands: readonly CommandSpec[]): string {
  return [
    '<!-- Written by `npm run generate` from the table of commands; a test fails when it is stale. -->',
    '# Commands',
    '',
    'Every command with its arguments and flags; `sluice help COMMAND` prints the same. The [README](../README.md#the-command) lists the ' +
      'commands by what they do.',
    '',
    '```text',
    EXIT_CODES_TEXT,
    '```',
    ...commandRows(commands).flatMap(commandLines),
    '',
  ].join('\n');
}

function commandLines(row: CommandRow): string[] {
  const [first, ...others] = [
    ...row.args.map((argument) => rowText(argumentText(argument), argument)),
    ...row.flags.map((flag) => rowText(flag.flags, flag)),
  ];
  return [
    '',
    `## sluice ${row.path.join(' ')}`,
    '',
    ...row.description.split('\n').map(escaped),
    ...(row.args.length === 0 ? [] : ['', `\`sluice ${[...row.path, ...row.args.map(argumentText)].join(' ')}\``]),
    ...(row.subcommands.length === 0
      ? []
      : ['', `Its commands: ${row.subcommands.map(({ name }) => name).join(', ')}.`]),
    ...(first === undefined ? [] : ['', '| | |', '|---|---|', first, ...others]),
    ...(row.after === undefined ? [] : ['', '```text', row.after.replace(/^\n/, '').trimEnd(), '```']),
  ];
}

const rowText = (name: string, row: Argument | Option): string =>
  `| \`${tableCell(name)}\` | ${tableCell(escaped(withChoices(row)))} |`;
/** Stars and angle brackets are no Markdown here. */
const escaped = (text: string): string => text.replaceAll(/[*<]/g, '\\$&');
