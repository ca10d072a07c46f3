/**
 * The folders of spools: `FOLDER/HANDLER/WORKER` for logs, `FOLDER/HANDLER/dead-letters` (and `dead-letters-WORKER`) beside them.
 * Commands that list what is in them, for log lines.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { spoolOfAside } from '../../../spool/index.ts';

const DEAD_LETTERS = 'dead-letters';

export interface SpooledHandler {
  readonly name: string;
  /** By worker number; a worker also has those that a downgrade put aside. */
  readonly logs: readonly { readonly worker: number; readonly folder: string }[];
  readonly deadLetters: readonly string[];
  /** Where dead letters are replayed: there always is a first worker. */
  readonly firstLog: string;
}

/** In the order of their names. Rejects if a folder cannot be read. */
export async function spooledHandlers(folder: string): Promise<readonly SpooledHandler[]> {
  const handlers: SpooledHandler[] = [];
  for (const name of await foldersIn(folder)) {
    const own = join(folder, name);
    const inside = await foldersIn(own);
    handlers.push({
      name,
      logs: inside
        .flatMap((one) => {
          const worker = workerOf(one);
          return worker === undefined ? [] : [{ worker, folder: join(own, one) }];
        })
        .toSorted((a, b) => a.worker - b.worker),
      deadLetters: inside.filter(isDeadLetterFolder).map((one) => join(own, one)),
      firstLog: join(own, '1'),
    });
  }
  return handlers;
}

/** Whose log a folder of this name is; `undefined`: it is none. */
export function workerOf(name: string): number | undefined {
  const spool = spoolOfAside(name);
  return /^\d+$/.test(spool) ? Number(spool) : undefined;
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted();
}

export const isDeadLetterFolder = (name: string): boolean => /^dead-letters(-\d+)?$/.test(spoolOfAside(name));

/** `folder`: of the handler, which is in that of the policy. */
export const deadLetterFolder = (folder: string, worker: number): string =>
  join(folder, worker === 1 ? DEAD_LETTERS : `${DEAD_LETTERS}-${worker}`);

/** For a shell. `folder`: of all handlers. */
export const commandFor = (command: string, folder: string): string =>
  `sluice ${command} --folder ${shellWord(folder)}`;

const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
