/**
 * The files below RUNTIME_ROOT/RUNTIME_SUBDIRECTORY/RUNTIME_APPDIRECTORY, as lyft/goruntime finds them.
 * **In**: settings. **Out**: files of any extension, sub-folders included, in name order, with their texts; with RUNTIME_WATCH_ROOT
 * also entries beside the folder whose names begin with its name and a dot. **Fails**: with ENOENT if the folder is missing. A file that
 * cannot be read is in `unread`.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { fileText } from '../config/file-text.ts';
import type { ConfigFile } from '../config/read.ts';
import type { Settings } from '../settings/settings.ts';
import { stampOfStats } from '../../files/watch.ts';
import { messageOf } from '../../text/message-of.ts';

type Place = Pick<
  Settings,
  'RUNTIME_ROOT' | 'RUNTIME_SUBDIRECTORY' | 'RUNTIME_APPDIRECTORY' | 'RUNTIME_IGNOREDOTFILES' | 'RUNTIME_WATCH_ROOT'
>;

export const configFolder = ({ RUNTIME_ROOT, RUNTIME_SUBDIRECTORY, RUNTIME_APPDIRECTORY }: Place): string =>
  join(RUNTIME_ROOT, RUNTIME_SUBDIRECTORY, RUNTIME_APPDIRECTORY);

export interface FoundFile {
  readonly file: string;
  /** Changes whenever the file does. */
  readonly stamp: string;
}

export interface UnreadFile {
  readonly file: string;
  readonly why: string;
}

/** Links are followed, since Kubernetes mounts a ConfigMap as links; its hidden folders (`..data`) are skipped. */
export async function findRuntimeFiles(place: Place): Promise<readonly FoundFile[]> {
  const root = configFolder(place);
  const parent = dirname(root);
  const files: FoundFile[] = [];
  /** `above`: real paths of the parent folders; a link may lead back to one. */
  const add = async (path: string, above: ReadonlySet<string>): Promise<void> => {
    const info = await stat(path, { bigint: true }).catch(() => undefined); // a dangling link; reading it reports why
    if (info?.isDirectory() === true) await walk(path, above);
    else
      files.push({
        file: path,
        stamp: info === undefined ? 'none' : stampOfStats(info),
      });
  };
  const walk = async (folder: string, above: ReadonlySet<string>): Promise<void> => {
    const real = await realpath(folder);
    if (above.has(real)) return;
    const below = new Set([...above, real]);
    for (const name of (await readdir(folder)).toSorted()) {
      if (name.startsWith('..') || (place.RUNTIME_IGNOREDOTFILES && name.startsWith('.'))) continue;
      await add(join(folder, name), below);
    }
  };
  const beside = place.RUNTIME_WATCH_ROOT
    ? (await readdir(parent)).filter((name) => name.startsWith(`${basename(root)}.`))
    : [];
  await walk(root, new Set()).catch((error: unknown) => {
    if (beside.length === 0) throw error;
  });
  for (const name of beside) await add(join(parent, name), new Set());
  return files.toSorted((a, b) => (relative(parent, a.file) < relative(parent, b.file) ? -1 : 1));
}

/** First bytes of a swap file of vim, which lies beside the edited file. */
const VIM_SWAP = Buffer.from('b0VIM ');

export async function readFiles(
  found: readonly FoundFile[],
): Promise<{ readonly files: readonly ConfigFile[]; readonly unread: readonly UnreadFile[] }> {
  const files: ConfigFile[] = [];
  const unread: UnreadFile[] = [];
  for (const { file } of found) {
    try {
      const bytes = await readFile(file);
      if (!bytes.subarray(0, VIM_SWAP.length).equals(VIM_SWAP)) files.push(fileText(file, bytes));
    } catch (error) {
      unread.push({ file, why: messageOf(error) });
    }
  }
  return { files, unread };
}
