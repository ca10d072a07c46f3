/** Where this program lies, whether run from source or built: the nearest folder above with our package.json. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

function findRoot(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const above = dirname(folder);
  if (above === folder) throw new Error('Sluice is not installed whole: no package.json above its program');
  return findRoot(above);
}

/** `dist` holds no package.json of its own, so from there too this is the package's folder. */
export const PACKAGE_FOLDER: string = findRoot(import.meta.dirname);
export const VERSION: string = (JSON.parse(readFileSync(join(PACKAGE_FOLDER, 'package.json'), 'utf8')) as { version: string }).version;
