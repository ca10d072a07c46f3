/**
 * The command that tests start: the bundle of the sources, as the package has it, since it starts in half of the CPU time.
 * **In**: the checkout. **Out**: the path of its module. **Fails**: with what the bundler reports.
 */
import { createHash } from 'node:crypto';
import { cpSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bundle } from '../../scripts/bundle.ts';
import { CACHE, once } from './fetch.ts';
import { removeUnused, used } from './unused-folders.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** All that the bundle is made of. */
const MADE_OF = [
  'package-lock.json',
  'package.json',
  'tsconfig.json',
  'scripts/*.ts',
  '{src,plugins,gen}/**/*.{ts,html}',
];
/** What the command reads of its package. */
const READ = ['package.json', 'examples/requests'];
const PREFIX = 'sluice-';

/** Made once per state of the sources, in `.cache`; those that no run has used for hours are removed, at 12 MB each. */
export async function bundledCommand(): Promise<string> {
  const folder = await once(`${PREFIX}${digest()}`, async (unfinished) => {
    removeUnused(CACHE, PREFIX);
    await bundle(join(unfinished, 'dist'));
    for (const name of READ) cpSync(join(ROOT, name), join(unfinished, name), { recursive: true });
  });
  return join(used(folder), 'dist/src/cli/bin.js');
}

function digest(): string {
  const hash = createHash('sha256');
  for (const file of globSync(MADE_OF, { cwd: ROOT }).toSorted())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(ROOT, file)))
      .update('\0');
  return hash.digest('hex').slice(0, 12);
}
