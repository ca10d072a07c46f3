/**
 * Where envoyproxy/ratelimit's files are: RUNTIME_ROOT/RUNTIME_SUBDIRECTORY/RUNTIME_APPDIRECTORY, as lyft/goruntime reads it.
 * **In**: the settings. **Out**: the files with their texts, in name order, sub-folders too, of any extension. **Fails**: with the
 * path that cannot be read.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { ConfigFile } from './config/read.ts';
import type { Settings } from './settings.ts';

type Place = Pick<Settings, 'RUNTIME_ROOT' | 'RUNTIME_SUBDIRECTORY' | 'RUNTIME_APPDIRECTORY' | 'RUNTIME_IGNOREDOTFILES'>;

export const configFolder = ({ RUNTIME_ROOT, RUNTIME_SUBDIRECTORY, RUNTIME_APPDIRECTORY }: Place): string => join(RUNTIME_ROOT, RUNTIME_SUBDIRECTORY, RUNTIME_APPDIRECTORY);

/** Links are followed: Kubernetes mounts a ConfigMap as links. Its own folders (`..data`) are not read twice. */
export async function readRuntimeFolder(place: Place): Promise<readonly ConfigFile[]> {
  const root = configFolder(place);
  const files: ConfigFile[] = [];
  const walk = async (folder: string): Promise<void> => {
    for (const name of (await readdir(folder)).toSorted()) {
      if (name.startsWith('..') || (place.RUNTIME_IGNOREDOTFILES && name.startsWith('.'))) continue;
      const path = join(folder, name);
      if ((await stat(path)).isDirectory()) await walk(path);
      else files.push({ file: path, text: await readFile(path, 'utf8') });
    }
  };
  await walk(root);
  return files.toSorted((a, b) => (relative(root, a.file) < relative(root, b.file) ? -1 : 1));
}
