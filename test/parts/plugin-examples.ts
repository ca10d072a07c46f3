/**
 * Builds the example plugins in other languages (examples/plugin-*), in the project's `.cache` folder.
 * **In**: nothing. **Out**: the command that starts one. **Fails**: with the program that is missing and the command that failed.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { attempt, once, onPath, say } from './fetch.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const EXAMPLES = join(ROOT, 'examples');
const BUILT = join(ROOT, '.cache/plugin-examples');

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** Of the example, with what was generated. */
  readonly folder: string;
}

/** Python with the packages that the example needs, from PyPI. */
export async function pythonPlugin(): Promise<Command> {
  if (onPath('python3') === undefined)
    throw new Error('python3 is missing: install Python 3.10 or newer with venv (Debian: python3-venv)');
  const requirements = join(EXAMPLES, 'plugin-python/requirements.txt');
  const digest = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12);
  const venv = await once(`python-${digest}`, async (unfinished) => {
    say('downloading grpcio for the plugin in Python');
    await attempt('a Python environment', 'python3', ['-m', 'venv', unfinished]);
    await attempt('grpcio', join(unfinished, 'bin/python'), ['-m', 'pip', 'install', '-q', '-r', requirements]);
  });
  const program = join(venv, 'bin/python');
  const folder = await copied('plugin-python', 'sh', ['make.sh', join(ROOT, 'protos')], { PYTHON: program });
  return { program, args: [join(folder, 'plugin.py')], folder };
}

/** `undefined` without Go. */
export async function goPlugin(): Promise<Command | undefined> {
  if (onPath('go') === undefined) return undefined;
  const folder = await copied('plugin-go', 'sh', ['make.sh', join(ROOT, 'protos')], {
    BUF: join(ROOT, 'node_modules/.bin/buf'),
    GOBIN: join(ROOT, '.cache/go/bin'),
    OUT: 'plugin',
  });
  return { program: join(folder, 'plugin'), args: [], folder };
}

/** What is generated stays out of the checkout. */
async function copied(
  name: string,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const folder = join(BUILT, name);
  await mkdir(BUILT, { recursive: true });
  await rm(folder, { recursive: true, force: true });
  await cp(join(EXAMPLES, name), folder, { recursive: true });
  await attempt(`the example ${name}`, program, args, { cwd: folder, env: { ...process.env, ...env } });
  return folder;
}
