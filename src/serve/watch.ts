/** Says, once things have settled, that one of some files or folders has changed. */
import { type FSWatcher, watch } from 'chokidar';

export interface FileWatch {
  /** Watches these from now on, and no others; nothing once it is closed. */
  watchOnly(paths: readonly string[]): void;
  close(): Promise<void>;
}

/** Editors and deployments write in several steps; a change is told when none has followed for `settleMs`. */
export function watchFiles(onChange: () => void, onFault: (error: unknown) => void, settleMs = 100): FileWatch {
  let timer: NodeJS.Timeout | undefined;
  let watched = new Set<string>();
  let isClosed = false;
  const watcher: FSWatcher = watch([], { ignoreInitial: true });
  watcher.on('all', () => {
    clearTimeout(timer);
    timer = setTimeout(onChange, settleMs);
  });
  watcher.on('error', onFault);
  return {
    watchOnly(paths) {
      if (isClosed) return; // chokidar would open it again
      const wanted = new Set(paths);
      watcher.unwatch([...watched].filter((path) => !wanted.has(path)));
      watcher.add([...wanted].filter((path) => !watched.has(path)));
      watched = wanted;
    },
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await watcher.close();
    },
  };
}
