/**
 * A file of recorded calls that is written: bounded in size, and in how many older ones are kept.
 * **In**: whole lines. **Out**: `calls.ndjson`, and before it `calls.2026-01-31T12-00-00-000Z.ndjson`, which a folder's order puts first.
 * **Fails**: with the error of the file system; the file then ends with the last whole line.
 */
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { firstLine } from '../format.ts';

export interface CallFileOptions {
  readonly path: string;
  /** Of one file. */
  readonly maxBytes: number;
  /** Number of older files; more are removed. */
  readonly keep: number;
}

const compress = promisify(gzip);
const LF = 0x0a;
/** They hold requests of others. */
const MODE = 0o600;

export class CallFile {
  readonly #options: CallFileOptions;
  readonly #isCompressed: boolean;
  #handle: FileHandle | undefined;
  #size = 0;
  /** Of the first line; a file with nothing else is not rotated. */
  #beganAt = 0;
  /** Names of older files are in the order of their rotation. */
  #rotatedAtMs = 0;
  /** Bytes written to all files. */
  written = 0;
  rotations = 0;

  private constructor(options: CallFileOptions) {
    this.#options = options;
    this.#isCompressed = options.path.endsWith('.gz');
  }

  /** Continues a file of calls; one of something else is an error. */
  static async open(options: CallFileOptions): Promise<CallFile> {
    const file = new CallFile(options);
    await file.#open();
    return file;
  }

  /** Lines, each with its end. */
  async write(lines: Buffer): Promise<void> {
    for (let rest = lines; rest.length > 0;) {
      const part = this.#isCompressed ? rest : rest.subarray(0, this.#fitting(rest));
      if (part.length === 0) {
        await this.#rotate();
        continue;
      }
      await this.#append(this.#isCompressed ? await compress(part) : part);
      rest = rest.subarray(part.length);
      if (this.#size >= this.#options.maxBytes) await this.#rotate();
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  /** The bytes of the whole lines that fit; a line alone always fits a new file. */
  #fitting(lines: Buffer): number {
    const room = this.#options.maxBytes - this.#size;
    if (lines.length <= room) return lines.length;
    const end = room <= 0 ? -1 : lines.lastIndexOf(LF, room - 1);
    if (end >= 0) return end + 1;
    return this.#size === this.#beganAt ? lines.indexOf(LF) + 1 : 0;
  }

  async #append(bytes: Buffer): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined) throw new Error('the file is closed');
    try {
      await handle.appendFile(bytes);
      this.#size += bytes.length;
      this.written += bytes.length;
    } catch (error) {
      // A disk that is full may have taken half a line.
      await handle.truncate(this.#size).catch(() => undefined);
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { path } = this.#options;
    const handle = await open(path, 'a+', MODE);
    this.#handle = handle;
    try {
      ({ size: this.#size } = await handle.stat());
      if (this.#size > 0) await this.#requireCalls(handle);
      const first = Buffer.from(`${firstLine(Date.now())}\n`);
      await this.#append(this.#isCompressed ? await compress(first) : first);
      this.#beganAt = this.#size;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #requireCalls(handle: FileHandle): Promise<void> {
    const expected = this.#isCompressed ? GZIP : CALLS_HEAD;
    const { buffer } = await handle.read(Buffer.alloc(expected.length), 0, expected.length, 0);
    if (!buffer.equals(expected)) throw new Error('it exists, and is not a file of calls');
    if (this.#isCompressed) return;
    // Half a line, of a recorder that was killed.
    const { buffer: last } = await handle.read(Buffer.alloc(1), 0, 1, this.#size - 1);
    if (last[0] !== LF) await this.#append(Buffer.from('\n'));
  }

  async #rotate(): Promise<void> {
    await this.close();
    const { path, keep } = this.#options;
    const [folder, { before, after }] = [dirname(path), partsOf(path)];
    this.#rotatedAtMs = Math.max(Date.now(), this.#rotatedAtMs + 1);
    const time = new Date(this.#rotatedAtMs).toISOString().replaceAll(/[:.]/g, '-');
    await rename(path, join(folder, `${before}.${time}${after}`));
    this.rotations++;
    const older = (await readdir(folder)).filter((name) => isOlder(name, before, after)).toSorted();
    for (const name of older.slice(0, Math.max(0, older.length - keep))) await rm(join(folder, name), { force: true });
    await this.#open();
  }
}

/** The beginning of a file of calls, and of each part that was appended to one. */
export const CALLS_HEAD = Buffer.from('{"sluice":"calls"');
const GZIP = Buffer.from([0x1f, 0x8b]);

/** `calls` and `.ndjson.gz`. */
function partsOf(path: string): { readonly before: string; readonly after: string } {
  const name = basename(path);
  const at = name.indexOf('.', 1);
  return at < 0 ? { before: name, after: '' } : { before: name.slice(0, at), after: name.slice(at) };
}

const TIME = /^\d{4}-\d{2}-\d{2}T[\d-]+Z$/;

const isOlder = (name: string, before: string, after: string): boolean =>
  name.startsWith(`${before}.`) &&
  name.endsWith(after) &&
  TIME.test(name.slice(before.length + 1, name.length - after.length));
