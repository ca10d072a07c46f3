/**
 * The command `sluice`.
 * **In**: arguments. **Out**: an exit code (see `exit-codes.ts`), text on stdout, what is said about it on stderr.
 * **Fails**: never throws; a fault of our own is shown whole and exits with 3.
 */
import { CommanderError } from 'commander';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { makeProgram } from './program.ts';
import { paintErr, tell } from './terminal.ts';

export async function main(argv: readonly string[]): Promise<number> {
  let exit: number = EXIT.ok;
  const program = makeProgram((code) => { exit = code; });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exit;
  } catch (error) {
    return explainFault(error);
  }
}

function explainFault(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage; // it has said why
  if (error instanceof CliError) {
    tell(`${paintErr.bad(error.code)} ${error.message}`);
    tell(`  ${error.fix}`);
    return error.exit;
  }
  tell(`${paintErr.bad('A fault of Sluice itself:')} ${error instanceof Error ? error.stack ?? error.message : String(error)}`);
  return EXIT.unable;
}
