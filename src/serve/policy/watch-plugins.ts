/**
 * Watches the local plugins of a policy, for their authors. Each change leaves the old modules in memory, so it is for development.
 * **In**: the plugins of the last loaded policy. **Out**: a call for each change, once files are stable; the next load imports changed
 * modules again. **Fails**: never.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../adapters/contract.ts';
import { forgetModule } from '../../adapters/loading/import-adapters.ts';
import type { FoundPlugin } from '../../adapters/registry.ts';
import { stampOfStats, startWatching, type Watching } from '../../files/watch.ts';

export interface LoadedModules {
  readonly found: readonly FoundPlugin[];
  /** When their load began; milliseconds since 1970. */
  readonly sinceMs: number;
}

export interface PluginWatchOptions {
  readonly loaded: () => LoadedModules;
  readonly log: Log;
  readonly onChange: () => void;
}

interface Files {
  readonly stamps: string[];
  /** Of the last change; milliseconds since 1970. */
  changedAtMs: number;
}

export function watchPlugins({ loaded, log, onChange }: PluginWatchOptions): Watching {
  /** By path: as they were loaded, and as they were polled last. */
  const known = new Map<string, string>();
  let polled = new Map<string, Files>();

  async function stamp(): Promise<string> {
    const paths = new Set(loaded().found.flatMap(({ path }) => (path.includes('/node_modules/') ? [] : path)));
    polled = new Map();
    for (const path of paths) polled.set(path, await filesOf(path));
    return [...polled].map(([path, { stamps }]) => [path, ...stamps].join('\n')).join('\n');
  }

  function takeChange(): void {
    const { found, sinceMs } = loaded();
    const changed = new Set<string>();
    for (const [path, { stamps, changedAtMs }] of polled) {
      const now = stamps.join('\n');
      const before = known.get(path);
      known.set(path, now);
      // One that is new here may have changed between its import and this poll.
      if (before === undefined ? changedAtMs > sinceMs : before !== now) changed.add(path);
    }
    if (changed.size === 0) return;
    for (const { path, module } of found) if (changed.has(path)) forgetModule(module);
    log.info('a plugin has changed and is loaded again; the old one stays in memory', { plugins: [...changed] });
    onChange();
  }

  return startWatching({ stamp, onChange: takeChange }, (error) =>
    log.error('plugins are no longer watched; restart to load changed ones', { error }),
  );
}

/** All files of a plugin but its packages; a file that cannot be read is left out, and loading says why. */
async function filesOf(path: string, files: Files = { stamps: [], changedAtMs: 0 }): Promise<Files> {
  try {
    const stats = await stat(path, { bigint: true });
    if (stats.isDirectory()) {
      const names = (await readdir(path)).filter((name) => !name.startsWith('.') && name !== 'node_modules');
      for (const name of names.toSorted()) await filesOf(join(path, name), files);
    } else {
      files.stamps.push(`${path} ${stampOfStats(stats)}`);
      files.changedAtMs = Math.max(files.changedAtMs, Number(stats.ctimeMs));
    }
  } catch {
    files.stamps.push(`${path} ?`);
  }
  return files;
}
