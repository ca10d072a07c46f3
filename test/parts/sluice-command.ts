/**
 * The command that tests start: the bundle of the sources, as the package has it, since it starts in half of the CPU time.
 * **In**: the checkout. **Out**: the path of its module. **Fails**: with what the bundler reports.
 */
import { createHash } from 'node:crypto';
import { cpSync, globSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bundle } from '../../scripts/bundle.ts';
import { CACHE, once } from './fetch.ts';

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
const KEPT_MS = 24 * 3_600_000;

/** Made once per state of the sources, in `.cache`; those of other states are removed after a day. */
export async function bundledCommand(): Promise<string> {
  const folder = await once(`${PREFIX}${digest()}`, async (unfinished) => {
    removeOld();
    await bundle(join(unfinished, 'dist'));
    for (const name of READ) cpSync(join(ROOT, name), join(unfinished, name), { recursive: true });
  });
  return join(folder, 'dist/src/cli/bin.js');
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

function removeOld(): void {
  for (const folder of globSync(`${PREFIX}*`, { cwd: CACHE }).map((name) => join(CACHE, name)))
    if (!folder.endsWith('.unfinished') && Date.now() - statSync(folder).mtimeMs > KEPT_MS)
      rmSync(folder, { recursive: true, force: true });
}
