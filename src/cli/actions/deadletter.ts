/** `sluice deadletter list|show|replay|drop`: reports that a backend refused, read and settled beside a running server. */
import type { SpooledHandler } from '../../core/handlers/spooled/folders.ts';
import { decodeReport } from '../../core/handlers/spooled/record.ts';
import {
  type DeadLetter,
  markDone,
  newerFormat,
  newerText,
  readDeadLetters,
  replayDeadLetters,
} from '../../spool/index.ts';
import { messageOf } from '../../text/message-of.ts';
import { paintOut } from '../../text/paint.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { type FolderFlags, handlersIn } from '../spool-folders.ts';
import { columns, printErr, printOut } from '../terminal.ts';

export type DeadLetterFlags = FolderFlags & {
  readonly handler?: string;
  readonly all?: true;
  readonly json?: true;
};

export async function listLetters(flags: DeadLetterFlags): Promise<ExitCode> {
  const rows: { handler: string; id: string; rule: string; refused: string; bytes: number; why: string }[] = [];
  const unread: string[] = [];
  for (const { name, deadLetters } of await handlersOf(flags))
    for (const folder of deadLetters) {
      const newer = await newerFormat(folder);
      if (newer !== undefined) unread.push(`${folder}: ${newerText(newer)}; list them by that version`);
      for await (const { id, rule, atMs, bytes, why } of readDeadLetters(folder))
        rows.push({ handler: name, id, rule, refused: new Date(atMs).toISOString(), bytes: bytes.length, why });
    }
  for (const line of unread) printErr(line);
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
  return EXIT.ok;
}

export async function showLetter(id: string, flags: DeadLetterFlags): Promise<ExitCode> {
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

/** The record itself, in base64, if this version cannot read it. */
function contentOf(bytes: Buffer): Readonly<Record<string, unknown>> {
  try {
    const { timeMs, input, definition } = decodeReport(bytes);
    return { reported: new Date(timeMs).toISOString(), values: input, params: definition?.params };
  } catch (error) {
    return { unreadable: messageOf(error), record: bytes.toString('base64') };
  }
}

/** Bytes as base64, and numbers that JSON lacks as text. */
function jsonValue(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? String(value) : value;
}

export async function settleLetters(
  how: 'replay' | 'drop',
  ids: readonly string[],
  flags: DeadLetterFlags,
): Promise<ExitCode> {
  if (ids.length > 0 === (flags.all === true)) throw new CliError('CLI_USAGE', 'expected ids, or --all');
  const isWanted = ({ id }: { readonly id: string }): boolean => flags.all === true || ids.includes(id);
  const missing = new Set(ids);
  let settled = 0;
  for (const { deadLetters, firstLog } of await handlersOf(flags))
    for (const folder of deadLetters) {
      const done = await (how === 'replay' ? replayDeadLetters(folder, firstLog, isWanted) : dropped(folder, isWanted));
      settled += done.length;
      for (const id of done) missing.delete(id);
    }
  printOut(`${settled} dead letter${settled === 1 ? '' : 's'} ${how === 'replay' ? 'will be sent again' : 'dropped'}`);
  if (missing.size > 0) throw noSuch([...missing]);
  return EXIT.ok;
}

async function dropped(folder: string, isWanted: (letter: DeadLetter) => boolean): Promise<readonly string[]> {
  const letters: { readonly id: string; readonly sequence: number }[] = [];
  for await (const letter of readDeadLetters(folder))
    if (isWanted(letter)) letters.push({ id: letter.id, sequence: letter.sequence });
  if (letters.length > 0) await markDone(folder, letters);
  return letters.map(({ id }) => id);
}

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
