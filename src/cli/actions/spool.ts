/** `sluice spool list`: what waits on disk, read beside the servers that write it. */
import { inspectSpool, newerText } from '../../spool/index.ts';
import { paintOut } from '../../text/paint.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { type FolderFlags, handlersIn } from '../spool-folders.ts';
import { columns, printOut } from '../terminal.ts';

export type SpoolFlags = FolderFlags & { readonly json?: true };

export async function listSpools(flags: SpoolFlags): Promise<ExitCode> {
  const rows = [];
  for (const { name: handler, logs } of await handlersIn(flags))
    for (const { worker, folder } of logs) rows.push({ handler, worker, folder, ...(await inspectSpool(folder)) });
  if (flags.json === true) {
    printOut(
      JSON.stringify(
        rows.map(({ oldestAtMs, owner, newerFormat, ...row }) => ({
          ...row,
          oldest: oldestAtMs === undefined ? null : new Date(oldestAtMs).toISOString(),
          owner: owner ?? null,
          newerFormat: newerFormat ?? null,
        })),
      ),
    );
    return EXIT.ok;
  }
  if (rows.length === 0) printOut('no spools');
  else
    for (const line of columns(
      [
        ['HANDLER', 'WORKER', 'WAITING', 'BYTES', 'OLDEST', 'OWNER'],
        ...rows.map(({ handler, worker, waiting, bytes, oldestAtMs, owner }) => [
          handler,
          String(worker),
          String(waiting),
          String(bytes),
          oldestAtMs === undefined ? '-' : new Date(oldestAtMs).toISOString(),
          owner === undefined ? 'orphan' : `pid ${owner}`,
        ]),
      ],
      [paintOut.name],
    ))
      printOut(line);
  for (const { folder, newerFormat } of rows)
    if (newerFormat !== undefined) printOut(`${folder}: ${newerText(newerFormat)}; start that version to send them`);
  return EXIT.ok;
}
