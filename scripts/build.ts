/** Makes `dist`: the bundle (`bundle.ts`), its declarations, the man page and the commit. */
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { bundle, manifestOf } from './bundle.ts';
import { commitOf } from '../src/cli/commit.ts';
import { COMMANDS } from '../src/cli/program.ts';
import { manPage } from '../src/cli/shell/man-page.ts';

const ROOT = resolve(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');

/** Declarations of the public entry points and of the types that they use. */
function declare(): void {
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  const { status, error } = spawnSync(process.execPath, [compiler, '-p', join(ROOT, 'tsconfig.build.json')], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`the compiler found errors (exit code ${status})`);
}

rmSync(DIST, { recursive: true, force: true });
declare();
await bundle(DIST);
writeFileSync(join(DIST, 'sluice.1'), manPage(COMMANDS, manifestOf(ROOT).version));
const commit = commitOf(ROOT);
if (commit !== undefined) writeFileSync(join(DIST, 'commit'), `${commit}\n`); // for `sluice --version`
chmodSync(join(DIST, 'src/cli/bin.js'), 0o755);
