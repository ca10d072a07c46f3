/**
 * The command `sluice`.
 * **In**: arguments. **Out**: an exit code (see `exit-codes.ts`), output on stdout, diagnostics on stderr.
 * **Fails**: never throws; an internal error is printed with its stack and exits with 3.
 */
import { CommanderError } from 'commander';
import { ADAPTER_ERRORS, AdapterError } from '../adapters/errors.ts';
import { SnapshotError } from '../core/snapshot/errors.ts';
import { exitOf, isExpected } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { findingText } from './findings.ts';
import { makeProgram } from './program.ts';
import { safeText } from '../log/safe-text.ts';
import { paintErr } from '../text/paint.ts';
import { printErr } from './terminal.ts';

export async function main(argv: readonly string[]): Promise<number> {
  let exit: number = EXIT.ok;
  const program = makeProgram((code) => {
    exit = code;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exit;
  } catch (error) {
    return explainFault(error);
  }
}

function explainFault(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage; // commander has printed it
  if (isExpected(error)) {
    printErr(`${paintErr.bad(error.code)} ${safeText(error.message)}`);
    printErr(`  ${error.fix}`);
    return exitOf(error);
  }
  if (error instanceof SnapshotError) {
    // thrown by commands that open handlers
    for (const finding of error.findings) printErr(findingText(finding, paintErr));
    return EXIT.unable;
  }
  if (error instanceof AdapterError) {
    printErr(`${paintErr.bad(error.code)} ${safeText(error.message)}`);
    printErr(`  ${ADAPTER_ERRORS[error.code].fix}`);
    return EXIT.unable;
  }
  printErr(
    `${paintErr.bad('Internal error:')} ${safeText(error instanceof Error ? (error.stack ?? error.message) : String(error))}`,
  );
  return EXIT.unable;
}
