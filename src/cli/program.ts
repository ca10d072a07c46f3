/** Assembles the command line from its commands. */
import { Argument, Command } from 'commander';
import type { CommandSpec } from './command.ts';
import { call } from './commands/call.ts';
import { diff } from './commands/diff.ts';
import { envoy } from './commands/envoy.ts';
import { evaluate } from './commands/eval.ts';
import { explain } from './commands/explain.ts';
import { health } from './commands/health.ts';
import { importCommand } from './commands/import.ts';
import { iptables } from './commands/iptables.ts';
import { inject } from './commands/inject.ts';
import { limits } from './commands/limits.ts';
import { lint } from './commands/lint.ts';
import { mesh } from './commands/mesh.ts';
import { plugins } from './commands/plugins.ts';
import { promote } from './commands/promote.ts';
import { ratelimit } from './commands/ratelimit.ts';
import { record } from './commands/record.ts';
import { replay } from './commands/replay.ts';
import { rollback } from './commands/rollback.ts';
import { schema } from './commands/schema.ts';
import { serve } from './commands/serve.ts';
import { sidecar } from './commands/sidecar.ts';
import { completion, man } from './commands/shell.ts';
import { deadletter, spool } from './commands/spool.ts';
import { suggest } from './commands/suggest.ts';
import { test } from './commands/test.ts';
import { webhook } from './commands/webhook.ts';
import { why } from './commands/why.ts';
import { CliError } from './cli-error.ts';
import { CLI_ERRORS } from './errors.ts';
import { EXIT, EXIT_CODES_TEXT, type ExitCode } from './exit-codes.ts';
import { meant } from '../text/nearest.ts';
import { versionText } from './package.ts';
import { safeLine } from '../log/safe-text.ts';
import { paintErr, paintOut } from '../text/paint.ts';
import { print } from './terminal.ts';

/** `sluice help plugins new` is `sluice plugins new --help`. */
const help: CommandSpec = {
  name: 'help',
  help: { description: 'print help, for all commands or one' },
  args: [new Argument('[command...]', 'a command, such as serve or plugins new')],
  run: async (words: readonly string[]) => {
    let command = makeProgram(() => undefined);
    for (const word of words) {
      const next = command.commands.find((one) => one.name() === word);
      if (next === undefined)
        throw new CliError(
          'CLI_USAGE',
          `${command.name()} has no command ${word}${meant(
            word,
            command.commands.map((one) => one.name()),
          )}`,
        );
      command = next;
    }
    command.outputHelp();
    return EXIT.ok;
  },
};

/** In the order of the help page. */
export const COMMANDS: readonly CommandSpec[] = [
  serve,
  ratelimit,
  mesh,
  sidecar,
  inject,
  webhook,
  iptables,
  health,
  promote,
  rollback,
  why,
  limits,
  lint,
  test,
  explain,
  evaluate,
  record,
  replay,
  diff,
  suggest,
  envoy,
  importCommand,
  call,
  spool,
  deadletter,
  plugins,
  schema,
  completion,
  man,
  help,
];

export function makeProgram(onDone: (code: ExitCode) => void): Command {
  const program = new Command('sluice')
    .description('One engine that decides and records every request of a service mesh.')
    .version(versionText(), '-V, --version', 'print the version and the commit it was built from')
    .helpOption('-h, --help', 'print help, also for one command')
    .helpCommand(false)
    .enablePositionalOptions() // a flag after the name of a command is of that command, also where another one has a flag of its name
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => print(process.stdout, text),
      writeErr: (text) => print(process.stderr, text),
      outputError: (text, write) => write(usageText(text)),
    })
    .configureHelp({
      styleTitle: paintOut.strong,
      styleCommandText: paintOut.name,
      styleSubcommandTerm: paintOut.name,
      styleOptionTerm: paintOut.name,
    })
    .addHelpText(
      'after',
      `
A first look:
  sluice serve examples/start                         start, and print a line to try
  sluice lint policy/                                 every error at once, and which calls each rule answers
  sluice explain policy/ --request request.yaml       the answer to a request, and the reasons

${EXIT_CODES_TEXT}

The rule language is described in docs/rules.md, every error code in docs/errors.md.`,
    )
    .exitOverride();
  for (const spec of COMMANDS) addCommand(program, spec, onDone);
  return program;
}

/** As all other errors, of commander's `error: unknown option '--jsn'`, and in a line of its own `(Did you mean --json?)`. */
function usageText(text: string): string {
  const message = text
    .trim()
    .replace(/^error: /, '')
    .replace(/\s*\(Did you mean (.*)\?\)$/s, '; did you mean $1?');
  return `${paintErr.bad('CLI_USAGE')} ${safeLine(message)}\n  ${CLI_ERRORS.CLI_USAGE.fix}\n`;
}

/** An empty path would be the current folder; it is more often a variable of the shell that is not set. */
function refuseEmpty(args: readonly Argument[], given: readonly unknown[]): void {
  const empty = args.find((arg, at) => PATHS.has(arg.name()) && [given[at]].flat().includes(''));
  if (empty !== undefined)
    throw new CliError(
      'CLI_USAGE',
      `the argument ${empty.name()} is empty; write a path, or set the variable it is from`,
    );
}
const PATHS: ReadonlySet<string> = new Set(['config', 'cases', 'file', 'old', 'new']);

function addCommand(parent: Command, spec: CommandSpec, onDone: (code: ExitCode) => void): void {
  const { name, aliases = [], help, args = [], flags = [], subcommands = [] } = spec;
  const command = parent.command(name).aliases(aliases).description(help.description);
  if (help.summary !== undefined) command.summary(help.summary);
  if (help.after !== undefined) command.addHelpText('after', help.after);
  for (const arg of args) command.addArgument(arg);
  for (const flag of flags) command.addOption(flag);
  const run = spec.run as ((...given: readonly unknown[]) => Promise<ExitCode>) | undefined;
  if (run !== undefined)
    command.action(async (...given: readonly unknown[]) => {
      refuseEmpty(args, given);
      onDone(await run(...given.slice(0, -1))); // the last is the command
    });
  if (run !== undefined) command.enablePositionalOptions();
  for (const subcommand of subcommands) addCommand(command, subcommand, onDone);
}
