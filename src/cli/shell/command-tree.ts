/** The commands of the command line as flat rows, for completion and the man page. */
import type { Argument, Option } from 'commander';
import type { CommandSpec } from '../command.ts';

export interface CommandRow {
  /** The words that call it: `['plugins', 'new']`; empty for `sluice` itself. */
  readonly path: readonly string[];
  readonly description: string;
  /** Text below the flags of its help page. */
  readonly after: string | undefined;
  readonly args: readonly Argument[];
  readonly flags: readonly Option[];
  readonly subcommands: readonly { readonly name: string; readonly summary: string }[];
}

/** Each command before its subcommands, in the order of the help pages. */
export function commandRows(specs: readonly CommandSpec[], path: readonly string[] = []): readonly CommandRow[] {
  return specs.flatMap(({ name, help, args = [], flags = [], subcommands = [] }) => {
    const own = [...path, name];
    return [
      {
        path: own,
        description: help.description,
        after: help.after,
        args,
        flags,
        subcommands: subcommands.map(summaryOf),
      },
      ...commandRows(subcommands, own),
    ];
  });
}

export const summaryOf = ({ name, help }: CommandSpec): { readonly name: string; readonly summary: string } => ({
  name,
  summary: help.summary ?? help.description,
});

/** The words that fit its arguments; empty if any text does. */
export const argumentWords = ({ args }: CommandRow): readonly string[] =>
  args.flatMap(({ argChoices }) => argChoices ?? []);

export const takesValue = ({ required, optional }: Option): boolean => required || optional;

/** `<config...>`. */
export const argumentText = (argument: Argument): string => {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
};

/** What an argument or a flag means, with its choices and its default. */
export function withChoices(row: Argument | Option): string {
  const notes = [
    ...(row.argChoices === undefined ? [] : [`one of ${row.argChoices.join(', ')}`]),
    ...(row.defaultValue === undefined ? [] : [`default ${String(row.defaultValue)}`]),
    ...('mandatory' in row && row.mandatory ? ['required'] : []),
  ];
  return notes.length === 0 ? row.description : `${row.description} (${notes.join('; ')})`;
}
