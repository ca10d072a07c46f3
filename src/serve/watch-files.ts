/**
 * Watches the files of a policy.
 * **In**: paths of files and folders. **Out**: a call for each change, once the files are stable. **Fails**: never; a path that
 * disappears is logged once, and once when it is back.
 */
import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../adapters/contract.ts';
import { stampOfStats, startWatching, type Watching } from '../files/watch.ts';
import { isPolicyName, MOST_FILES, MOST_FOLDERS } from '../yaml/policy-files.ts';

export interface PolicyWatchOptions {
  /** The noun for their content in log lines: `policy`. */
  readonly part: string;
  /** Files and folders, absolute. */
  readonly roots: readonly string[];
  /** Further files, read at each poll: the ones behind `$file`. */
  readonly files: () => Iterable<string>;
  readonly everyMs?: number | undefined;
  readonly log: Log;
  readonly onChange: () => void;
}

export function watchPolicy({ part, roots, files, everyMs, log, onChange }: PolicyWatchOptions): Watching {
  const gone = new Set<string>();

  async function stamp(): Promise<string | undefined> {
    const lines: string[] = [];
    const missing: string[] = [];
    for (const root of roots) if (!(await addStamps(root, lines, new Set(), true))) missing.push(root);
    for (const file of files()) await addStamps(file, lines, new Set(), true);
    logMissing(missing);
    return missing.length === 0 ? lines.join('\n') : undefined;
  }

  function logMissing(missing: readonly string[]): void {
    for (const path of missing)
      if (!gone.has(path))
        log.warn(`a path of the ${part} is gone; the last good one stays until it is back`, { path });
    for (const path of gone) if (!missing.includes(path)) log.info(`a path of the ${part} is back`, { path });
    gone.clear();
    for (const path of missing) gone.add(path);
  }

  // The first stamp counts as a change too: the policy may have changed since it was read.
  return startWatching({ stamp, onChange, everyMs }, (error) =>
    log.error(`the ${part} is no longer watched; SIGHUP still reloads it`, { error }),
  );
}

/** Of a policy within the reader's bounds; it refuses a larger one. */
const MOST_LINES = MOST_FILES + MOST_FOLDERS;

/** Adds a line for each policy file and folder, up to {@link MOST_LINES}. False if `path` cannot be read. */
async function addStamps(
  path: string,
  lines: string[],
  above: ReadonlySet<string>,
  isNamed: boolean,
): Promise<boolean> {
  if (lines.length > MOST_LINES) return true;
  try {
    const stats = await stat(path, { bigint: true });
    if (!stats.isDirectory()) {
      if (isNamed || isPolicyName(path)) lines.push(`${path} ${stampOfStats(stats)}`);
      return true;
    }
    const real = await realpath(path);
    if (above.has(real)) return true; // a symlink cycle
    const entries = await readdir(path, { withFileTypes: true });
    const names = entries.filter(mayBePolicy).map(({ name }) => name);
    lines.push(`${path} ${stats.dev} ${stats.ino}`);
    const within = new Set([...above, real]);
    for (const name of names.toSorted()) await addStamps(join(path, name), lines, within, false);
    return true;
  } catch {
    lines.push(`${path} ?`); // loading reports why it cannot be read
    return false;
  }
}

/** Or a folder of such files, or a link to one. */
const mayBePolicy = (entry: Dirent): boolean =>
  !entry.name.startsWith('.') && (isPolicyName(entry.name) || !entry.isFile());
