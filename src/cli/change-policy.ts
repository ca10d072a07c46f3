/**
 * Changes the policy in force of a running server.
 * **In**: its admin port, and the change. **Out**: the revision that is now in force, on stdout. **Fails**: with exit code 1 and the
 * reason if the server refuses; with a CliError if it does not answer.
 */
import { userInfo } from 'node:os';
import { safeLine } from '../log/safe-text.ts';
import { causeMessageOf } from '../text/message-of.ts';
import { addressText } from '../transport/index.ts';
import { CliError } from './cli-error.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { parseAddress } from './flag-values.ts';
import { printErr, printOut } from './terminal.ts';

/** Loading a large policy takes half a minute on a busy machine, and a load that runs is awaited. */
const TIMEOUT_MS = 120_000;

interface Answer {
  readonly revision?: string;
  readonly error?: string;
  readonly findings?: readonly { readonly at: string; readonly code: string; readonly message: string }[];
}

/** `command`: for the log of the server, with the user. */
export async function changePolicy(
  admin: string,
  path: string,
  query: Readonly<Record<string, string>>,
  command: string,
): Promise<ExitCode> {
  const url = `http://${addressText(parseAddress(admin))}${path}`;
  const { status, answer } = await posted(`${url}?${new URLSearchParams(query).toString()}`, `${command} by ${user()}`);
  if (status === 200 && answer.revision !== undefined) {
    printOut(`revision ${answer.revision} is in force`);
    return EXIT.ok;
  }
  if (answer.error === undefined) throw new CliError('CLI_UNREACHABLE', `${url} answers ${status}`);
  printErr(`refused: ${safeLine(answer.error)}`);
  for (const { at, code, message } of answer.findings ?? []) printErr(safeLine(`${at} ${code} ${message}`));
  return EXIT.findings;
}

async function posted(url: string, agent: string): Promise<{ readonly status: number; readonly answer: Answer }> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(url, { method: 'POST', headers: { 'user-agent': agent }, signal });
    return { status: response.status, answer: (await response.json()) as Answer };
  } catch (error) {
    throw new CliError('CLI_UNREACHABLE', `${url} does not answer: ${causeMessageOf(error)}`, { cause: error });
  }
}

/** A user without an entry in the system's list has a number only. */
function user(): string {
  try {
    return userInfo().username.replaceAll(/[^\x21-\x7e]/g, '?');
  } catch {
    return `user ${process.getuid?.() ?? 'unknown'}`;
  }
}
