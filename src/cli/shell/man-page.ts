/** The man page sluice(1) in the macros of man(7), from the table of commands. */
import type { CommandSpec } from '../command.ts';
import { EXIT_CODES_TEXT } from '../exit-codes.ts';
import { type CommandRow, argumentText, commandRows, withChoices } from './command-tree.ts';

export function manPage(commands: readonly CommandSpec[], version: string): string {
  return [
    // Without a date: builds of one commit are equal.
    `.TH SLUICE 1 "" ${inQuotes(`sluice ${version}`)} "User Commands"`,
    '.SH NAME',
    'sluice \\- decide and record every request of a service mesh',
    '.SH SYNOPSIS',
    '.B sluice',
    '.I COMMAND',
    '.RI [ ARGUMENTS ]',
    '.SH DESCRIPTION',
    ...lines(
      'One engine that answers Envoy by a policy: may this call pass, is it over a limit, what happened. ' +
        'The rule language is described in docs/rules.md of the package, every error code in docs/errors.md.',
    ),
    '.SH COMMANDS',
    ...commandRows(commands).flatMap(commandLines),
    '.SH EXIT STATUS',
    ...exitLines(),
    '',
  ].join('\n');
}

function commandLines(row: CommandRow): string[] {
  const usage = ['sluice', ...row.path, ...row.args.map(argumentText)].join(' ');
  return [
    `.SS ${inQuotes(usage)}`,
    ...lines(row.description),
    ...row.args.flatMap((argument) => ['.TP', bold(argumentText(argument)), ...lines(withChoices(argument))]),
    ...row.flags.flatMap((flag) => ['.TP', bold(flag.flags), ...lines(withChoices(flag))]),
    ...(row.after === undefined ? [] : ['.PP', '.nf', ...lines(row.after.replace(/^\n/, '')), '.fi']),
  ];
}

const exitLines = (): string[] =>
  EXIT_CODES_TEXT.split('\n').flatMap((line) => {
    const [, code, meaning] = /^ +(\d+) +(.*)$/.exec(line) ?? [];
    return code === undefined ? [] : ['.TP', bold(code), ...lines(meaning ?? '')];
  });

/** Text of several lines; a line must not begin with a control character of roff. */
const lines = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => escaped(line).replace(/^[.']/, '\\&$&'));
const escaped = (text: string): string => text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
const inQuotes = (text: string): string => `"${escaped(text).replaceAll('"', '""')}"`;
const bold = (text: string): string => `.B ${inQuotes(text)}`;
