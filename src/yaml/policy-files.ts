/**
 * **In**: paths of files and folders. **Out**: the files of the policy with their text, in the order they are read,
 * and what to watch. **Fails**: with a finding in it for each file or folder that cannot be read.
 */
import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
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
  /** Below the file or folder that was named, so that equal policies have equal names on each machine. */
  readonly name: string;
  readonly text: string;
}

export async function readPolicyFiles(paths: readonly string[]): Promise<PolicyFiles> {
  const reader = new FolderReader();
  for (const path of paths) await reader.named(path);
  return reader.read();
}

/** Far more than policies have; a folder that is not meant, such as / or a home, has more, and links can lead around in it. */
export const MOST_FILES = 10_000;
export const MOST_FOLDERS = 10_000;
const MOST_BYTES = 256 * 1024 ** 2;

class FolderReader {
  readonly #files: PolicyFile[] = [];
  readonly #found = new Set<string>();
  readonly #watched: string[] = [];
  readonly #findings = new Findings();
  /** By path: the name below what was named. */
  readonly #read = new Map<string, string>();
  #folders = 0;
  #bytes = 0;
  /** A bound is passed, which is reported. */
  #isFull = false;

  /** The files that were found; none if they are too many. */
  async read(): Promise<PolicyFiles> {
    for (const [path, name] of this.#isFull ? [] : this.#read) await this.#readFile(path, name);
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
    if (info.isDirectory()) await this.#folder(path, path, new Set());
    else this.#file(path, basename(path));
  }

  /** `root`: the folder that was named. `above`: real paths of the folders on the way here, since a link may lead back. */
  async #folder(root: string, folder: string, above: ReadonlySet<string>): Promise<void> {
    this.#watched.push(folder);
    if (++this.#folders > MOST_FOLDERS) return this.#full(folder, `${grouped(MOST_FOLDERS)} folders`);
    const real = await this.#try(folder, () => realpath(folder));
    const entries = await this.#try(folder, () => readdir(folder, { withFileTypes: true }));
    if (real === undefined || entries === undefined || above.has(real)) return;
    for (const entry of entries.filter(({ name }) => !name.startsWith('.')).toSorted(byName)) {
      if (this.#isFull) return;
      const path = join(folder, entry.name);
      const isPolicy = isPolicyName(entry.name);
      if (entry.isFile() && !isPolicy) continue;
      const info = await this.#try(path, () => stat(path));
      if (info?.isDirectory() === true) await this.#folder(root, path, new Set([...above, real]));
      else if (info !== undefined && isPolicy) {
        this.#found.add(path);
        this.#file(path, relative(root, path));
      }
    }
  }

  #file(path: string, name: string): void {
    if (this.#read.has(path)) return;
    if (this.#read.size === MOST_FILES) return this.#full(path, `${grouped(MOST_FILES)} files`);
    this.#read.set(path, name);
  }

  async #readFile(path: string, name: string): Promise<void> {
    if (this.#isFull) return;
    this.#watched.push(path);
    const read = await this.#try(path, () => readTextFile(path));
    if (read === undefined) return;
    this.#bytes += read.bytes;
    if (this.#bytes > MOST_BYTES) return this.#full(path, `${MOST_BYTES / 1024 ** 2} MiB`);
    this.#files.push({ file: path, name, text: read.text });
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

/** Files of other names in a folder are not part of a policy. */
export const isPolicyName = (name: string): boolean => /\.ya?ml$/.test(name);

/** As `toSorted` orders texts. */
const byName = (a: Dirent, b: Dirent): number => (a.name < b.name ? -1 : Number(a.name > b.name));
