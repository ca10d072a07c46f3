/** A file named in a handler's config: read on open and on change; if it is invalid, its last good content stays. */
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { stampOf, watchFiles } from '../files/watch.ts';
import type { Host } from './contract.ts';
import { messageOf } from '../text/message-of.ts';
import { type Turn, turns } from '../time/turns.ts';

export interface WatchedFile<T> {
  /** The last good content. */
  readonly current: T;
}

export interface WatchedFileOptions<T> {
  /** As in the config, relative to the folder of the policy. */
  readonly path: string;
  /** Throws if the text is invalid, naming the line. Parse long texts in slices: await `turn()` if it returns a promise. */
  readonly parse: (text: string, turn: Turn) => T | Promise<T>;
  /** Polling interval, default 1 s. A changed file is read when two consecutive polls see the same state. */
  readonly everyMs?: number;
  /** A larger file is invalid; default 4 MiB. */
  readonly maxBytes?: number;
}

const EVERY_MS = 1000;
const MAX_BYTES = 4 * 1024 * 1024;

/** A handler may watch several files; it is ready if all are valid. */
const badFiles = new WeakMap<Host, Map<string, string>>();

function reportReadiness(host: Host, path: string, why: string | undefined): void {
  const known = badFiles.get(host) ?? new Map<string, string>();
  badFiles.set(host, known);
  if (why === undefined) known.delete(path);
  else known.set(path, why);
  const [first] = known.values();
  host.ready(first === undefined, first);
}

/**
 * Rejects if the file cannot be read, is empty, too large or invalid on open. Later, the last good content stays, each change logs a
 * warning and counts in `sluice_plugin_bad_file_total`, and the handler is not ready. Ends with the handler.
 *
 * A file is read once it is stable for two polls. An empty file is invalid, since an interrupted writer or a full disk leaves one. Slow
 * writers should write to another file and rename it.
 */
export async function watchedFile<T>(host: Host, options: WatchedFileOptions<T>): Promise<WatchedFile<T>> {
  const path = resolve(host.folder, options.path);
  const bad = host.metrics.counter(
    'bad_file',
    'Changes of a watched file that were invalid; its last good content stayed in use.',
  );

  const known = await stampOf(path); // before reading, so that a change during the read is noticed
  let { text, value } = await readWith(path, options);
  let isBad = false;

  async function readAgain(stamp: string): Promise<boolean> {
    const isWrittenMeanwhile = async (): Promise<boolean> => (await stampOf(path)) !== stamp;
    try {
      const next = await readWith(path, options);
      if (await isWrittenMeanwhile()) return false;
      reportReadiness(host, path, undefined);
      const wasBad = isBad;
      isBad = false;
      if (next.text === text && !wasBad) return true;
      ({ text, value } = next);
      host.log.info(wasBad ? 'watched file is valid again and was read' : 'watched file changed and was read', {
        file: path,
      });
    } catch (error) {
      if (await isWrittenMeanwhile()) return false;
      isBad = true;
      const why = messageOf(error);
      bad.add();
      reportReadiness(host, path, `${why}; its last good content stays in use`);
      host.log.warn('watched file is invalid; its last good content stays in use', { file: path, error: why });
    }
    return true;
  }

  host.background(`watching ${options.path}`, (signal) =>
    watchFiles({
      stamp: () => stampOf(path),
      known,
      onChange: readAgain,
      everyMs: options.everyMs ?? EVERY_MS,
      signal,
    }),
  );
  return {
    get current() {
      return value;
    },
  };
}

async function readWith<T>(
  path: string,
  { parse, maxBytes = MAX_BYTES }: WatchedFileOptions<T>,
): Promise<{ text: string; value: T }> {
  const text = await readText(path, maxBytes);
  try {
    if (text.trim() === '') throw new Error('it is empty; if that is intended, write a comment into it');
    return { text, value: await parse(text, turns()) };
  } catch (error) {
    throw new Error(`${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function readText(path: string, maxBytes: number): Promise<string> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new Error('it is not a file');
    if (found.size > maxBytes) throw new Error(`it has ${found.size} bytes; at most ${maxBytes} are read`);
    return (await readFile(path, 'utf8')).replace(/^\uFEFF/, '');
  } catch (error) {
    throw new Error(`${path} cannot be read: ${codeOf(error)}`, { cause: error });
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? messageOf(error);
