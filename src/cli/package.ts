/** The package of this program, run from source or built: the nearest folder above with a package.json. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SOURCE_FOLDER } from '../files/program.ts';
import { commitOf } from './commit.ts';

function findRoot(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const above = dirname(folder);
  if (above === folder)
    throw new Error('the installation of Sluice is incomplete: no package.json in any parent folder');
  return findRoot(above);
}

/** Found from `dist` too, which has no package.json. */
export const PACKAGE_FOLDER: string = findRoot(SOURCE_FOLDER);
export const VERSION: string = (
  JSON.parse(readFileSync(join(PACKAGE_FOLDER, 'package.json'), 'utf8')) as { version: string }
).version;

/** Written by the build, beside the compiled sources. */
const BUILT_FROM = join(SOURCE_FOLDER, '../commit');

/** `0.1.0 (commit 1f6bd3c0a2e4)`; only the version if the commit is unknown. */
export function versionText(): string {
  const commit = existsSync(BUILT_FROM) ? readFileSync(BUILT_FROM, 'utf8').trim() : commitOf(PACKAGE_FOLDER);
  return commit === undefined ? VERSION : `${VERSION} (commit ${commit.slice(0, 12)})`;
}
