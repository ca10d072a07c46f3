/**
 * Where envoyproxy/ratelimit's files are: RUNTIME_ROOT/RUNTIME_SUBDIRECTORY/RUNTIME_APPDIRECTORY, as lyft/goruntime reads it.
 * **In**: the settings. **Out**: the files with their texts, in name order, sub-folders too, of any extension. **Fails**: with the
 * path that cannot be read.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileText } from './config/file-text.ts';
import type { ConfigFile } from './config/read.ts';
import type { Settings } from './settings.ts';

type Place = Pick<Settings, 'RUNTIME_ROOT' | 'RUNTIME_SUBDIRECTORY' | 'RUNTIME_APPDIRECTORY' | 'RUNTIME_IGNOREDOTFILES'>;

export const configFolder = ({ RUNTIME_ROOT, RUNTIME_SUBDIRECTORY, RUNTIME_APPDIRECTORY }: Place): string => join(RUNTIME_ROOT, RUNTIME_SUBDIRECTORY, RUNTIME_APPDIRECTORY);

export interface FoundFile { readonly file: string; /** Differs whenever the file does. */ readonly mark: string }

/** Links are followed: Kubernetes mounts a ConfigMap as links. Its own folders (`..data`) are not read twice. */
export async function findRuntimeFiles(place: Place): Promise<readonly FoundFile[]> {
  const root = configFolder(place);
  const files: FoundFile[] = [];
  const walk = async (folder: string): Promise<void> => {
    for (const name of (await readdir(folder)).toSorted()) {
      if (name.startsWith('..') || (place.RUNTIME_IGNOREDOTFILES && name.startsWith('.'))) continue;
      const path = join(folder, name);
      const info = await stat(path, { bigint: true });
      if (info.isDirectory()) await walk(path);
      else files.push({ file: path, mark: `${info.dev} ${info.ino} ${info.size} ${info.mtimeNs} ${info.ctimeNs}` });
    }
  };
  await walk(root);
  return files.toSorted((a, b) => (relative(root, a.file) < relative(root, b.file) ? -1 : 1));
}

export const readFiles = async (files: readonly FoundFile[]): Promise<readonly ConfigFile[]> => Promise.all(files.map(async ({ file }) => fileText(file, await readFile(file))));
