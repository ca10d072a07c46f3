/**
 * **In**: paths of files and folders. **Out**: the files of the policy with their text, in the order they are read,
 * and what to watch. **Fails**: with a finding in it for each file or folder that cannot be read.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Findings, type Finding } from './findings.ts';
import { systemReason } from '../text/system-reason.ts';

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
  return reader.read;
}

class FolderReader {
  readonly #files: PolicyFile[] = [];
  readonly #found = new Set<string>();
  readonly #watched: string[] = [];
  readonly #findings = new Findings();
  readonly #read = new Set<string>();

  get read(): PolicyFiles {
    return { files: this.#files, found: this.#found, watched: this.#watched, findings: this.#findings.sorted([]) };
  }

  async named(path: string): Promise<void> {
    const info = await this.#try(path, () => stat(path));
    if (info === undefined) return;
    await (info.isDirectory() ? this.#folder(path, new Set()) : this.#file(path));
  }

  /** `above`: real paths of the folders on the way here, since a link may lead back. */
  async #folder(folder: string, above: ReadonlySet<string>): Promise<void> {
    this.#watched.push(folder);
    const real = await this.#try(folder, () => realpath(folder));
    const names = await this.#try(folder, () => readdir(folder));
    if (real === undefined || names === undefined || above.has(real)) return;
    for (const name of names.filter((one) => !one.startsWith('.')).toSorted()) {
      const path = join(folder, name);
      const info = await this.#try(path, () => stat(path));
      if (info?.isDirectory() === true) await this.#folder(path, new Set([...above, real]));
      else if (info !== undefined && /\.ya?ml$/.test(name)) {
        this.#found.add(path);
        await this.#file(path);
      }
    }
  }

  async #file(path: string): Promise<void> {
    if (this.#read.has(path)) return;
    this.#read.add(path);
    this.#watched.push(path);
    const bytes = await this.#try(path, async () => {
      // The open of a pipe waits for a writer, perhaps for ever.
      if ((await stat(path)).isFIFO()) throw new Error('it is a named pipe; write a file, or name a folder of files');
      return readFile(path);
    });
    if (bytes === undefined) return;
    try {
      this.#files.push({ file: path, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) });
    } catch {
      this.#findings.file('RULES_FILE_UNREADABLE', path, 'is not UTF-8 text; save it as UTF-8');
    }
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
