/**
 * Completion for shells.
 * **In**: the table of commands. **Out**: a script that completes commands, flags and words of a fixed set; files otherwise.
 */
import type { Option } from 'commander';
import type { CommandSpec } from '../command.ts';
import { argumentWords, commandRows, type CommandRow, summaryOf, takesValue } from './command-tree.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, commands: readonly CommandSpec[]): string {
  const top: CommandRow = {
    path: [],
    description: '',
    after: undefined,
    args: [],
    flags: [],
    subcommands: commands.map(summaryOf),
  };
  return SCRIPTS[shell]([top, ...commandRows(commands)]);
}

const HELP = { names: ['-h', '--help'], description: 'print help, also for one command' };
const VERSION = { names: ['-V', '--version'], description: 'print the version and the commit it was built from' };

interface FlagRow {
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue?: boolean;
  readonly words?: readonly string[];
}

const flagsOf = ({ path, flags }: CommandRow): readonly FlagRow[] => [
  ...flags.map((flag: Option) => ({
    names: [flag.short, flag.long].filter((name) => name !== undefined),
    description: flag.description,
    takesValue: takesValue(flag),
    words: flag.argChoices ?? [],
  })),
  ...(path.length === 0 ? [VERSION] : []),
  HELP,
];

const wordsOf = (row: CommandRow): readonly string[] => [
  ...row.subcommands.map(({ name }) => name),
  ...argumentWords(row),
];
const flagsWithValue = (row: CommandRow): readonly FlagRow[] => flagsOf(row).filter((flag) => flag.takesValue === true);

/** In single quotes of a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();

/** bash and zsh walk over the words alike: `$command` becomes the command, `$previous` the word before the one to complete. */
const walk = (rows: readonly CommandRow[], words: string, last: string): string[] => [
  '  local command="" word',
  `  for word in ${words}; do`,
  '    case "$command $word" in',
  ...rows
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => `      ${quoted(` ${path.join(' ')}`)}) command=" ${path.join(' ')}" ;;`),
  '    esac',
  '  done',
  `  local previous=${last}`,
];

const SCRIPTS: Readonly<Record<Shell, (rows: readonly CommandRow[]) => string>> = {
  bash: (rows) =>
    [
      '# Completion of sluice for bash: source <(sluice completion bash)',
      '_sluice() {',
      '  local current="${COMP_WORDS[COMP_CWORD]}"',
      ...walk(rows, '"${COMP_WORDS[@]:1:COMP_CWORD-1}"', '"${COMP_WORDS[COMP_CWORD-1]}"'),
      '  local words="" flags=""',
      '  case "$command" in',
      ...rows.flatMap((row) => [
        `    ${quoted(row.path.length === 0 ? '' : ` ${row.path.join(' ')}`)})`,
        ...valueCases(
          row,
          (names, words) =>
            `        ${names.join('|')}) ${words.length === 0 ? '' : `COMPREPLY=($(compgen -W ${quoted(words.join(' '))} -- "$current")); `}return ;;`,
        ),
        `      words=${quoted(wordsOf(row).join(' '))}`,
        `      flags=${quoted(
          flagsOf(row)
            .flatMap(({ names }) => names)
            .join(' '),
        )} ;;`,
      ]),
      '  esac',
      '  if [[ "$current" == -* ]]; then words="$flags"; fi',
      '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
      '}',
      'complete -o default -F _sluice sluice',
      '',
    ].join('\n'),
  zsh: (rows) =>
    [
      '#compdef sluice',
      '# Completion of sluice for zsh: source <(sluice completion zsh), or save it as _sluice in a folder of $fpath.',
      '_sluice() {',
      ...walk(rows, '"${(@)words[2,CURRENT-1]}"', '"${words[CURRENT-1]}"'),
      '  local -a choices flags',
      '  case "$command" in',
      ...rows.flatMap((row) => [
        `    ${quoted(row.path.length === 0 ? '' : ` ${row.path.join(' ')}`)})`,
        ...valueCases(
          row,
          (names, words) =>
            `        ${names.join('|')}) ${words.length === 0 ? '_files' : `compadd -- ${words.map(quoted).join(' ')}`}; return ;;`,
        ),
        `      choices=(${[
          ...row.subcommands.map(({ name, summary }) => quoted(`${name}:${oneLine(summary)}`)),
          ...argumentWords(row).map(quoted),
        ].join(' ')})`,
        `      flags=(${flagsOf(row)
          .flatMap(({ names, description }) => names.map((name) => quoted(`${name}:${oneLine(description)}`)))
          .join(' ')}) ;;`,
      ]),
      '  esac',
      '  if [[ "$PREFIX" == -* ]]; then _describe -o flag flags; return; fi',
      '  if (( ${#choices} )); then _describe command choices; return; fi',
      '  _files',
      '}',
      'if [[ "$funcstack[1]" == _sluice ]]; then _sluice "$@"; else compdef _sluice sluice; fi',
      '',
    ].join('\n'),
  fish: (rows) =>
    [
      '# Completion of sluice for fish: sluice completion fish | source',
      'function __sluice_at',
      '  set -l command',
      '  for word in (commandline -opc)[2..]',
      '    switch "$command $word"',
      ...rows
        .filter(({ path }) => path.length > 0)
        .map(({ path }) => `      case ${quoted(` ${path.join(' ')}`)}; set command " ${path.join(' ')}"`),
      '    end',
      '  end',
      '  test "$command" = "$argv[1]"',
      'end',
      ...rows.flatMap((row) => {
        const at = `complete -c sluice -n ${quoted(`__sluice_at "${row.path.map((word) => ` ${word}`).join('')}"`)}`;
        return [
          ...(row.subcommands.length === 0 ? [] : [`${at} -f`]),
          ...row.subcommands.map(({ name, summary }) => `${at} -a ${name} -d ${fishQuoted(summary)}`),
          ...(argumentWords(row).length === 0 ? [] : [`${at} -f -a ${fishQuoted(argumentWords(row).join(' '))}`]),
          ...flagsOf(row).map(
            ({ names, description, takesValue: hasValue, words = [] }) =>
              `${at} ${names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`)).join(' ')}` +
              `${hasValue === true ? ' -r' : ''}${words.length === 0 ? '' : ` -f -a ${fishQuoted(words.join(' '))}`} -d ${fishQuoted(description)}`,
          ),
        ];
      }),
      '',
    ].join('\n'),
};

/** The value of a flag is completed by its words alone. */
function valueCases(row: CommandRow, line: (names: readonly string[], words: readonly string[]) => string): string[] {
  const flags = flagsWithValue(row);
  if (flags.length === 0) return [];
  return ['      case "$previous" in', ...flags.map(({ names, words = [] }) => line(names, words)), '      esac'];
}

/** fish knows two escapes in single quotes. */
const fishQuoted = (text: string): string => `'${oneLine(text).replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
