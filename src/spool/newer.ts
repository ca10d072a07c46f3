/**
 * Segments of a newer version of Sluice, found after a downgrade.
 * **In**: the folder of a spool. **Out**: these segments in a folder of their own beside it, `FOLDER.newer-1`, with the cursor as it was.
 * **Fails**: if they cannot be moved; nothing is removed.
 *
 * They cannot stay: nobody knows their last sequence, so that later records would share sequences with them, and the cursor would pass
 * over them. A crash in between leaves a part of them, which the next start moves to another such folder.
 */
import { copyFile, mkdir, open, readdir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readSegments, type Segment, syncFolder, VERSION } from './segment.ts';
import type { SpoolLog } from './types.ts';

const ASIDE = '.newer-';
/** Files that name records by their sequence. */
const NAMING_RECORDS = ['cursor', 'done'];

/** The folders of such segments, by the name of their spool: `1.newer-2` is one of `1`. */
export function spoolOfAside(name: string): string {
  const at = name.lastIndexOf(ASIDE);
  return at > 0 && /^\d+$/.test(name.slice(at + ASIDE.length)) ? name.slice(0, at) : name;
}

export const newerText = (format: number): string =>
  `written by a newer version, format ${format}; this one reads up to ${VERSION}`;

/** The newest format in a folder that this version cannot read; `undefined`: it reads all. */
export async function newerFormat(folder: string): Promise<number | undefined> {
  const { newer } = await readSegments(folder).catch(() => ({ newer: [] }));
  return newer.length === 0 ? undefined : Math.max(...newer.map(({ version }) => version));
}

/** Moves them, and names those that wait beside the spool in one line; the segments that stay. The folder is locked. */
export async function putNewerAside(folder: string, log: SpoolLog): Promise<Segment[]> {
  const { segments, newer } = await readSegments(folder);
  const parent = dirname(folder);
  if (newer.length > 0) {
    const aside = await freshAside(folder);
    await mkdir(aside);
    for (const name of NAMING_RECORDS) await copySynced(join(folder, name), join(aside, name));
    await syncFolder(parent);
    for (const { path } of newer) await rename(path, join(aside, basename(path)));
    await syncFolder(aside);
    await syncFolder(folder);
  }
  for (const name of await readdir(parent)) {
    if (name === basename(folder) || spoolOfAside(name) !== basename(folder)) continue;
    const format = await newerFormat(join(parent, name));
    if (format !== undefined)
      log.warn('records of a newer version are kept, and not read; start that version again to have them', {
        folder: join(parent, name),
        why: newerText(format),
      });
  }
  return segments;
}

async function freshAside(folder: string): Promise<string> {
  const taken = new Set(await readdir(dirname(folder)));
  let number = 1;
  while (taken.has(`${basename(folder)}${ASIDE}${number}`)) number++;
  return `${folder}${ASIDE}${number}`;
}

/** Without a cursor all are read again. */
async function copySynced(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const file = await open(to, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
