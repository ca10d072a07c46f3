/**
 * Makes `dist`: JavaScript and declarations of src and plugins, and the files beside them that are read at run time.
 * Node strips types in a project but not below node_modules, so an installed package needs this.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { commitOf } from '../src/cli/commit.ts';

const ROOT = resolve(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');

function compilerPath(): string {
  const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { bin: { tsc: string } };
  return join(dirname(manifest), bin.tsc);
}

function compile(): void {
  const { status, error } = spawnSync(process.execPath, [compilerPath(), '-p', join(ROOT, 'tsconfig.build.json')], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`the compiler found errors (exit code ${status})`);
}

/** What is not TypeScript (a Lua script, a descriptor set) is read beside the code that needs it. */
function copyData(folder: string): void {
  cpSync(join(ROOT, folder), join(DIST, folder), {
    recursive: true,
    filter: (path) => !['.ts', '.md'].includes(extname(path)) && !basename(path).startsWith('.'),
  });
}

rmSync(DIST, { recursive: true, force: true });
compile();
copyData('src');
copyData('plugins');
const commit = commitOf(ROOT);
if (commit !== undefined) writeFileSync(join(DIST, 'commit'), `${commit}\n`); // for `sluice --version`
chmodSync(join(DIST, 'src/cli/bin.js'), 0o755);
