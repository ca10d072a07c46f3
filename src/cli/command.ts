/** The declaration of a command, separate from its action, so that help pages load no actions. */
import { Argument, Option } from 'commander';
import { CALL_KINDS } from '../attributes/carrier.ts';
import type { ExitCode } from './exit-codes.ts';

export interface CommandSpec {
  readonly name: string;
  /** Other names, for the arguments of other programs. */
  readonly aliases?: readonly string[];
  readonly help: {
    /** Shown in the list of commands; default: the description. */
    readonly summary?: string;
    readonly description: string;
    /** Printed below the flags. */
    readonly after?: string;
  };
  readonly args?: readonly Argument[];
  readonly flags?: readonly Option[];
  /** Takes the arguments in order, then the flags, and imports its action. Absent: only subcommands run. */
  readonly run?: (...given: never[]) => Promise<ExitCode>;
  readonly subcommands?: readonly CommandSpec[];
}

export const configArgument = (): Argument => new Argument('<config...>', 'a policy: a YAML file, or a folder of them');
export const callOption = (): Option =>
  new Option('--call <kind>', 'the kind of call, unless the file names it').choices(CALL_KINDS);
export const lenientOption = (): Option =>
  new Option(
    '--lenient',
    'a CUSTOM policy of Istio whose provider is unknown denies, as in Istio, instead of being an error',
  );
export const jsonOption = (): Option => new Option('--json', 'as JSON, for programs');
export const allFindingsOption = (): Option =>
  new Option('--all', 'every finding; without it, 50 at most and how many more there are of each code');
export const askedOption = (): Option =>
  new Option('--to <host:port>', 'the admin port of `sluice serve`, on this machine').default('127.0.0.1:15014');
