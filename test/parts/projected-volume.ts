/** The files of a ConfigMap or Secret as the kubelet mounts them: links through `..data` into a folder, which a rename swaps. */
import { lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Writes the files for the first time, or replaces them; the names stay the same. */
export function projectFiles(folder: string, files: Readonly<Record<string, string>>): void {
  const data = join(folder, '..data');
  const last = lstatSync(data, { throwIfNoEntry: false }) === undefined ? undefined : readlinkSync(data);
  const next = `..${Number(last?.slice(2) ?? 0) + 1}`;
  mkdirSync(join(folder, next), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, next, name), text);
  symlinkSync(next, `${data}_tmp`);
  renameSync(`${data}_tmp`, data);
  if (last !== undefined) return rmSync(join(folder, last), { recursive: true });
  for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(folder, name));
}
