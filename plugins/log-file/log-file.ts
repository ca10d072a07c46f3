/**
 * A file that is appended to, rotated, and opened again when it was moved or deleted.
 * **In**: chunks of whole lines. **Out**: how many bytes the system accepted. **Fails**: with the system's error, in the answer.
 *
 * Several processes may append to one file: each chunk is one write with O_APPEND, and whoever finds the file moved opens the new one.
 */
import { type FileHandle, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Log } from 'sluice/plugin';
import { type Append, type Appended, appendToFile } from '../lines/append.ts';

export interface LogFileOptions {
  /** Absolute. */
  readonly path: string;
  readonly rotate:
    | {
        readonly maxBytes?: number | undefined;
        readonly maxAgeMs?: number | undefined;
        readonly keepFiles: number;
        readonly keepBytes?: number | undefined;
      }
    | undefined;
  readonly sync: boolean;
  /** Part of the name of a rotated file, so that workers never take the same one. */
  readonly worker: number;
  readonly nowMs: () => number;
  readonly log: Log;
}

const MODE = 0o640;
const NEWLINE = 0x0a;

interface Opened {
  readonly handle: FileHandle;
  readonly dev: number;
  readonly ino: number;
  readonly isFile: boolean;
  readonly begunMs: number;
  bytes: number;
}

export class LogFile {
  readonly #options: LogFileOptions;
  #opened: Opened | undefined;
  /** Appends and reopenings run one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;
  /** The time in the name of the last rotated file. */
  #rotatedMs = 0;

  constructor(options: LogFileOptions) {
    this.#options = options;
  }

  get path(): string {
    return this.#options.path;
  }

  readonly append: Append = (chunk) => this.#inTurn(() => this.#append(chunk));

  /** Opens the file that is at the path now. */
  reopen(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#current();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#inTurn(() => this.#release());
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#last.then(step);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #append(chunk: Buffer): Promise<Appended> {
    try {
      let file = await this.#current();
      if (this.#isDue(file, chunk.length)) file = await this.#rotate(file);
      // The end of a line that was torn in the file before; a new file needs none.
      const skipped = file.bytes === 0 && chunk[0] === NEWLINE ? 1 : 0;
      const { bytes, error } = await appendToFile(file.handle.fd, chunk.subarray(skipped));
      file.bytes += bytes;
      if (error !== undefined) return { bytes: bytes + skipped, error };
      if (this.#options.sync) await file.handle.datasync();
      return { bytes: bytes + skipped };
    } catch (error) {
      // After a failed fdatasync the kernel may have dropped the pages: nothing of the chunk counts as written.
      await this.#release();
      return { bytes: 0, error };
    }
  }

  /** The file at the path; opened again if it was moved or deleted. */
  async #current(): Promise<Opened> {
    if (this.#isClosed) throw new Error('the handler is closed');
    const opened = this.#opened;
    if (opened !== undefined) {
      const now = await stat(this.path).catch(() => undefined);
      if (now?.ino === opened.ino && now.dev === opened.dev) {
        opened.bytes = now.size; // others may append, or truncate it
        return opened;
      }
      await this.#release();
    }
    return this.#open();
  }

  async #open(): Promise<Opened> {
    const handle = await open(this.path, 'a+', MODE);
    try {
      const stats = await handle.stat();
      const { dev, ino, size, birthtimeMs } = stats;
      const isFile = stats.isFile();
      const begunMs = size === 0 || birthtimeMs === 0 ? this.#options.nowMs() : birthtimeMs;
      const opened: Opened = { handle, dev, ino, isFile, begunMs, bytes: size };
      if (isFile && size > 0) {
        const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
        if (buffer[0] !== NEWLINE) {
          const { error } = await appendToFile(handle.fd, Buffer.from('\n'));
          if (error !== undefined) throw error as Error;
          this.#options.log.warn(`${this.path} ended in the middle of a line; a line end was added`);
        }
      }
      this.#opened = opened;
      return opened;
    } catch (error) {
      await handle.close().catch(() => undefined);
      throw error;
    }
  }

  async #release(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.handle.close().catch(() => undefined);
  }

  #isDue({ bytes, isFile, begunMs }: Opened, more: number): boolean {
    const { rotate, nowMs } = this.#options;
    if (rotate === undefined || !isFile || bytes === 0) return false;
    const { maxBytes = Infinity, maxAgeMs = Infinity } = rotate;
    return bytes + more > maxBytes || nowMs() - begunMs >= maxAgeMs;
  }

  async #rotate(file: Opened): Promise<Opened> {
    const { path, worker, nowMs, log } = this.#options;
    try {
      // Never an earlier name than before, also when the clock was set back: the oldest are deleted by name.
      for (let at = Math.max(nowMs(), this.#rotatedMs + 1); ; at++) {
        const to = `${path}.${new Date(at).toISOString().replaceAll(/[-:.]/g, '')}.${worker}`;
        if ((await stat(to).catch(() => undefined)) !== undefined) continue;
        await rename(path, to);
        this.#rotatedMs = at;
        break;
      }
    } catch (error) {
      log.warn(`${path} cannot be rotated; it grows on`, { why: String(error) });
      return file;
    }
    await this.#release();
    const opened = await this.#open();
    await this.#deleteOld().catch((error: unknown) => {
      log.warn(`rotated files of ${path} cannot be deleted`, { why: String(error) });
    });
    return opened;
  }

  async #deleteOld(): Promise<void> {
    const { path, rotate } = this.#options;
    const { keepFiles = Infinity, keepBytes = Infinity } = rotate ?? {};
    const [folder, name] = [dirname(path), basename(path)];
    const rotated = (await readdir(folder))
      .filter((one) => one.startsWith(`${name}.`) && /^\d{8}T\d{9}Z\.\d+$/.test(one.slice(name.length + 1)))
      .toSorted()
      .toReversed();
    let bytes = 0;
    for (const [at, one] of rotated.entries()) {
      const file = join(folder, one);
      bytes += (await stat(file).catch(() => undefined))?.size ?? 0;
      if (at < keepFiles && bytes <= keepBytes) continue;
      // Another worker may have deleted it.
      await unlink(file).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    }
  }
}
