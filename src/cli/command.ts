/** A command of `sluice`, declared apart from what it does: a help page loads none of the actions. */
import { Argument, Option } from 'commander';
import type { ExitCode } from './exit-codes.ts';

export interface CommandSpec {
  readonly name: string;
  readonly help: {
    /** In the list of commands; the description where absent. */
    readonly summary?: string;
    readonly description: string;
    /** Printed below the flags. */
    readonly after?: string;
  };
  readonly args?: readonly Argument[];
  readonly flags?: readonly Option[];
  /** Takes the arguments in order, then the flags. Imports its action when it is called. Absent: only its subcommands run. */
  readonly run?: (...given: never[]) => Promise<ExitCode>;
  readonly subcommands?: readonly CommandSpec[];
}

export const configArgument = (): Argument => new Argument('<config...>', 'a policy: a YAML file, or a folder of them');
export const callOption = (): Option =>
  new Option('--call <kind>', 'the kind of call, where the file does not say').choices([
    'http',
    'tcp',
    'limit',
    'log',
    'tcp-log',
  ]);
export const jsonOption = (): Option => new Option('--json', 'as JSON, for programs');
