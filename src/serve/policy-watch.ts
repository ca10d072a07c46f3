/**
 * Says when the files of a policy have changed.
 * **In**: paths, and how often to look. **Out**: a call for each change that has come to rest. **Fails**: never; a path that is gone is
 * told once, and once when it is back.
 *
 * Files are looked at by time: the system's events are lost where a folder is replaced or a link swapped, and do not exist on
 * many network file systems. A look costs a `stat` for each file; the pause follows from what the last one cost.
 */
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../adapters/contract.ts';

export interface PolicyWatchOptions {
  /** Files and folders, absolute. */
  readonly roots: readonly string[];
  /** Further files, as they are known at each look. */
  readonly files: () => Iterable<string>;
  /** Between two looks; a change is told when two looks in a row see the same. */
  readonly lookMs?: number;
  readonly log: Log;
  readonly onChange: () => void;
}

export interface PolicyWatch {
  close(): Promise<void>;
}

const LOOK_MS = 500;
/** Of the time, looking takes at most one part in so many. */
const SHARE = 50;

export function watchPolicy({ roots, files, lookMs = LOOK_MS, log, onChange }: PolicyWatchOptions): PolicyWatch {
  const over = new AbortController();
  const gone = new Set<string>();

  async function rounds(): Promise<void> {
    let told: Marks | undefined; // so that a change since the policy was read is told as well
    let last: Marks | undefined;
    let pauseMs = lookMs;
    for (;;) {
      await sleep(pauseMs, undefined, { signal: over.signal, ref: false });
      const beganAtMs = performance.now();
      const marks = await marksOf(roots, files());
      pauseMs = Math.max(lookMs, (performance.now() - beganAtMs) * SHARE);
      tellOfRoots(marks.missing);
      const isStill = marks.text === last?.text;
      last = marks;
      if (!isStill || marks.text === told?.text || marks.missing.length > 0) continue;
      told = marks;
      onChange();
    }
  }

  function tellOfRoots(missing: readonly string[]): void {
    for (const path of missing)
      if (!gone.has(path))
        log.warn('a path of the policy is gone; the last good policy stays in force until it is back', { path });
    for (const path of gone) if (!missing.includes(path)) log.info('a path of the policy is back', { path });
    gone.clear();
    for (const path of missing) gone.add(path);
  }

  const ended = rounds().catch((error: unknown) => {
    if (!over.signal.aborted) log.error('the policy is no longer watched; SIGHUP still loads it anew', { error });
  });
  return {
    async close() {
      over.abort();
      await ended;
    },
  };
}

interface Marks {
  readonly text: string;
  /** Roots that are not there. */ readonly missing: readonly string[];
}

async function marksOf(roots: readonly string[], files: Iterable<string>): Promise<Marks> {
  const lines: string[] = [];
  const missing: string[] = [];
  for (const root of roots) if (!(await addMarks(root, lines, new Set(), true))) missing.push(root);
  for (const file of files) await addMarks(file, lines, new Set(), true);
  return { text: lines.join('\n'), missing };
}

/** The same files that are read as a policy, by what changes when one is written, replaced, or reached through another link. False where there is none. */
async function addMarks(path: string, lines: string[], above: ReadonlySet<string>, isNamed: boolean): Promise<boolean> {
  try {
    const info = await stat(path);
    if (!info.isDirectory()) {
      if (isNamed || /\.ya?ml$/.test(path)) lines.push(`${path} ${info.dev} ${info.ino} ${info.mtimeMs} ${info.size}`);
      return true;
    }
    const real = await realpath(path);
    if (above.has(real)) return true; // a link that leads back
    const names = (await readdir(path)).filter((name) => !name.startsWith('.')).toSorted();
    lines.push(`${path} ${info.dev} ${info.ino}`);
    const within = new Set([...above, real]);
    for (const name of names) await addMarks(join(path, name), lines, within, false);
    return true;
  } catch {
    lines.push(`${path} ?`); // it cannot be read, which loading explains
    return false;
  }
}
