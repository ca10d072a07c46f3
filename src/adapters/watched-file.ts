/** A file that a handler's config names: read when it opens, read again when it changes, never worse than the last good reading. */
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from './contract.ts';

export interface WatchedFile<T> {
  /** Of the last good reading. */
  readonly current: T;
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

/** A handler may watch several: it is ready when none is bad. */
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
 * Fails where the file cannot be read or is bad when it opens. Afterwards a bad or missing file keeps the last good
 * reading, warns once for each change, makes the handler not ready, and counts in `sluice_plugin_bad_file_total`.
 * Ends with the handler.
 *
 * It is looked at, not waited for: notifications miss files that are replaced behind a link (Kubernetes ConfigMaps) or
 * stand on a network file system.
 */
export async function watchedFile<T>(host: Host, options: WatchedFileOptions<T>): Promise<WatchedFile<T>> {
  const path = resolve(host.folder, options.path);
  const bad = host.metrics.counter('bad_file', 'Readings of a watched file that were bad, so that the last good one is kept.');

  let seen = await stampOf(path); // before reading: what changes meanwhile is seen as changed
  let { text, value } = await readWith(path, options.parse);

  host.background(`watching ${options.path}`, async (signal) => {
    for (;;) {
      await sleep(options.everyMs ?? EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      const stamp = await stampOf(path);
      if (stamp === seen) continue;
      seen = stamp;
      try {
        const next = await readWith(path, options.parse);
        say(host, path, undefined);
        if (next.text === text) continue;
        ({ text, value } = next);
        host.log.info('a file has changed and is read', { file: path });
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        bad.add();
        say(host, path, `${why}; the last good reading is kept`);
        host.log.warn('a file has turned bad; the last good reading is kept', { file: path, error: why });
      }
    }
  });
  return {
    get current() {
      return value;
    },
  };
}

async function readWith<T>(path: string, parse: (text: string) => T): Promise<{ text: string; value: T }> {
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).replace(/^\uFEFF/, '');
  } catch (error) {
    throw new Error(`${path} cannot be read: ${codeOf(error)}`, { cause: error });
  }
  try {
    return { text, value: parse(text) };
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** Differs whenever the file may: written, replaced, gone. */
async function stampOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return codeOf(error);
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);
