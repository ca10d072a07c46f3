/** Folders of a cache that one state of the sources uses, and that no one needs once it has changed. */
import { globSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

/** Longer than a run of all tests, which say at their start that they use a folder. */
const KEPT_MS = 3 * 3_600_000;

/** Its time is that of its last use, not of its making. */
export function used(folder: string): string {
  const now = new Date();
  utimesSync(folder, now, now);
  return folder;
}

/** Also unfinished ones, of processes that were killed. Another process may remove them at the same time. */
export function removeUnused(cache: string, prefix: string): void {
  for (const name of globSync(`${prefix}*`, { cwd: cache })) {
    const folder = join(cache, name);
    const stats = statSync(folder, { throwIfNoEntry: false });
    if (stats !== undefined && Date.now() - stats.mtimeMs > KEPT_MS) rmSync(folder, { recursive: true, force: true });
  }
}
