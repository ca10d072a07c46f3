/**
 * **In**: paths of files and folders. **Out**: the files of the policy with their text, in the order they are read,
 * and what to watch. **Fails**: with a finding in it for each file or folder that cannot be read.
 */
import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Findings, type Finding } from './findings.ts';
import { grouped } from '../text/counted.ts';
import { systemReason } from '../text/system-reason.ts';
import { readTextFile } from './text-files.ts';

/** Plain data, so that one thread can read a policy and others load the same texts (`structuredClone`). */
export interface PolicyFiles {
  readonly files: readonly PolicyFile[];
  /** Files found in a folder; some may turn out to be data that a handler's config names. */
  readonly found: ReadonlySet<string>;
  readonly watched: readonly string[];
  /** One per file or folder that could not be read. */
  readonly findings: readonly Finding[];
}

export interface PolicyFile {
  readonly file: string;
  readonly text: string;
}

export async function readPolicyFiles(paths: readonly string[]): Promise<PolicyFiles> {
  const reader = new FolderReader();
  for (const path of paths) await reader.named(path);
  return reader.read();
}

/** Far more than policies have; a folder that is not meant, such as / or a home, has more, and links can lead around in it. */
const MOST_FILES = 10_000;
const MOST_FOLDERS = 10_000;
const MOST_BYTES = 256 * 1024 ** 2;

class FolderReader {
  readonly #files: PolicyFile[] = [];
  readonly #found = new Set<string>();
  readonly #watched: string[] = [];
  readonly #findings = new Findings();
  readonly #read = new Set<string>();
  #folders = 0;
  #bytes = 0;
  /** A bound is passed, which is reported. */
  #isFull = false;

  /** The files that were found; none if they are too many. */
  async read(): Promise<PolicyFiles> {
    for (const path of this.#isFull ? [] : this.#read) await this.#readFile(path);
    return {
      files: this.#isFull ? [] : this.#files,
      found: this.#found,
      watched: this.#watched,
      findings: this.#findings.sorted([]),
    };
  }

  async named(path: string): Promise<void> {
    const info = await this.#try(path, () => stat(path));
    if (info === undefined) return;
    if (info.isDirectory()) await this.#folder(path, new Set());
    else this.#file(path);
  }

  /** `above`: real paths of the folders on the way here, since a link may lead back. */
  async #folder(folder: string, above: ReadonlySet<string>): Promise<void> {
    this.#watched.push(folder);
    if (++this.#folders > MOST_FOLDERS) return this.#full(folder, `${grouped(MOST_FOLDERS)} folders`);
    const real = await this.#try(folder, () => realpath(folder));
    const entries = await this.#try(folder, () => readdir(folder, { withFileTypes: true }));
    if (real === undefined || entries === undefined || above.has(real)) return;
    for (const entry of entries.filter(({ name }) => !name.startsWith('.')).toSorted(byName)) {
      if (this.#isFull) return;
      const path = join(folder, entry.name);
      const isPolicy = /\.ya?ml$/.test(entry.name);
      if (entry.isFile() && !isPolicy) continue;
      const info = await this.#try(path, () => stat(path));
      if (info?.isDirectory() === true) await this.#folder(path, new Set([...above, real]));
      else if (info !== undefined && isPolicy) {
        this.#found.add(path);
        this.#file(path);
      }
    }
  }

  #file(path: string): void {
    if (this.#read.size === MOST_FILES) return this.#full(path, `${grouped(MOST_FILES)} files`);
    this.#read.add(path);
  }

  async #readFile(path: string): Promise<void> {
    if (this.#isFull) return;
    this.#watched.push(path);
    const read = await this.#try(path, () => readTextFile(path));
    if (read === undefined) return;
    this.#bytes += read.bytes;
    if (this.#bytes > MOST_BYTES) return this.#full(path, `${MOST_BYTES / 1024 ** 2} MiB`);
    this.#files.push({ file: path, text: read.text });
  }

  #full(path: string, bound: string): void {
    if (!this.#isFull)
      this.#findings.file(
        'RULES_FILE_UNREADABLE',
        path,
        `a policy has at most ${bound}, and this is beyond; name the folder of the policy alone`,
      );
    this.#isFull = true;
  }

  async #try<T>(path: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      this.#findings.file('RULES_FILE_UNREADABLE', path, `cannot be read: ${systemReason(error)}`);
      return undefined;
    }
  }
}

/** As `toSorted` orders texts. */
const byName = (a: Dirent, b: Dirent): number => (a.name < b.name ? -1 : Number(a.name > b.name));
