/** A file named in a handler's config: read on open and on change; a bad file keeps the last good content. */
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { stampOf, watchFiles } from '../files/watch.ts';
import type { Host } from './contract.ts';
import { messageOf } from '../text/message-of.ts';

export interface WatchedFile<T> {
  /** From the last good reading. */
  readonly current: T;
}

export interface WatchedFileOptions<T> {
  /** As in the config, relative to the folder of the policy. */
  readonly path: string;
  /** Throws if the text is bad, naming the line. Parse long texts in slices: await `turn()` where it returns a promise. */
  readonly parse: (text: string, turn: Turn) => T | Promise<T>;
  /** Polling interval, default 1 s. A changed file is read when two polls in a row see the same. */
  readonly everyMs?: number;
  /** A larger file is bad; default 4 MiB. */
  readonly maxBytes?: number;
}

/** A promise for the next turn of the event loop if the current one has lasted 5 ms; else nothing. */
export type Turn = () => Promise<void> | undefined;

const EVERY_MS = 1000;
const MOST_BYTES = 4 * 1024 * 1024;
const TURN_MS = 5;

/** A handler may watch several files; it is ready when none is bad. */
const badFiles = new WeakMap<Host, Map<string, string>>();

function say(host: Host, path: string, why: string | undefined): void {
  const known = badFiles.get(host) ?? new Map<string, string>();
  badFiles.set(host, known);
  if (why === undefined) known.delete(path);
  else known.set(path, why);
  const [first] = known.values();
  host.ready(first === undefined, first);
}

/**
 * Rejects if the file cannot be read, is empty, too large or bad on open. Later, such a file keeps the last good content, logs a
 * warning per change, makes the handler not ready, and counts in `sluice_plugin_bad_file_total`. Ends with the handler.
 *
 * A file is read once it is stable for two polls. An empty file is bad, since an interrupted writer or a full disk leaves one. Slow
 * writers should write to another file and rename it.
 */
export async function watchedFile<T>(host: Host, options: WatchedFileOptions<T>): Promise<WatchedFile<T>> {
  const path = resolve(host.folder, options.path);
  const bad = host.metrics.counter(
    'bad_file',
    'Readings of a watched file that were bad, so that the last good one is kept.',
  );

  const known = await stampOf(path); // before reading: what changes meanwhile counts as a change
  let { text, value } = await readWith(path, options);
  let isBad = false;

  async function readAgain(stamp: string): Promise<boolean> {
    const isWrittenMeanwhile = async (): Promise<boolean> => (await stampOf(path)) !== stamp;
    try {
      const next = await readWith(path, options);
      if (await isWrittenMeanwhile()) return false;
      say(host, path, undefined);
      const wasBad = isBad;
      isBad = false;
      if (next.text === text && !wasBad) return true;
      ({ text, value } = next);
      host.log.info(wasBad ? 'a file that was bad is good again and is read' : 'a file has changed and is read', {
        file: path,
      });
    } catch (error) {
      if (await isWrittenMeanwhile()) return false;
      isBad = true;
      const why = messageOf(error);
      bad.add();
      say(host, path, `${why}; the last good reading is kept`);
      host.log.warn('a file has turned bad; the last good reading is kept', { file: path, error: why });
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
  { parse, maxBytes = MOST_BYTES }: WatchedFileOptions<T>,
): Promise<{ text: string; value: T }> {
  const text = await readText(path, maxBytes);
  try {
    if (text.trim() === '') throw new Error('it is empty; if that is meant, write a comment into it');
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

function turns(): Turn {
  let startedMs = performance.now();
  return () => {
    if (performance.now() - startedMs < TURN_MS) return undefined;
    return immediate().then(() => {
      startedMs = performance.now();
    });
  };
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? messageOf(error);
