/** Generates gen/ from protos/. `--check` writes nothing and exits with 1 if gen/ is stale. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join, resolve } from 'node:path';
import { tmpdir } from 'node:os';

const ROOT = resolve(import.meta.dirname, '..');
const OUT = 'gen';

/** buf's program for this platform, from the package that npm installs for it. */
function bufProgram(): string {
  const require = createRequire(join(ROOT, 'package.json'));
  const name = `@bufbuild/buf-${process.platform}-${process.arch}`;
  try {
    return join(
      dirname(require.resolve(`${name}/package.json`)),
      'bin',
      process.platform === 'win32' ? 'buf.exe' : 'buf',
    );
  } catch {
    throw new Error(`${name} is not installed: run npm ci on this platform, or install it by hand`);
  }
}

function generate(into: string): void {
  const path = [join(ROOT, 'node_modules/.bin'), dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
  const arguments_ = into === OUT ? ['generate'] : ['generate', '--output', into];
  const run = spawnSync(bufProgram(), arguments_, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, PATH: path } });
  if (run.error !== undefined) throw run.error;
  if (run.status !== 0) process.exit(run.status ?? 1);
}

const filesOf = (folder: string): Map<string, string> =>
  new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [file.slice(folder.length + 1), readFileSync(file, 'utf8')]),
  );

function staleFiles(): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-protos-'));
  try {
    generate(folder);
    const fresh = filesOf(join(folder, OUT));
    const kept = new Map([...filesOf(join(ROOT, OUT))].filter(([name]) => name.endsWith('_pb.ts')));
    return [...new Set([...fresh.keys(), ...kept.keys()])].filter((name) => fresh.get(name) !== kept.get(name));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv.includes('--check')) {
  const stale = staleFiles();
  if (stale.length > 0) {
    console.error(`${OUT} is stale against protos/: ${stale.join(', ')}. Run: node scripts/generate-protos.ts`);
    process.exit(1);
  }
} else {
  generate(OUT);
}
