/**
 * `sluice deadletter list|show|replay|drop`: reports that a backend refused. A running server is asked for those in its memory and on its
 * disk; those in a folder are read and settled beside it.
 */
import { counted } from '../../text/counted.ts';
import type { SpooledHandler } from '../../core/handlers/spooled/folders.ts';
import type { LetterRow } from '../../core/handlers/dead-letter-requests.ts';
import { contentOf, jsonValue } from '../../core/handlers/spooled/letter-content.ts';
import {
  type DeadLetter,
  dropDeadLetters,
  newerFormat,
  newerText,
  readDeadLetters,
  replayDeadLetters,
} from '../../spool/index.ts';
import { safeLine } from '../../log/safe-text.ts';
import { paintOut } from '../../text/paint.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { letterOf, lettersOf, settledBy } from '../letters-of-server.ts';
import { type FolderFlags, handlersIn } from '../spool-folders.ts';
import { columns, printErr, printOut } from '../terminal.ts';

export type DeadLetterFlags = FolderFlags & {
  readonly to?: string;
  readonly handler?: string;
  readonly all?: true;
  readonly json?: true;
};

/** Where a server is asked if no folder is named. */
const DEFAULT_ADMIN = '127.0.0.1:15014';

/** The admin port to ask; `undefined`: the letters are on disk. */
function serverOf({ to, folder, policy }: DeadLetterFlags): string | undefined {
  const isOnDisk = folder !== undefined || policy !== undefined;
  if (isOnDisk && to !== undefined)
    throw new CliError('CLI_USAGE', 'expected --to HOST:PORT, --folder PATH or --policy PATH, one of them');
  return isOnDisk ? undefined : (to ?? DEFAULT_ADMIN);
}

export async function listLetters(flags: DeadLetterFlags): Promise<ExitCode> {
  const server = serverOf(flags);
  if (server === undefined) {
    printRows(await lettersIn(flags), flags);
    return EXIT.ok;
  }
  const { letters, more, incomplete } = await lettersOf(server, flags.handler);
  if (incomplete === undefined || letters.length > 0) printRows(letters, flags);
  if (incomplete !== undefined) throw new CliError('CLI_SPOOL', `the list is incomplete: ${incomplete}`);
  if (more > 0) printErr(`and ${more} more on disk; --folder or --policy lists them all`);
  return EXIT.ok;
}

async function lettersIn(flags: DeadLetterFlags): Promise<readonly LetterRow[]> {
  const rows: LetterRow[] = [];
  for (const { name, deadLetters } of await handlersOf(flags))
    for (const folder of deadLetters) {
      const newer = await newerFormat(folder);
      if (newer !== undefined) printErr(`${folder}: ${newerText(newer)}; list them by that version`);
      for await (const { id, rule, atMs, bytes, why } of readDeadLetters(folder))
        rows.push({ handler: name, id, rule, refused: new Date(atMs).toISOString(), bytes: bytes.length, why });
    }
  return rows;
}

function printRows(rows: readonly LetterRow[], flags: DeadLetterFlags): void {
  if (flags.json === true) printOut(JSON.stringify(rows));
  else if (rows.length === 0) printOut('no dead letters');
  else
    for (const line of columns(
      [
        ['HANDLER', 'ID', 'RULE', 'REFUSED', 'BYTES', 'WHY'],
        ...rows.map((row) => [row.handler, row.id, row.rule, row.refused, String(row.bytes), row.why]),
      ],
      [paintOut.name],
    ))
      printOut(line);
}

export async function showLetter(id: string, flags: DeadLetterFlags): Promise<ExitCode> {
  const server = serverOf(flags);
  if (server !== undefined) {
    printOut(JSON.stringify(await letterOf(server, id, flags.handler), undefined, 2));
    return EXIT.ok;
  }
  for (const { name, deadLetters } of await handlersOf(flags))
    for (const folder of deadLetters)
      for await (const letter of readDeadLetters(folder))
        if (letter.id === id) {
          printOut(JSON.stringify(shown(name, letter), jsonValue, 2));
          return EXIT.ok;
        }
  throw noSuch([id]);
}

const shown = (handler: string, { id, rule, why, atMs, bytes }: DeadLetter): Readonly<Record<string, unknown>> => ({
  handler,
  id,
  rule,
  refused: new Date(atMs).toISOString(),
  why,
  ...contentOf(bytes),
});

export async function settleLetters(
  how: 'replay' | 'drop',
  ids: readonly string[],
  flags: DeadLetterFlags,
): Promise<ExitCode> {
  if (ids.length > 0 === (flags.all === true)) throw new CliError('CLI_USAGE', 'expected ids, or --all');
  const server = serverOf(flags);
  if (server !== undefined) return settleAt(server, how, ids, flags);
  const isWanted = ({ id }: { readonly id: string }): boolean => flags.all === true || ids.includes(id);
  const missing = new Set(ids);
  let settled = 0;
  for (const { deadLetters, firstLog } of await handlersOf(flags))
    for (const folder of deadLetters) {
      const done = await (how === 'replay'
        ? replayDeadLetters(folder, firstLog, isWanted)
        : dropDeadLetters(folder, isWanted));
      settled += done.length;
      for (const id of done) missing.delete(id);
    }
  printSettled(how, settled);
  if (missing.size > 0) throw noSuch([...missing]);
  return EXIT.ok;
}

async function settleAt(
  server: string,
  how: 'replay' | 'drop',
  ids: readonly string[],
  { all, handler }: DeadLetterFlags,
): Promise<ExitCode> {
  const { settled, failed, incomplete } = await settledBy(server, how, all === true ? undefined : ids, handler);
  printSettled(how, settled.length);
  for (const { id, why } of failed) printErr(safeLine(`${id} stays: ${why}`));
  if (incomplete !== undefined) throw new CliError('CLI_SPOOL', `others may not have been ${DONE[how]}: ${incomplete}`);
  const known = new Set([...settled, ...failed.map(({ id }) => id)]);
  const missing = ids.filter((id) => !known.has(id));
  if (missing.length > 0) throw noSuch(missing);
  return failed.length > 0 ? EXIT.findings : EXIT.ok;
}

const DONE = { replay: 'sent again', drop: 'dropped' };

const printSettled = (how: 'replay' | 'drop', settled: number): void =>
  printOut(`${counted(settled, 'dead letter')} ${how === 'replay' ? 'will be sent again' : 'dropped'}`);

async function handlersOf(flags: DeadLetterFlags): Promise<readonly SpooledHandler[]> {
  const handlers = await handlersIn(flags);
  if (flags.handler === undefined) return handlers;
  const named = handlers.filter(({ name }) => name === flags.handler);
  if (named.length === 0)
    throw new CliError(
      'CLI_SPOOL',
      `no handler ${flags.handler} has a spool there; these have: ${handlers.map(({ name }) => name).join(', ') || 'none'}`,
    );
  return named;
}

const noSuch = (ids: readonly string[]): CliError =>
  new CliError('CLI_SPOOL', `no dead letter has the id ${ids.join(', ')}`);
