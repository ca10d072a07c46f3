/** A file that a handler's config names: read when it opens, read again when it changes, never worse than the last good reading. */
import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import type { Host } from './contract.ts';

export interface WatchedFile<T> {
  /** Of the last good reading. */
  readonly current: T;
  readonly close: () => void;
}

export interface WatchedFileOptions<T> {
  /** As the config says it: relative to the folder of the policy. */
  readonly path: string;
  /** Throws where the text is bad; the message says the line. */
  readonly parse: (text: string) => T;
  /** How often the file is looked at; 1 s where absent. */
  readonly everyMs?: number;
}

const EVERY_MS = 1000;

/**
 * Fails where the file cannot be read or is bad when it opens. Afterwards a bad or missing file keeps the last good
 * reading, warns once for each change, makes the handler not ready, and counts in `sluice_plugin_bad_file_total`.
 *
 * It is looked at, not waited for: notifications miss files that are replaced behind a link (Kubernetes ConfigMaps) or
 * stand on a network file system.
 */
export async function watchedFile<T>(host: Host, options: WatchedFileOptions<T>): Promise<WatchedFile<T>> {
  const path = isAbsolute(options.path) ? options.path : resolve(host.folder, options.path);
  const bad = host.metrics.counter('bad_file', 'Readings of a watched file that were bad, so that the last good one is kept.');

  const read = async (): Promise<{ text: string; value: T }> => {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      throw new Error(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { cause: error });
    });
    try {
      return { text, value: options.parse(text.replace(/^\uFEFF/, '')) };
    } catch (error) {
      throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  };

  let { text, value } = await read();
  let reading: Promise<void> | undefined;
  let isClosed = false;

  const readAgain = async (): Promise<void> => {
    try {
      const next = await read();
      if (isClosed) return;
      host.ready(true);
      if (next.text === text) return;
      ({ text, value } = next);
      host.log.info('a file has changed and is read', { file: path });
    } catch (error) {
      if (isClosed) return;
      bad.add();
      const why = error instanceof Error ? error.message : String(error);
      host.ready(false, `${why}; the last good reading is kept`);
      host.log.warn('a file has turned bad; the last good reading is kept', { file: path, error: why });
    }
  };
  const onChange = (): void => { reading = (reading ?? Promise.resolve()).then(readAgain); };

  watchFile(path, { interval: options.everyMs ?? EVERY_MS, persistent: false }, onChange);
  const close = (): void => {
    isClosed = true;
    unwatchFile(path, onChange);
  };
  if (host.signal.aborted) close();
  else host.signal.addEventListener('abort', close, { once: true });
  return {
    get current() {
      return value;
    },
    close,
  };
}
