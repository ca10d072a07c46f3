/**
 * The command `sluice`.
 * **In**: arguments. **Out**: an exit code (see `exit-codes.ts`), output on stdout, diagnostics on stderr.
 * **Fails**: never throws; an internal error is printed with its stack and exits with 3.
 */
import { CommanderError } from 'commander';
import { ADAPTER_ERRORS, AdapterError } from '../adapters/errors.ts';
import { originOf } from '../adapters/loading/plugin-places.ts';
import { withoutSecretsInUse } from '../adapters/secrets-in-use.ts';
import { SnapshotError } from '../core/snapshot/errors.ts';
import { exitOf, isExpected } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { findingLines } from './findings.ts';
import { makeProgram } from './program.ts';
import { safeText } from '../log/safe-text.ts';
import { messageOf } from '../text/message-of.ts';
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

/** An error that no caller catches ends the command; one of a plugin is attributed to it. */
export function exitOnUncaughtError(): void {
  process.on('uncaughtException', (error) => {
    const origin = originOf(error);
    if (origin.kind !== 'plugin') process.exit(explainFault(error));
    printErr(
      `${paintErr.bad(`Uncaught error in the plugin ${origin.plugin}:`)} ${shownText(messageOf(error))} (${safeText(origin.frame)})`,
    );
    process.exit(EXIT.unable);
  });
}

/** A plugin may repeat the secrets of its config. */
const shownText = (text: string): string => safeText(String(withoutSecretsInUse(text)));

function explainFault(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage; // commander has printed it
  if (isExpected(error)) {
    printErr(`${paintErr.bad(error.code)} ${safeText(error.message)}`);
    printErr(`  ${error.fix}`);
    return exitOf(error);
  }
  if (error instanceof SnapshotError) {
    // thrown by commands that open handlers
    for (const line of findingLines(error.findings, paintErr)) printErr(line);
    return EXIT.unable;
  }
  if (error instanceof AdapterError) {
    printErr(`${paintErr.bad(error.code)} ${shownText(error.message)}`);
    printErr(`  ${ADAPTER_ERRORS[error.code].fix}`);
    return EXIT.unable;
  }
  printErr(
    `${paintErr.bad('Internal error:')} ${shownText(error instanceof Error ? (error.stack ?? error.message) : String(error))}`,
  );
  return EXIT.unable;
}
