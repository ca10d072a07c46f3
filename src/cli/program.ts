/** Assembles the command line from its commands. */
import { Command } from 'commander';
import type { CommandSpec } from './command.ts';
import { call } from './commands/call.ts';
import { evaluate } from './commands/eval.ts';
import { explain } from './commands/explain.ts';
import { healthcheck } from './commands/healthcheck.ts';
import { importCommand } from './commands/import.ts';
import { limits } from './commands/limits.ts';
import { lint } from './commands/lint.ts';
import { plugins } from './commands/plugins.ts';
import { ratelimit } from './commands/ratelimit.ts';
import { schema } from './commands/schema.ts';
import { serve } from './commands/serve.ts';
import { deadletter, spool } from './commands/spool.ts';
import { test } from './commands/test.ts';
import { EXIT_CODES_TEXT, type ExitCode } from './exit-codes.ts';
import { versionText } from './package.ts';
import { paintOut } from '../text/paint.ts';

/** In the order of the help page. */
const COMMANDS: readonly CommandSpec[] = [
  serve,
  ratelimit,
  healthcheck,
  limits,
  lint,
  test,
  explain,
  evaluate,
  importCommand,
  call,
  spool,
  deadletter,
  plugins,
  schema,
];

export function makeProgram(onDone: (code: ExitCode) => void): Command {
  const program = new Command('sluice')
    .description('One engine that decides and records every request of a service mesh.')
    .version(versionText(), '-V, --version', 'print the version and the commit it was built from')
    .helpOption('-h, --help', 'print help, also for one command')
    .helpCommand(false)
    .showHelpAfterError('(`sluice --help` lists commands and options)')
    .showSuggestionAfterError()
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

function addCommand(parent: Command, spec: CommandSpec, onDone: (code: ExitCode) => void): void {
  const { name, help, args = [], flags = [], subcommands = [] } = spec;
  const command = parent.command(name).description(help.description);
  if (help.summary !== undefined) command.summary(help.summary);
  if (help.after !== undefined) command.addHelpText('after', help.after);
  for (const arg of args) command.addArgument(arg);
  for (const flag of flags) command.addOption(flag);
  const run = spec.run as ((...given: readonly unknown[]) => Promise<ExitCode>) | undefined;
  if (run !== undefined)
    command.action(async (...given: readonly unknown[]) => onDone(await run(...given.slice(0, -1)))); // the last is the command
  for (const subcommand of subcommands) addCommand(command, subcommand, onDone);
}
